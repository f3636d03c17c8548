"""Where the parts of a Python environment lie in a capsule (``docs/python.md``). Pure."""

from __future__ import annotations

import re

from capsule_builder.entries import Bytes, Entry, File, Symlink
from capsule_builder.errors import refusal

VENV = "venv"
"""The environment's directory in a capsule."""

INTERPRETER = "python"
"""The directory of a bundled interpreter in a capsule."""

INSTALLER = b"rules_capsule\n"
"""What ``INSTALLER`` says in every distribution: who laid it out (PEP 376)."""

_VERSION = re.compile(r"3\.(0|[1-9][0-9]{0,2})")


class Layout:
    """The layout for one minor version of Python, such as "3.11". Its paths are relative to the environment."""

    def __init__(self, python: str) -> None:
        if not _VERSION.fullmatch(python):
            raise refusal("python-version", f"Not a minor version of Python 3: {python}", 'Write it like this: "3.11".')
        self.python = python

    @property
    def site(self) -> str:
        """The one directory that packages lie in: purelib and platlib in one, so that ``$ORIGIN`` holds across them."""
        return f"lib/python{self.python}/site-packages"

    def headers(self, name: str) -> str:
        """The directory of a distribution's C headers; ``name`` is normalised (PEP 503)."""
        return f"include/site/python{self.python}/{name}"

    def base_entries(self, bundled: bool) -> list[Entry]:
        """What belongs to no distribution: ``pyvenv.cfg`` and the interpreter's links, as entries of the capsule.

        There is no ``home`` in the configuration: CPython finds its base by following the link, wherever that lies. The
        line on site-packages must be there, since its default is true.
        """
        program = f"python{self.python}"
        target = f"../../{INTERPRETER}/bin/{program}" if bundled else f"/opt/tori/python/{self.python}/bin/{program}"
        configuration = f"include-system-site-packages = false\nversion = {self.python}\n"
        entries: list[Entry] = [
            Symlink(f"{VENV}/bin/python", program),
            Symlink(f"{VENV}/bin/python3", program),
            Symlink(f"{VENV}/bin/{program}", target),
            File(f"{VENV}/pyvenv.cfg", False, Bytes(configuration.encode())),
        ]
        return sorted(entries, key=lambda entry: entry.path)
