"""What a build is asked for. Light: nothing here reads anything."""

from __future__ import annotations

from typing import NamedTuple

DEFAULT_PLATFORM = "manylinux_2_28_x86_64"
"""The platform of the capsule's hosts unless it is stated, as pip names it."""


class Source(NamedTuple):
    """Where the application lies: the directory ``path``, or a ZIP, whose names lose ``strip_components`` parts."""

    path: str
    is_zip: bool = False
    strip_components: int = 0


class Wish(NamedTuple):
    """What a build was asked for: a folder of ``wheels`` or a finished ``venv``, a ``requirements`` file, a platform.

    ``verify`` is False when the requirements are not to be checked.
    """

    wheels: str | None = None
    venv: str | None = None
    requirements: str | None = None
    platform: str = DEFAULT_PLATFORM
    verify: bool = True


class PythonOptions(NamedTuple):
    """How the Python environment is made.

    ``wish`` says of what; ``interpreter`` is a directory with a relocatable Python to bundle; with ``bytecode`` it is
    compiled, by the interpreter ``compiler`` if one is named.
    """

    wish: Wish = Wish()
    interpreter: str | None = None
    bytecode: bool = False
    compiler: str | None = None
