"""The same wheels through both doors: as they are, and as pip and uv install them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from capsule_builder.errors import CapsuleError
from tests.relocate.environments import Files, from_wheels, relocated, run, uv_pip, uv_venv

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE = f"venv/lib/python{HERE}/site-packages"
INSTALLERS = ("pip", "uv")


def install(place: Path, wheels: Sequence[Path], installer: str) -> None:
    """An environment of the wheels, and of nothing else."""
    uv_venv(place)
    if installer == "uv":
        uv_pip(place, wheels, "--link-mode", "copy")
    else:
        options = ["-q", "--no-index", "--no-deps", "--force-reinstall"]
        run(sys.executable, "-m", "pip", "--python", place / "bin" / "python", "install", *options, *wheels)


def through_wheels(*wheels: Path) -> Files | list[str]:
    """What becomes of the wheels, or the codes of their refusal."""
    try:
        return from_wheels(wheels, HERE)
    except CapsuleError as error:
        return [problem.code for problem in error.problems]


def through_venv(installer: str, *wheels: Path) -> Files | list[str]:
    """What becomes of an environment of the wheels, or the codes of its refusal."""
    place = wheels[0].parent / f"by-{installer}"
    shutil.rmtree(place, ignore_errors=True)
    install(place, wheels, installer)
    try:
        files, environment = relocated(place, HERE)
    except CapsuleError as error:
        return [problem.code for problem in error.problems]
    return [problem.code for problem in environment.leftovers] or files
