"""Bytes that still name the environment's place are found wherever they are, and nothing else is taken for them."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from capsule_builder.archive.zip import ZipReader
from capsule_builder.entries import Deflated
from capsule_builder.python.layout import Layout
from capsule_builder.python.leftovers import Leftovers
from capsule_builder.python.prefixes import Search, candidates, is_telling, spellings
from capsule_builder.python.relocate import relocate
from capsule_builder.python.venv_config import parse
from capsule_builder.python.wheel import read_wheel
from capsule_builder.sources.plain import scan_plain
from tests.relocate.elf import library
from tests.relocate.environments import laid_out, relocated, uv_pip, uv_venv
from tests.relocate.wheels import wheel

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
PLACE = "/srv/apps of é/venv"


def found(data: bytes, prefixes: tuple[str, ...] = (PLACE,), pieces: int = 1 << 20) -> list[int]:
    search = Search(spellings(prefixes))
    hits = [hit for start in range(0, len(data), pieces) for hit in search.feed(data[start : start + pieces])]
    return [offset for offset, _ in [*hits, *search.finish()]]


TEXT = PLACE.encode()
SPELLED = {
    "plain": TEXT,
    "a file in it": TEXT + b"/bin/python",
    "JSON": json.dumps(PLACE).encode(),
    "JSON with escaped slashes": PLACE.replace("/", "\\/").encode(),
    "URL": b"file:///srv/apps%20of%20%C3%A9/venv",
    "UTF-16": PLACE.encode("utf-16-le"),
}


@pytest.mark.parametrize("pieces", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("spelled", SPELLED)
def test_every_spelling_is_found_wherever_pieces_end(spelled: str, pieces: int) -> None:
    data = SPELLED[spelled]
    start = {"JSON": 1, "URL": 7}.get(spelled, 0)
    assert found(data, pieces=pieces) == [start]
    assert found(b"\0" * 500 + data + b"\n" + data, pieces=pieces) == [500 + start, 501 + len(data) + start]


@pytest.mark.parametrize(
    "data",
    [TEXT + b"2", TEXT + b"-old/x", b"/data" + TEXT, b"/mnt/a.b" + TEXT + b"/x", TEXT[:-1], b"", PLACE[1:].encode()],
)
@pytest.mark.parametrize("pieces", [1, 1 << 20])
def test_another_place_is_not_taken_for_it(data: bytes, pieces: int) -> None:
    assert found(data, pieces=pieces) == []


def test_a_length_before_it_is_no_other_place() -> None:
    assert found(b"z0" + TEXT + b"/a.py") == [2]


def test_places_that_are_too_general_say_nothing() -> None:
    told = ["/", "//", "/usr", "/usr/local", "/opt", "/venv", "/srv/app", "/a/b/c"]
    assert [place for place in told if is_telling(place)] == ["/venv", "/srv/app", "/a/b/c"]


@pytest.mark.parametrize("pieces", [1, 1 << 20])
def test_a_place_of_one_part_is_found_with_what_an_environment_holds(pieces: int) -> None:
    for text in (
        b"#!/app/bin/python\n", b"/app/lib/python3.11/site-packages", b"PATH=/app/bin:$PATH", b"file:///app/share/x",
        json.dumps("/app/bin/x").encode(), rb"\/app\/lib64\/x", "/app/include/x".encode("utf-16-le"), b"\0/app/bin\0",
    ):  # fmt: skip
        assert len(found(b"-" * 300 + b"\n" + text, ("/app",), pieces)) == 1, text
    for text in (
        b"/app", b'route("/app/")', b"/app/src", b"/app/binary", b"/data/app/bin", b"src/app/lib/x.js", b"~/app/bin",
        b"./app/bin", b"$HOME/app/bin", b"${HOME}/app/bin", b"<dir>/app/bin/x", b"\xc3\xa9/app/bin",
    ):  # fmt: skip
        assert found(b"-" * 300 + b"\n" + text + b"\n", ("/app",), pieces) == [], text


@pytest.mark.parametrize("told", ["by its builder", "by itself"])
def test_what_an_environment_at_one_part_left_is_refused(told: str, venv: Path) -> None:
    built = wheel(venv.parent, "telling", "1", {"telling.py": b"at = '/environment/bin/python', '/environment'\n"})
    uv_pip(venv, [built])
    if told == "by itself":
        with (venv / "pyvenv.cfg").open("a") as file:
            file.write("command = /usr/bin/python3 -m venv /environment\n")
    environment = relocate(scan_plain(str(venv), "venv"), HERE, ["/environment"] if told == "by its builder" else [])
    laid_out(environment.packages, HERE)
    assert [problem.message for problem in environment.leftovers] == [
        f"venv/lib/python{HERE}/site-packages/telling.py:6: names the place of the environment: /environment/bin"
    ]


@pytest.mark.parametrize(
    ("config", "activate", "scripts", "expected"),
    [
        (b"command = /usr/bin/python3 -m venv --copies --prompt='a b' /a/b c/venv", b"", [], {"/a/b c/venv"}),
        (b"command = /usr/bin/python -m virtualenv /a/venv", b"", [], {"/a/venv"}),
        (b"home = /usr/bin", b'VIRTUAL_ENV="/a/b c"\n', [], {"/a/b c"}),
        (b"", b"VIRTUAL_ENV='/a/b c'\n", [], {"/a/b c"}),
        (b"", b"    export VIRTUAL_ENV=/a/b\n", [], {"/a/b"}),
        (b"", b"set -gx VIRTUAL_ENV '/a/b'\n", [], {"/a/b"}),
        (b"", b'setenv VIRTUAL_ENV "/a/b"\n', [], {"/a/b"}),
        (b"", b"VIRTUAL_ENV=''\"$(dirname -- \"$(realpath -- x)\")\"''\nVIRTUAL_ENV=$(cygpath x)\n", [], set()),
        (b"", b"VIRTUAL_ENV=/usr\n", [], set()),
        (b"", b"", [b"#!/a/b/bin/python3.11 -E\n", b"#!/a/b/bin/python\n", b"#!/other/x/bin/python\n"], {"/a/b"}),
        (b"", b"", [b"#!/a/b/bin/python\n", b"#!/other/x/bin/python\n"], set()),
        (b"", b"", [b"#!/bin/sh\n'''exec' \"/a/b c/bin/python3\" \"$0\" \"$@\"\n' '''\n"], {"/a/b c"}),
        (b"", b"", [b"#!/bin/sh\n'''exec' '/a/b c/bin/python3' \"$0\" \"$@\"\n' '''\n"], {"/a/b c"}),
        (b"command = /usr/bin/python3 -m venv /venv", b"", [b"#!/app/bin/python"], {"/venv", "/app"}),
        (b"", b"", [b"#!/usr/bin/python3\n", b"#!/usr/local/bin/python3\n", b"\x7fELF"], set()),
    ],
)
def test_an_environment_tells_where_it_has_lain(
    config: bytes, activate: bytes, scripts: list[bytes], expected: set[str]
) -> None:
    assert candidates(parse(config), [activate], scripts) == expected


def leftovers(place: Path) -> list[str]:
    return [f"{problem.code} {problem.message}" for problem in relocated(place)[1].leftovers]


@pytest.fixture
def telling(tmp_path: Path) -> Path:
    """An environment whose packages name its place: in text, in a binary, behind the head of a script."""
    place = tmp_path / "first" / "venv"
    text = str(place).encode()
    built = wheel(
        tmp_path,
        "telling",
        "1",
        {
            "telling/paths.json": b'{"argv": ["' + text.replace(b"/", rb"\/") + b'/bin/python"]}',
            "telling/data.bin": b"\0" * (3 << 20) + text + b"\0" + text,
            "telling/root.txt": b"/root/of/the/builder, and /usr, and " + text + b"-not",
            "DATA/scripts/telling": b"#!python\n# " + text + b"\n",
        },
    )
    uv_pip(uv_venv(place), [built])
    return place


def test_leftovers_are_named_with_their_offset(telling: Path) -> None:
    place, lib = str(telling), f"venv/lib/python{HERE}/site-packages/telling"
    script = (telling / "bin" / "telling").read_bytes()
    escaped = place.replace("/", "\\/")
    assert sorted(leftovers(telling)) == [
        f"venv-prefix venv/bin/telling:{script.rindex(place.encode())}: names the place of the environment: {place}",
        f"venv-prefix {lib}/data.bin:3145728: names the place of the environment: {place}, and 1 times more",
        f"venv-prefix {lib}/paths.json:11: names the place of the environment: {escaped.replace(chr(92), chr(92) * 2)}",
    ]


def test_the_first_place_of_a_moved_environment_is_found(telling: Path, tmp_path: Path) -> None:
    shutil.move(telling, tmp_path / "second")
    assert len(leftovers(tmp_path / "second")) == 3


def test_libraries_that_are_looked_for_outside_are_warned_of(tmp_path: Path) -> None:
    """Published wheels have such paths, of the machine they were built on; a place of the environment is refused."""
    leaving, place = "${ORIGIN}/../../../../../lib", tmp_path / "venv"
    libraries = {
        "absolute.so": library(rpath="$ORIGIN:/opt/lib"),
        "leaving.so": library(runpath=leaving),
        "inside.so": library(runpath="$ORIGIN/../../../../lib:$ORIGIN", rpath="$ORIGIN"),
        "none.so": library(),
        "broken.so": library(runpath="/x")[:200],
        "tied.so": library(runpath=f"{place}/lib"),
    }
    built = wheel(tmp_path, "native", "1", {f"native/{name}": data for name, data in libraries.items()})
    uv_pip(uv_venv(place), [built])
    lib = f"venv/lib/python{HERE}/site-packages/native"
    environment = relocated(place)[1]
    assert sorted(f"{problem.code} {problem.message}" for problem in environment.warnings) == [
        f"venv-rpath {lib}/{name}: looks for libraries outside of the environment (RPATH): {path}"
        for name, path in (("absolute.so", "/opt/lib"), ("leaving.so", leaving), ("tied.so", f"{place}/lib"))
    ]
    assert [problem.message for problem in environment.leftovers] == [
        f"{lib}/tied.so:{64 + 112 + 48 + 1}: names the place of the environment: {place}"
    ]


def test_a_stream_is_watched_and_may_still_be_copied(tmp_path: Path) -> None:
    """As from a ZIP: deflated content stays deflated content."""
    data = b"-" * 70_000 + b"/srv/app/venv" + b"-" * 9
    path = wheel(tmp_path, "zipped", "1", {"zipped.txt": data + b"\n/srv/app/venv", "zipped.so": library(runpath="/x")})
    watch = Leftovers(spellings(["/srv/app/venv"]))
    with ZipReader(str(path)) as reader:
        files = read_wheel(reader, path.name, Layout(HERE)).package.files
        for place in sorted(files):
            with watch.watched(files[place].origin, place).opened() as content:
                assert isinstance(content, Deflated)
                assert (content.deflated_size, content.crc32) > (0, 0)
                assert content.size == sum(len(plain) for _, plain in content.pieces())
    assert [problem.code for problem in watch.warnings] == ["venv-rpath"]
    (problem,) = watch.problems
    assert problem.code == "venv-prefix" and f"zipped.txt:{len(data) + 1}: " in problem.message


def test_an_environments_scripts_are_no_leftovers(tmp_path: Path, wheels: list[Path]) -> None:
    place = uv_venv(tmp_path / "venv")
    uv_pip(place, wheels)
    assert str(place) in (place / "bin" / "plain").read_text()
    assert leftovers(place) == []
