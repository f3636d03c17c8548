"""Names: of the application, of its services, of environment variables."""

from __future__ import annotations

import re

from capsule_builder.manifest.problems import quoted
from capsule_builder.manifest.rule import Complaint, Rule

NAME_PATTERN = "[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*"
# The account is tori-<name>: systemd-sysusers takes 31 characters at most, and no dot (measured). The slice is
# tori-<name>.slice: systemd loads none with two hyphens in a row or one at the end (measured).
NAME_LENGTH = 26

SERVICE_NAME_PATTERN = "[a-z0-9]+(?:-[a-z0-9]+)*"
SERVICE_NAME_LENGTH = 32

RESERVED_VARIABLES = ("BASH_ENV", "BUILD_SHA", "NOTIFY_SOCKET", "PYTHONHOME", "PYTHONPATH")
RESERVED_PREFIXES = ("LD_", "LISTEN_")
VARIABLE_PATTERN = f"(?!(?:{'|'.join(RESERVED_VARIABLES)})$|{'|'.join(RESERVED_PREFIXES)})[A-Z_][A-Z0-9_]*"

_BECAUSE = {
    "BASH_ENV": ("makes every shell script run another one first", "call that script where it is needed"),
    "BUILD_SHA": ("is set to the capsule's ID on the host", "remove it"),
    "NOTIFY_SOCKET": ("is set by systemd", "remove it"),
    "PYTHONHOME": ("would lead the interpreter out of the capsule", "remove it"),
    "PYTHONPATH": ("would let in modules from outside the capsule", "remove it; the capsule's own are found without"),
    "LD_": ("steers the dynamic linker", "remove it; libraries are found by their RPATH"),
    "LISTEN_": ("is set by systemd's socket activation", "remove it"),
}


def _name_complaint(text: str) -> Complaint | None:
    return _complaint(
        text, "a name", NAME_PATTERN, NAME_LENGTH, 'a-z, 0-9 and single "-" or "_" between, a letter first'
    )


def _service_name_complaint(text: str) -> Complaint | None:
    return _complaint(
        text, "a service name", SERVICE_NAME_PATTERN, SERVICE_NAME_LENGTH, 'a-z, 0-9 and single "-" between'
    )


def _complaint(text: str, what: str, pattern: str, length: int, letters: str) -> Complaint | None:
    if not text:
        return Complaint("bad-name", "is empty", f"write {what} of {letters}")
    if not re.fullmatch(pattern, text):
        likely = _likely_name(text, pattern)
        if likely and len(likely) <= length:
            return Complaint("bad-name", f"{quoted(text)} is not {what} of {letters}", f"write {quoted(likely)}")
        return Complaint("bad-name", f"{quoted(text)} is not {what}", f"write one of {letters}")
    if len(text) > length:
        message = f"{quoted(text)} has {len(text)} characters, and {what} has {length} at most"
        return Complaint("bad-name", message, "shorten it")
    return None


def _likely_name(text: str, pattern: str) -> str | None:
    likely = re.sub("[^a-z0-9_]+" if "_" in pattern else "[^a-z0-9]+", "-", text.lower())
    likely = re.sub("[-_]{2,}", "-", likely).strip("-_")
    return likely if re.fullmatch(pattern, likely) else None


def _variable_complaint(name: str) -> Complaint | None:
    for reserved, (reason, remedy) in _BECAUSE.items():
        if name == reserved or (reserved in RESERVED_PREFIXES and name.startswith(reserved)):
            family = f"{reserved}*" if reserved in RESERVED_PREFIXES else reserved
            return Complaint("reserved-variable", f"{family} {reason}", remedy)
    if re.fullmatch(VARIABLE_PATTERN, name):
        return None
    likely = re.sub("[^A-Z0-9_]", "_", name.upper())
    likely = f"_{likely}" if likely[:1].isdigit() else likely
    mendable = name.isascii() and len(name) <= 60 and re.fullmatch(VARIABLE_PATTERN, likely)
    remedy = f"write {likely}" if mendable else "choose another name"
    message = f"{quoted(name)} is not a variable name of A-Z, 0-9 and _, no digit first"
    return Complaint("bad-variable", message, remedy)


NAME = Rule("my-app", _name_complaint)
SERVICE_NAME = Rule("web", _service_name_complaint)
VARIABLE = Rule("LOG_LEVEL", _variable_complaint)
