"""Whoever made the environment, where, when and how: the capsule of one application and one lock has one ID."""

from __future__ import annotations

import os
import re
import shutil
import time
import zipfile
from pathlib import Path

import pytest

from tests.environment import builders
from tests.environment.builders import BUILDERS, Builder
from tests.environment.conftest import Identified
from tests.environment.corpus import (
    LOCK,
    OTHER,
    OTHER_TODAY,
    PLAIN,
    PYTHON,
    WHEELS,
    capsbuild,
    link_tree,
)

PLACES = {"plain": (PLAIN, "venv"), "other": (OTHER, "a far longer place, with spaces & signs/of some depth/env")}


def age(place: Path, days: int) -> None:
    """Dates everything back, as if it had been written that long ago."""
    then = time.time_ns() - days * 86_400 * 10**9
    for path in [place, *place.rglob("*")]:
        os.utime(path, ns=(then, then), follow_symlinks=False)


@pytest.fixture(scope="module")
def by_pip(place: Path) -> Path:
    """The environment that everyone can make, at the place where it was made."""
    builders.venv_and_pip(place / "by pip" / "venv", PLAIN)
    return place / "by pip" / "venv"


# What the proof is worth


def test_the_lock_is_a_real_one() -> None:
    names = re.findall(r"^([a-z0-9.-]+)==", LOCK.read_text(), re.M)
    wheels = sorted(WHEELS.glob("*.whl"))
    assert len(names) == len(set(names)) == len(wheels) >= 70
    assert "://" not in LOCK.read_text(), "no registry's address"
    programs = set()
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith(".dist-info/entry_points.txt"):
                    section = archive.read(name).decode().partition("[console_scripts]")[2].partition("\n[")[0]
                    programs |= set(re.findall(r"^\s*([\w.-]+)\s*=", section, re.M))
    assert len(programs) >= 30


def test_the_situations_differ_in_truth() -> None:
    program = (
        "import os, time; umask = os.umask(0); print(umask, hash('capsule'), time.time(), time.localtime().tm_zone)"
    )
    plain, other = (situation.run(PYTHON, "-c", program).split() for situation in (PLAIN, OTHER))
    assert (plain[0], other[0]) == (str(0o022), str(0o077))
    assert plain[1] != other[1] and plain[3] != other[3]
    assert 2 * 86_400 - 60 < float(other[2]) - float(plain[2]) < 2 * 86_400 + 60


# Six builders


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
def test_whoever_makes_it_at_any_place_and_time(
    builder: Builder, place: Path, app: Path, by_pip: Path, expected: str, tmp_path: Path
) -> None:
    built = {}
    raw = {}
    for name, (situation, where) in PLACES.items():
        today = OTHER_TODAY if situation == OTHER else situation
        venv = place / builder.__name__ / where
        if (builder, situation) == (builders.venv_and_pip, PLAIN):
            venv = by_pip
        else:
            builder(venv, situation)
            age(venv, situation.days)
        raw[name] = [path.stat() for path in venv.rglob("*") if path.is_file() and not path.is_symlink()]
        output = tmp_path / f"{name}.tar.gz"
        built[name] = capsbuild("--from-dir", app, "--venv", venv, "--output", output, situation=today)
        if venv != by_pip:
            shutil.rmtree(venv)
    assert {said["id"] for said in built.values()} == {expected}
    assert len({said["archive_sha256"] for said in built.values()}) == 1, "the bytes are the same, too"
    modes, days = (
        [{what(stat) for stat in stats} for stats in raw.values()]
        for what in (lambda stat: stat.st_mode & 0o077, lambda stat: int(stat.st_mtime) // 86_400)
    )
    assert modes[0] != modes[1] and not days[0] & days[1], "they were not alike before"


def test_a_venv_with_a_copied_interpreter(place: Path, app: Path, expected: str, identified: Identified) -> None:
    venv = place / "copies"
    builders.venv_of_copies(venv, PLAIN)
    assert not any((venv / "bin" / name).is_symlink() for name in ("python", "python3"))
    assert identified("--from-dir", app, "--venv", venv) == expected


def test_a_venv_that_was_moved(by_pip: Path, app: Path, expected: str, tmp_path: Path, identified: Identified) -> None:
    moved = link_tree(by_pip, tmp_path / "elsewhere" / "env")
    assert str(by_pip).encode() in (moved / "bin" / "flask").read_bytes()
    assert identified("--from-dir", app, "--venv", moved) == expected
