"""Whoever made the environment, where, when and how: the capsule of one application and one lock has one ID."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.environment import builders
from tests.environment.builders import BUILDERS, Builder
from tests.environment.corpus import (
    LOCK,
    OTHER,
    PLAIN,
    PYTHON,
    SITE,
    WHEELS,
    Situation,
    application,
    capsbuild,
    unpack,
)
from tests.environment.host import PLACE, Host

PLACES = {"plain": (PLAIN, "venv"), "other": (OTHER, "a far longer place, with spaces & signs/of some depth/env")}


def link_tree(source: Path, target: Path) -> Path:
    """A copy that shares its files: to be read alone."""
    return Path(shutil.copytree(source, target, symlinks=True, copy_function=os.link))


def age(place: Path, days: int) -> None:
    """Dates everything back, as if it had been written that long ago."""
    then = time.time_ns() - days * 86_400 * 10**9
    for path in [place, *place.rglob("*")]:
        os.utime(path, ns=(then, then), follow_symlinks=False)


@pytest.fixture(scope="module")
def expected(app: Path, place: Path) -> str:
    """The ID of the capsule that is made of the wheels."""
    return str(capsbuild("--from-dir", app, "--wheels", WHEELS, "--output", place / "wheels.tar.gz")["id"])


@pytest.fixture(scope="module")
def whole(place: Path) -> Path:
    """The application with a finished environment in it."""
    path = application(place / "whole")
    builders.uv(path / "venv", PLAIN)
    return path


@pytest.fixture(scope="module")
def by_pip(place: Path) -> Path:
    """The environment that everyone can make, at the place where it was made."""
    builders.venv_and_pip(place / "by pip" / "venv", PLAIN)
    return place / "by pip" / "venv"


Identified = Callable[..., str]


@pytest.fixture
def identified(tmp_path: Path) -> Identified:
    def build(*arguments: str | Path, situation: Situation = PLAIN) -> str:
        return str(capsbuild(*arguments, "--output", tmp_path / "a.tar.gz", situation=situation)["id"])

    return build


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
        venv = place / builder.__name__ / where
        if (builder, situation) == (builders.venv_and_pip, PLAIN):
            venv = by_pip
        else:
            builder(venv, situation)
            age(venv, situation.days)
        raw[name] = [path.stat() for path in venv.rglob("*") if path.is_file() and not path.is_symlink()]
        output = tmp_path / f"{name}.tar.gz"
        built[name] = capsbuild("--from-dir", app, "--venv", venv, "--output", output, situation=situation)
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


def test_the_environment_in_the_application(whole: Path, expected: str, identified: Identified) -> None:
    assert identified("--from-dir", whole) == expected


# ZIPs of the application with a finished environment


def zip_following_links(whole: Path, output: Path) -> None:
    subprocess.run(["zip", "-q", "-1", "-r", output, whole.name], cwd=whole.parent, check=True)


def zip_with_links(whole: Path, output: Path) -> None:
    subprocess.run(["zip", "-q", "-1", "-r", "-y", output, whole.name], cwd=whole.parent, check=True)


def make_archive(whole: Path, output: Path) -> None:
    shutil.make_archive(str(output.with_suffix("")), "zip", whole.parent, whole.name)


@pytest.mark.parametrize(
    ("how", "second_library", "linked"),
    [(zip_following_links, "files", False), (zip_with_links, "link", True), (make_archive, "nothing", False)],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_zip(
    how: Callable[[Path, Path], None], second_library: str, linked: bool, whole: Path, expected: str,
    tmp_path: Path, identified: Identified,
) -> None:  # fmt: skip
    how(whole, tmp_path / "whole.zip")
    with zipfile.ZipFile(tmp_path / "whole.zip") as archive:
        below = [info for info in archive.infolist() if "/venv/lib64" in info.filename and not info.is_dir()]
        links = {info.filename for info in archive.infolist() if info.external_attr >> 28 == 0o12}
    found = "nothing" if not below else "link" if links & {below[0].filename} else "files"
    assert (found, bool(links)) == (second_library, linked), "three ways, three trees"
    assert identified("--from-zip", tmp_path / "whole.zip", "--strip-components", "1") == expected


# The capsule itself


def test_a_capsule_built_of_what_was_unpacked(
    place: Path, app: Path, expected: str, tmp_path: Path, identified: Identified
) -> None:
    capsule = place / "again.tar.gz"
    first = capsbuild("--from-dir", app, "--wheels", WHEELS, "--output", capsule, situation=OTHER)
    assert first["id"] == expected
    unpacked = unpack(capsule, tmp_path / "unpacked")
    metadata = json.loads((unpacked / ".capsule_metadata.json").read_text())
    assert (metadata["id"], metadata["requirements"]) == (expected, "verified")
    generated = [path.name for path in unpacked.iterdir() if path.name.startswith(".capsule_")]
    assert len(generated) >= 2
    for name in generated:
        (unpacked / name).unlink()
    assert identified("--from-dir", unpacked) == expected


# Bytecode


def test_bytecode_is_the_same_whoever_made_the_environment(whole: Path, app: Path, place: Path) -> None:
    archive = place / "compiled.tar.gz"
    built = [
        capsbuild(*arguments, "--bytecode", "unchecked-hash", "--output", archive, situation=situation)
        for arguments, situation in [(["--from-dir", app, "--wheels", WHEELS], PLAIN), (["--from-dir", whole], OTHER)]
    ]
    assert built[0]["id"] == built[1]["id"]

    unpacked = unpack(archive, place / "compiled")
    metadata = json.loads((unpacked / ".capsule_metadata.json").read_text())
    assert (metadata["id"], metadata["requirements"]) == (built[0]["id"], "verified")
    host = Host(unpacked)
    commands = [[PLACE / "venv/bin/idna", "--version"], [PLACE / "venv/bin/python", "serve.py"]]
    before = host.run(commands, cwd=PLACE)
    assert [ran.status for ran in before] == [0, 0], before
    for module in ("idna/cli.py", "flask/__init__.py", "numpy/__init__.py"):
        (unpacked / SITE / module).write_text("raise SystemExit('the source was read')\n")
    assert host.run(commands, cwd=PLACE) == before, "nobody looks at the sources"


# That it can fail


def test_one_byte_more_has_another_id(whole: Path, expected: str, tmp_path: Path, identified: Identified) -> None:
    changed = link_tree(whole, tmp_path / "changed")
    site = changed / SITE
    (record,) = site.glob("PySocks-*.dist-info/RECORD")
    data = (site / "socks.py").read_bytes() + b"\n"
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    rows = re.sub(r"(?m)^socks\.py,.*$", f"socks.py,sha256={digest},{len(data)}", record.read_text())
    for path, content in ((site / "socks.py", data), (record, rows.encode())):
        path.unlink()  # it is a link to the other environment's file
        path.write_bytes(content)
    assert identified("--from-dir", changed) != expected
