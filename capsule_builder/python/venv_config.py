"""``pyvenv.cfg``: what a finished environment says of itself (PEP 405). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from capsule_builder.errors import Problem
from capsule_builder.paths import shown

NAME = "pyvenv.cfg"


@dataclass(frozen=True, slots=True)
class Value:
    """A key's value, and where its first byte is in the file."""

    text: str
    offset: int


def parse(data: bytes) -> dict[str, Value]:
    """The values by their keys, as CPython reads them: lower-case keys, a value may hold further ``=``.

    >>> parse(b"Home = /usr/bin")["home"]
    Value(text='/usr/bin', offset=7)
    """
    found: dict[str, Value] = {}
    start = 0
    for line in data.splitlines(keepends=True):
        key, equals, value = line.partition(b"=")
        if equals:
            blank = len(value) - len(value.lstrip())
            place = start + len(key) + 1 + blank
            name = key.decode("utf-8", "replace").strip().lower()
            found[name] = Value(value.decode("utf-8", "surrogateescape").strip(), place)
        start += len(line)
    return found


def problems(config: Mapping[str, Value], label: str) -> list[Problem]:
    """Why an environment with this configuration cannot go into a capsule; ``label`` is what messages call it."""
    found: list[Problem] = []

    def value(key: str) -> str:
        return config[key].text if key in config else ""

    if value("include-system-site-packages").lower() == "true":
        message = f"{label}: uses the packages of the Python that made it (include-system-site-packages = true)"
        remedy = "They are not in the capsule: make the environment anew without --system-site-packages."
        found.append(Problem("venv-system-site", message, remedy))
    implementation = value("implementation")
    if implementation and implementation.lower() != "cpython":
        message = f"{label}: is an environment of {shown(implementation)}"
        found.append(Problem("venv-implementation", message, "Make it anew with CPython."))
    return found


def minor_version(config: Mapping[str, Value]) -> str | None:
    """The minor version of Python that made the environment ("3.11"); None when it does not say.

    >>> minor_version(parse(b"version_info = 3.11.2.final.0"))
    '3.11'
    """
    for key in ("version", "version_info"):
        parts = config[key].text.split(".") if key in config else []
        if len(parts) >= 2 and parts[0].isdecimal() and parts[1].isdecimal():
            return f"{parts[0]}.{parts[1]}"
    return None
