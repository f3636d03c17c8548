"""Who makes environments: each builder installs the whole lock from the folder of wheels, hashes checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.environment.corpus import LOCK, PLAIN, PYTHON, TOOLS, WHEELS, Situation

Builder = Callable[[Path, Situation], None]

_WHAT = ("--no-index", "--find-links", WHEELS, "--require-hashes", "--no-deps", "-r", LOCK)


def _pip(place: Path, situation: Situation, *options: str) -> None:
    situation.run(place / "bin" / "python", "-m", "pip", "install", "-q", *options, *_WHAT)


def _uv(place: Path, situation: Situation, *options: str) -> None:
    situation.run(TOOLS / "uv", "venv", "-q", "-p", PYTHON, *options, place)
    uv_install(place, situation)


def uv_install(place: Path, situation: Situation = PLAIN) -> None:
    """Fills an environment by uv; without a cache, so that nothing of one run is left for the next."""
    python = place / "bin" / "python"
    situation.run(TOOLS / "uv", "pip", "install", "-q", "--no-cache", *_WHAT, "-p", python)


def venv_and_pip(place: Path, situation: Situation) -> None:
    situation.run(PYTHON, "-m", "venv", place)
    _pip(place, situation)


def virtualenv_and_pip(place: Path, situation: Situation) -> None:
    situation.run(TOOLS / "virtualenv", "-q", "--no-download", "--no-periodic-update", "-p", PYTHON, place)
    _pip(place, situation, "--no-compile")


def uv(place: Path, situation: Situation) -> None:
    _uv(place, situation)


def uv_relocatable(place: Path, situation: Situation) -> None:
    _uv(place, situation, "--relocatable")


def venv_of_copies(place: Path, situation: Situation) -> None:
    """The interpreter is a file. uv fills it, for pip does nothing else here than in other environments."""
    situation.run(PYTHON, "-m", "venv", "--copies", "--without-pip", place)
    uv_install(place, situation)


BUILDERS: list[Builder] = [venv_and_pip, virtualenv_and_pip, uv, uv_relocatable]
