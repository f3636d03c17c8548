"""Files that a wheel puts where they do not belong: refused from it, and from an environment of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.relocate.wheels import wheel
from tests.wheels.doors import HERE, INSTALLERS, SITE, through_venv, through_wheels

PYTHON = f"python{HERE}"
INFO = "demo-1.0.dist-info"
OTHER = b"Metadata-Version: 2.1\nName: other\nVersion: 1.0\n"
PROGRAM = b"[console_scripts]\ndemo = demo:main\n"

REFUSED: dict[str, tuple[dict[str, bytes], str, str, str]] = {
    # by the wheel; by pip's environment; by uv's, or an empty text where uv does not install it
    "Python script in a directory": ({"DATA/scripts/sub/s": b"#!python\n"}, "package-script", "package-script", ""),
    "Python data in a directory of bin": (
        {"DATA/data/bin/sub/s": b"#!/usr/bin/env python3\n"},
        *["package-script"] * 3,
    ),
    ".data in purelib": ({"DATA/purelib/x.data/s": b""}, *["wheel-data"] * 3),
    "metadata of another": (
        {
            "DATA/purelib/other-1.0.dist-info/METADATA": OTHER,
            "DATA/purelib/other-1.0.dist-info/RECORD": b"other-1.0.dist-info/METADATA,,\n",
        },
        *["wheel-metadata"] * 3,
    ),
    "metadata without a RECORD": (
        {f"DATA/data/lib/{PYTHON}/site-packages/other-1.0.dist-info/METADATA": OTHER},
        "wheel-metadata", "venv-no-record", "venv-no-record",
    ),
    "egg-info": ({"other.egg-info/PKG-INFO": OTHER}, "wheel-metadata", "venv-no-record", "venv-no-record"),
    "programs that no installer knows": (
        {f"DATA/purelib/{INFO}/entry_points.txt": PROGRAM},
        "wheel-metadata", "record-unnamed", "record-unnamed",
    ),
    "lib64": ({"DATA/data/lib64/x.so": b""}, *["package-reserved"] * 3),
    "library of another Python": (
        {"DATA/data/lib/python3.9/site-packages/x.py": b""},
        "package-reserved", "venv-two-pythons", "venv-two-pythons",
    ),
    "pyvenv.cfg": ({"DATA/data/pyvenv.cfg": b"home = /x\n"}, *["package-reserved"] * 3),
    "interpreter": ({"DATA/scripts/python": b"#!python\n"}, "package-reserved", "package-reserved", ""),
    "libexec, after": (
        {"DATA/scripts/s": b"#!python\n1\n", "DATA/data/libexec/s": b"x"},
        *["package-collision"] * 3,
    ),
    "libexec, before": (
        {"DATA/data/libexec/s": b"x", "DATA/data/bin/s": b"#!python\n1\n"},
        *["package-collision"] * 3,
    ),
    "program and file": (
        {"DATA/data/bin/demo": b"x\n", "DI/entry_points.txt": PROGRAM},
        "package-collision", "record-duplicate", "record-duplicate",
    ),
    "headers in two spellings": (
        {f"DATA/data/include/site/{PYTHON}/{name}/q.h": name.encode() for name in ("Demo", "DEMO")},
        *["package-collision"] * 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_distribution_may_not_have_is_refused(case: str, tmp_path: Path) -> None:
    files, by_wheels, by_pip, by_uv = REFUSED[case]
    built = wheel(tmp_path, "demo", "1.0", {"demo.py": b"def main(): pass\n", **files})
    assert through_wheels(built) == [by_wheels]
    assert set(through_venv("pip", built)) == {by_pip}
    if by_uv:
        assert set(through_venv("uv", built)) == {by_uv}


TAKEN: dict[str, tuple[dict[str, bytes], dict[str, bytes]]] = {
    "no script in a directory of bin": (
        {"DATA/data/bin/sub/s": b"#!/bin/sh\n"},
        {"venv/bin/sub/s": b"#!/bin/sh\n"},
    ),
    "headers of the distribution in another spelling": (
        {f"DATA/data/include/site/{PYTHON}/DEMO/q.h": b"1"},
        {f"venv/include/site/{PYTHON}/demo/q.h": b"1"},
    ),
    "headers beside those of the distribution": (
        {"DATA/headers/q.h": b"1", f"DATA/data/include/site/{PYTHON}/other/q.h": b"2"},
        {f"venv/include/site/{PYTHON}/demo/q.h": b"1", f"venv/include/site/{PYTHON}/other/q.h": b"2"},
    ),
    "header beside the directories": (
        {f"DATA/data/include/site/{PYTHON}/demo.h": b"1"},
        {f"venv/include/site/{PYTHON}/demo.h": b"1"},
    ),
    "site-packages by way of lib64": (
        {f"DATA/data/lib64/{PYTHON}/site-packages/q.py": b"1", "q.py": b"1"},
        {f"{SITE}/q.py": b"1"},
    ),
    "vendored metadata": (
        {"demo_vendor/other-1.0.dist-info/METADATA": OTHER},
        {f"{SITE}/demo_vendor/other-1.0.dist-info/METADATA": OTHER},
    ),
}


@pytest.mark.parametrize("case", TAKEN)
def test_what_lies_in_odd_places_is_taken_alike(case: str, tmp_path: Path) -> None:
    given, expected = TAKEN[case]
    built = wheel(tmp_path, "demo", "1.0", {"demo.py": b"", **given})
    files = through_wheels(built)
    assert isinstance(files, dict)
    place = f"{SITE}/{INFO}/"
    assert {path: data for path, (_, data) in files.items() if not path.startswith(place)} == {
        f"{SITE}/demo.py": b"",
        **expected,
    }
    for installer in INSTALLERS:
        assert through_venv(installer, built) == files


@pytest.mark.parametrize("spelled", ["Demo.Thing-1.0", "demo-thing-1", "demo_thing-1.0.0"])
def test_a_data_directory_may_be_spelled_in_another_way(spelled: str, tmp_path: Path) -> None:
    """pip takes every ``.data`` for the distribution's; uv only what is spelled alike, and ships the rest."""
    built = wheel(tmp_path, "Demo_Thing", "1.0", {f"{spelled}.data/scripts/s": b"#!python\n1\n"})
    files = through_wheels(built)
    assert isinstance(files, dict) and files["venv/libexec/s"] == (True, b"#!python\n1\n")
    assert through_venv("pip", built) == files
    assert through_venv("uv", built) == ["wheel-data"]


@pytest.mark.parametrize("spelled", ["other-1.0", "demo-2.0", "demo", ""])
def test_a_data_directory_of_another_is_refused(spelled: str, tmp_path: Path) -> None:
    built = wheel(tmp_path, "demo", "1.0", {f"{spelled}.data/scripts/s": b"#!python\n"})
    assert through_wheels(built) == ["wheel-data"]
    assert through_venv("uv", built) == ["wheel-data"]


@pytest.mark.parametrize("place", ["DATA", "demo-1.data", "DATA/purelib", "DATA/x"])
def test_a_file_where_a_data_directory_must_be_is_refused(place: str, tmp_path: Path) -> None:
    place = place.replace("DATA", "demo-1.0.data")
    assert through_wheels(wheel(tmp_path, "demo", "1.0", {place: b""})) == ["wheel-data"]
