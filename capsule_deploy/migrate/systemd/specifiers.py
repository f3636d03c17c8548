"""What ``%n`` and its kin stand for in a unit (systemd.unit(5), "Specifiers")."""

from __future__ import annotations

import os
import posixpath
import re

from capsule_deploy.migrate.model import Findings, Origin
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.systemd.unit import Unit
from capsule_deploy.migrate.systemd.words import expand_specifiers


class Specifiers:
    """Those of one unit; what only the old host knows is told."""

    def __init__(self, unit: Unit, places: Places, findings: Findings) -> None:
        self._unit = unit
        self._places = places
        self._findings = findings

    def expanded(self, text: str, key: str, origin: Origin) -> str:
        """The text of the directive ``key`` with its specifiers in place."""
        expanded, missing = expand_specifiers(text, self._value)
        for name in dict.fromkeys(missing):
            message = f"{name} stands for something that only the old host knows."
            self._findings.left("specifier", key, message, "Write what it stood for into the manifest.", origin)
        return expanded

    def _value(self, letter: str) -> str | None:
        stem, at, instance = self._unit.stem.partition("@")
        last = stem.rpartition("-")[2]
        file = self._places.there(os.path.abspath(self._unit.path))
        own = {
            "n": self._unit.name, "N": self._unit.stem, "p": stem, "P": _unescaped(stem),
            "j": last, "J": _unescaped(last),
            "t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc", "T": "/tmp", "V": "/var/tmp",  # noqa: S108
            "h": "/root", "u": "root", "U": "0", "g": "root", "G": "0", "s": "/bin/sh",
            "y": file, "Y": posixpath.dirname(file),
        }  # fmt: skip
        if letter in "iI" and (instance or not at):
            return instance if letter == "i" else _unescaped(instance)
        if letter == "f" and (instance or not at):
            return f"/{_unescaped(instance or stem)}"
        return own.get(letter)


def _unescaped(text: str) -> str:
    r"""What systemd's escaping of a name stands for: ``-`` is ``/``, ``\x2d`` is ``-``."""
    text = text.replace("-", "/")
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), text)
