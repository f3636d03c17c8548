"""Wheels whose own account of themselves is wrong: the message says in what."""

from __future__ import annotations

from pathlib import Path

import pytest

from capsule_builder.archive.zip import ZipReader
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.python.layout import Layout
from capsule_builder.python.wheel import read_wheel
from tests.relocate.environments import relocated
from tests.relocate.wheels import wheel
from tests.wheels.doors import HERE, INSTALLERS, install, through_venv, through_wheels

NAMED = b"Metadata-Version: 2.1\nName: demo\n"
METADATA = {
    b"": "is empty",
    b"\n": "is empty",
    b"\xef\xbb\xbf" + NAMED + b"Version: 1\n": "begins with a byte order mark, which hides its first line",
    NAMED + b"Name: other\nVersion: 1\n": "has 2 lines Name",
    NAMED + b"Version: 1\nVersion: 1\n": "has 2 lines Version",
    NAMED: "has no line Version",
    b"Version: 1\n": "has no line Name",
}


def refused(path: Path) -> Problem:
    with ZipReader(str(path)) as reader, pytest.raises(CapsuleError) as error:
        read_wheel(reader, path.name, Layout(HERE))
    (problem,) = error.value.problems
    return problem


@pytest.mark.parametrize("metadata", METADATA)
def test_metadata_that_name_nobody_are_refused_with_the_reason(metadata: bytes, tmp_path: Path) -> None:
    problem = refused(wheel(tmp_path, "demo", "1", {"DI/METADATA": metadata}))
    assert problem.code == "wheel-metadata"
    assert problem.message == f"demo-1-py3-none-any.whl: its METADATA {METADATA[metadata]}"


@pytest.mark.parametrize("metadata", METADATA)
def test_those_of_an_environment_likewise(metadata: bytes, tmp_path: Path) -> None:
    install(tmp_path / "venv", [wheel(tmp_path, "demo", "1", {"demo.py": b""})], "uv")
    (path,) = (tmp_path / "venv").glob("lib/*/site-packages/demo-1.dist-info/METADATA")
    path.write_bytes(metadata)
    with pytest.raises(CapsuleError) as error:
        relocated(tmp_path / "venv")
    told = {problem.code: problem.message for problem in error.value.problems}
    assert told["venv-metadata"] == f"demo-1.dist-info: its METADATA {METADATA[metadata]}"


WHEEL = b"Root-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"DI/WHEEL": WHEEL}, "Incompatible Wheel-Version None, only support version 1.x wheels."),
        (
            {"DI/WHEEL": b"Wheel-Version: 2.0\n" + WHEEL},
            "Incompatible Wheel-Version 2.0, only support version 1.x wheels.",
        ),
        ({"DATA/foo/x": b""}, "demo-1.data/foo/x is not contained in a valid .data subdirectory."),
    ],
)
def test_another_format_is_refused_in_words(files: dict[str, bytes], reason: str, tmp_path: Path) -> None:
    problem = refused(wheel(tmp_path, "demo", "1", files))
    assert problem.code == "wheel-format"
    assert problem.message == f"demo-1-py3-none-any.whl: not a wheel of format 1: {reason}"


@pytest.mark.parametrize("name", ["a b", "a'b", "$x", "a+b", "a,b", "pip", "pip3", "pip3.11", "easy_install"])
def test_programs_that_installers_call_otherwise_are_refused(name: str, tmp_path: Path) -> None:
    text = f"[console_scripts]\n{name} = demo:main\n".encode()
    built = wheel(tmp_path, "demo", "1", {"demo.py": b"def main(): pass\n", "DI/entry_points.txt": text})
    assert through_wheels(built) == ["entry-point"]
    for installer in INSTALLERS:
        assert "entry-point" in through_venv(installer, built)


@pytest.mark.parametrize("name", ["a.b-c_d", "é", "pip-x", "pipx", "wheel", "pip_run"])
def test_other_programs_are_taken(name: str, tmp_path: Path) -> None:
    text = f"[console_scripts]\n{name} = demo:main\n".encode()
    built = wheel(tmp_path, "demo", "1", {"demo.py": b"def main(): pass\n", "DI/entry_points.txt": text})
    files = through_wheels(built)
    assert f"venv/bin/{name}" in files
    for installer in INSTALLERS:
        assert through_venv(installer, built) == files


@pytest.mark.parametrize("line", ["#!python-x", "#!pythonx", "#!python_ -E", "#!pythonw-x", "#!python.x", "#!py"])
def test_first_lines_like_the_placeholder_are_what_installers_take_them_for(line: str, tmp_path: Path) -> None:
    built = wheel(tmp_path, "demo", "1", {"DATA/scripts/s": f"{line}\n1\n".encode()})
    files = through_wheels(built)
    assert ("venv/libexec/s" in files) is (line != "#!py")
    for installer in INSTALLERS:
        assert through_venv(installer, built) == files
