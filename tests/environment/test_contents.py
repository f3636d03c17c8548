"""What is in the capsule: every file is accounted for, by readers that are not ours; and what it takes to build it."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import os
import shutil
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.environment.corpus import (
    LARGE_WHEELS,
    PLAIN,
    PYTHON,
    REPOSITORY,
    SITE,
    WHEELS,
    capsbuild,
    files_of,
    unpack,
)
from tests.environment.host import PLACE, Host, Ran
from tests.interpreter.test_interpreter import from_disk, mend

MIB = 1 << 20


def rows(venv: Path) -> Iterable[tuple[str, str, str, str]]:
    """The rows of every RECORD: the path relative to the environment, hash, size, and the RECORD's own path."""
    site = venv / SITE.partition("/")[2]
    for record in sorted(site.glob("*.dist-info/RECORD")):
        with record.open(newline="", encoding="utf-8") as file:
            for path, stated, size in csv.reader(file):
                place = os.path.normpath(site / path)
                yield os.path.relpath(place, venv), stated, size, os.path.relpath(record, venv)


def test_every_file_is_in_a_record_and_every_row_is_true(capsule: Path) -> None:
    venv = capsule / "venv"
    named = set()
    for path, stated, size, record in rows(venv):
        named.add(path)
        if path == record:
            assert (stated, size) == ("", "")
            continue
        data = (venv / path).read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        assert (stated, size) == (f"sha256={digest}", str(len(data))), path
    own = {"bin/python", "bin/python3", "bin/python3.11", "pyvenv.cfg"}
    assert files_of(venv) == named | own and not named & own
    assert len(named) > 15_000
    assert not [path for path in named if "__pycache__" in path]


def test_importlib_finds_every_file(capsule: Path) -> None:
    """Another reader of RECORDs: the one that programs use at run time."""
    found = list(importlib.metadata.distributions(path=[str(capsule / SITE)]))
    wheels = {name.split("-")[0].lower().replace("_", "-").replace(".", "-") for name in os.listdir(WHEELS)}
    assert {one.name.lower().replace("_", "-").replace(".", "-") for one in found} == wheels
    for one in found:
        assert one.read_text("INSTALLER") == "rules_capsule\n"
        for file in one.files or pytest.fail(f"{one.name} has no files"):
            assert os.path.isfile(one.locate_file(file)), file
            assert file.hash is not None or str(file).endswith(".dist-info/RECORD")


def test_requirements_are_met_in_the_opinion_of_pip(capsule: Path) -> None:
    """The capsule has its own, since httpie requires it."""
    (ran,) = Host(capsule).run([[PLACE / "venv/bin/python", "-m", "pip", "--no-cache-dir", "check"]])
    assert ran == Ran(0, "No broken requirements found.\n", "")


def test_scripts_of_wheels_keep_their_text(capsule: Path) -> None:
    """docutils' are Python scripts that installers rewrite; aws's completers and ruff's program are no Python."""
    kept = {}
    for name in ("docutils", "awscli", "ruff", "jmespath"):
        (wheel,) = WHEELS.glob(f"{name}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if ".data/scripts/" in member and not member.endswith("/"):
                    kept[os.path.basename(member)] = archive.read(member)
    assert len(kept) >= 17
    for name, data in kept.items():
        beside = capsule / "venv" / "libexec" / name
        assert beside.exists() == data.startswith(b"#!python") or data.startswith(b"#!/usr/bin/env python"), name
        assert (beside if beside.exists() else capsule / "venv" / "bin" / name).read_bytes() == data, name
    assert os.access(capsule / "venv/bin/ruff", os.X_OK) and not os.access(capsule / "venv/bin/aws.cmd", os.X_OK)


# Bundled interpreter


def test_with_its_own_interpreter_it_needs_none_of_the_host(place: Path, app: Path) -> None:
    files, links = from_disk("3.11")
    mend(files, links)
    source = place / "interpreter"
    for path, data in files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    for path, target in links.items():
        (source / path).symlink_to(target)
    # It is of this machine, and needs this machine's glibc.
    glibc = os.confstr("CS_GNU_LIBC_VERSION").split()[1].replace(".", "_")
    options = ["--interpreter", source, "--platform", f"manylinux_{glibc}_{os.uname().machine}"]
    capsbuild("--from-dir", app, *options, "--wheels", WHEELS, "--output", place / "bundled.tar.gz")
    unpacked = unpack(place / "bundled.tar.gz", place / "bundled")
    for program in (unpacked / "python" / "bin").iterdir():
        assert program.is_symlink() or os.access(program, os.X_OK)
    real = os.path.realpath(PYTHON)
    prefix = os.path.dirname(os.path.dirname(real))
    host = Host(
        unpacked,
        contract=False,
        hidden=(real, f"{prefix}/lib/python3.11"),
        runner=str(PLACE / "venv/bin/python"),
    )
    program = "import sys; print(sys.prefix, sys.base_prefix, [p for p in sys.path if not p.startswith(sys.argv[1])])"
    ran = host.run(
        [
            [PLACE / "venv/bin/python", PLACE / "serve.py"],
            [PLACE / "venv/bin/flask", "--version"],
            [PLACE / "venv/bin/rst2html.py", "--version"],
            [PLACE / "venv/bin/python", "-I", "-c", program, PLACE],
            [real, "-c", "1"],
        ],
        {},
    )
    assert ran[0] == Ran(0, f"{PLACE}/venv {PLACE}/python flask 6\n", "")
    assert ran[1].status == 0 and ran[1].out.startswith("Python 3.11."), ran[1]
    assert ran[2].status == 0 and ran[2].out.startswith("rst2html.py (Docutils 0.19")
    assert ran[3] == Ran(0, f"{PLACE}/venv {PLACE}/python []\n", "")
    assert ran[4].status == -1, "the host has none"


# Memory

# A process begins with the greatest size of the one that made it, and the tests' own may be large.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_many_large_wheels_take_little_memory(place: Path, app: Path) -> None:
    folder = place / "many wheels"
    folder.mkdir()
    for name, wheel in {wheel.name: wheel for wheel in [*WHEELS.glob("*.whl"), *LARGE_WHEELS.glob("*.whl")]}.items():
        (folder / name).symlink_to(wheel)
    huge_wheel(folder / "huge-1.0-py3-none-any.whl", 400 * MIB)
    total = sum(wheel.stat().st_size for wheel in folder.iterdir())
    assert len(list(folder.iterdir())) >= 79 and total > 120 * MIB
    plain = application_without_requirements(place)
    command = [sys.executable, "-c", MEASURE, sys.executable, "-m", "capsule_builder.cli.capsbuild", "--quiet"]
    command += ["--from-dir", plain, "--wheels", folder, "--no-verify-requirements", "--compression-level", "1"]
    peak = int(PLAIN.run(*command, "--output", place / "large.tar.gz", cwd=REPOSITORY)) * 1024
    print(f"{peak / MIB:.0f} MiB for {total / MIB:.0f} MiB of wheels")
    assert 20 * MIB < peak < 256 * MIB


def application_without_requirements(place: Path) -> Path:
    path = place / "without requirements"
    path.mkdir()
    text = (place / "app" / "capsule.yml").read_text()
    (path / "capsule.yml").write_text("".join(line for line in text.splitlines(True) if "requirements" not in line))
    shutil.copyfile(place / "app" / "serve.py", path / "serve.py")
    return path


def huge_wheel(path: Path, size: int) -> None:
    """A wheel with one file of ``size`` bytes."""
    block = os.urandom(MIB // 64) * 64
    digest = hashlib.sha256()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("huge/data.bin", "w", force_zip64=True) as file:
            for _ in range(size // MIB):
                file.write(block)
                digest.update(block)
        info = {
            "huge/__init__.py": b"",
            "huge-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: huge\nVersion: 1.0\n",
            "huge-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = [("huge/data.bin", digest.digest(), size)]
        for name, data in info.items():
            archive.writestr(name, data)
            record.append((name, hashlib.sha256(data).digest(), len(data)))
        lines = [f"{n},sha256={base64.urlsafe_b64encode(d).decode().rstrip('=')},{s}" for n, d, s in record]
        archive.writestr("huge-1.0.dist-info/RECORD", "\n".join([*lines, "huge-1.0.dist-info/RECORD,,", ""]))
