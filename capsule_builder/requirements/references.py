"""Single requirements: what ``packaging`` reads, and the URLs, paths and old spellings that it does not."""

from __future__ import annotations

import re
import urllib.parse
from typing import NamedTuple

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from capsule_builder.errors import refusal
from capsule_builder.paths import shown

MAX_TEXT = 4096
"""The longest requirement, in characters: far above real ones, and below what Python's own limits trip over."""

_NAMED = re.compile(r"([A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\])?)\s*@\s*(\S.*)")
_BARE = re.compile(r"[a-z][a-z0-9+.-]*://|file:|\.|[^;]*/|[^;]*\.(?:whl|zip|tar\.\w+|tgz)\s*(?:\[|;|$)", re.I)
_LEGACY = re.compile(r"\s*([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(\[[^\]]*\])?[^;]*(?:;(.*))?", re.S)


def read_requirement(text: str) -> Requirement:
    """One requirement of a file: a PEP 508 one, ``name @ url`` however its marker is spaced, a wheel's path or URL.

    Raises:
        CapsuleError: ``requirement-invalid``, or ``requirement-source`` for what names no wheel and no project.
    """
    if named := _NAMED.fullmatch(text):
        url, marker = _split_marker(named[2])
        return _checked(f"{named[1]} @ {url}{marker}", text)
    if _BARE.match(text):
        return _bare(text)
    return _checked(text, text)


def _checked(spelled: str, text: str) -> Requirement:
    try:
        requirement = _parsed(spelled)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0]
        raise refusal(
            "requirement-invalid",
            f"not a requirement: {shown(text[:200])} ({shown(reason)})",
            "A backslash joins lines only at the very end of one."
            if text.endswith("\\")
            else "Write it as in name[extra]>=1.0,<2; python_version < '3.12'.",
        ) from error
    file = wheel_of(requirement.url)
    if file and file.name != canonicalize_name(requirement.name):
        raise refusal("requirement-invalid", f"{requirement.name} is not in the wheel that it names: {shown(text)}")
    return requirement


def _parsed(text: str) -> Requirement:
    if len(text) > MAX_TEXT:
        raise InvalidRequirement(f"it is longer than {MAX_TEXT:,} characters")
    try:
        return Requirement(text)
    except RecursionError as error:
        raise InvalidRequirement("its marker is nested too deep") from error


def _bare(text: str) -> Requirement:
    place, marker = _split_marker(text)
    extras = re.search(r"\[[^\[\]]*\]$", place)
    place = (place[: extras.start()] if extras else place).strip().replace(" ", "%20")
    wheel = wheel_of(place)
    egg = urllib.parse.parse_qs(place.partition("#")[2]).get("egg", [""])[0]
    name = wheel.name if wheel else egg
    if not name:
        raise refusal(
            "requirement-source",
            f"names neither a wheel nor a project: {shown(text)}",
            "Build a wheel of it (pip wheel) and name that, or write 'name @ URL'.",
        )
    return _checked(f"{name}{extras[0] if extras else ''} @ {place}{marker}", text)


def _split_marker(text: str) -> tuple[str, str]:
    """A URL and its marker with `` ; `` before it. The ``;`` needs no space here, and a URL may hold one of its own."""
    for found in re.finditer(";", text):
        try:
            marker = Marker(text[found.end() :].strip())
        except (InvalidMarker, RecursionError):
            continue
        return text[: found.start()].strip(), f" ; {marker}"
    return text.strip(), ""


class NamedWheel(NamedTuple):
    """What the file name of a wheel says."""

    name: str
    version: Version
    file: str


def wheel_of(url: str | None) -> NamedWheel | None:
    """The wheel that a URL or path ends in; None when it is none."""
    try:
        file = urllib.parse.unquote(urllib.parse.urlsplit(url or "").path).rpartition("/")[2]
        name, version, _, _ = parse_wheel_filename(file)
    except ValueError:  # not a URL, not a wheel's name, or a version of thousands of digits
        return None
    return NamedWheel(name, version, file)


def fragment_hashes(url: str | None) -> tuple[str, ...]:
    """The hashes in a URL's fragment (``#sha256=…``), as ``algorithm:hex``."""
    fragment = (url or "").partition("#")[2]
    return tuple(
        f"{algorithm}:{value.lower()}"
        for algorithm, value in urllib.parse.parse_qsl(fragment)
        if algorithm in {"sha256", "sha384", "sha512"}
    )


def read_dependency(text: str) -> tuple[Requirement | None, bool]:
    """A ``Requires-Dist`` line, and whether it is of an old kind that no standard reads (``foo (>=1.0.*)``).

    Of those the name, the extras and the marker are kept and the versions dropped; None when there is not even a name.
    """
    try:
        return _parsed(text), False
    except InvalidRequirement:
        pass
    found = _LEGACY.fullmatch(text)
    if not found:
        return None, True
    try:
        return _parsed(f"{found[1]}{found[2] or ''}{' ; ' + found[3] if found[3] else ''}"), True
    except InvalidRequirement:
        return None, True
