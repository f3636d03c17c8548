"""Versions: of the application (https://semver.org, 2.0.0) and of Python."""

from __future__ import annotations

import re

from capsule_builder.manifest.problems import quoted
from capsule_builder.manifest.rule import Complaint, Rule

_NUMBER = "(?:0|[1-9][0-9]*)"
_PRE_RELEASE = f"(?:{_NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
VERSION_PATTERN = (
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_PRE_RELEASE}(?:\.{_PRE_RELEASE})*)?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?"
)
VERSION_LENGTH = 128

PYTHON_PATTERN = r"3\.(?:0|[1-9][0-9]?)"


def _version_complaint(text: str) -> Complaint | None:
    if len(text) > VERSION_LENGTH:
        message = f"the version has {len(text)} characters, and may have {VERSION_LENGTH} at most"
        return Complaint("bad-version", message, "shorten it")
    if re.fullmatch(VERSION_PATTERN, text):
        return None
    message = f"{quoted(text)} is not a semantic version" if text else "is empty"
    likely = _likely_version(text)
    remedy = f"write {quoted(likely)}" if likely else 'write three numbers, as in "2.1.0" or "2.1.0-rc.1"'
    return Complaint("bad-version", message, remedy)


def _likely_version(text: str) -> str | None:
    """The semantic version that was most likely meant: ``v1.2`` is 1.2.0, ``2024.01.02`` is 2024.1.2."""
    match = re.fullmatch(r"[vV]?([0-9]+)(?:[.-]([0-9]+))?(?:[.-]([0-9]+))?([-+][0-9A-Za-z.+-]+)?", text.strip())
    if match is None:
        return None
    numbers = ".".join((number or "0").lstrip("0") or "0" for number in match.group(1, 2, 3))
    likely = numbers + (match.group(4) or "")
    return likely if re.fullmatch(VERSION_PATTERN, likely) else None


def _python_complaint(text: str) -> Complaint | None:
    if re.fullmatch(PYTHON_PATTERN, text):
        return None
    message = f"{quoted(text)} is not a version of Python, major and minor alone" if text else "is empty"
    likely = re.search(rf"(?<![0-9.]){PYTHON_PATTERN}(?![0-9])", text[:40])
    return Complaint("bad-python", message, f"write {quoted(likely.group() if likely else '3.11')}")


VERSION = Rule("1.0.0", _version_complaint)
PYTHON = Rule("3.11", _python_complaint)
