"""What an ELF file asks of the loader: as readelf says it, and whatever the file says."""

from __future__ import annotations

import os
import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsule_builder.elf import MACHINES, Linkage, read_linkage
from tests.bytecode.sources import REAL_TREE
from tests.core import test_modes as modes

NEEDED, STRTAB, VERNEED = 1, 5, 0x6FFFFFFE


def linkage(data: bytes) -> Linkage | None:
    return read_linkage(lambda size, offset: data[offset : offset + size])


def real() -> Iterator[Path]:
    """Programs, system libraries, and those of wheels, whose tables auditwheel and patchelf moved."""
    yield from map(Path, ("/usr/bin/python3", "/bin/bash", "/usr/bin/gcc"))
    yield from sorted(Path("/usr/lib").glob("*-linux-gnu/lib[a-m]*.so.[0-9]"))[:8]
    yield from sorted(REAL_TREE.rglob("*.so*"))[::20]


@pytest.mark.parametrize("path", list(real()), ids=lambda path: path.name)
def test_it_agrees_with_readelf(path: Path) -> None:
    command = ["readelf", "--wide", "--dynamic", "--program-headers", "--version-info", str(path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def all_of(pattern: str, text: str = said) -> list[str]:
        return re.findall(pattern, text)

    with open(path, "rb") as file:
        found = read_linkage(lambda size, offset: os.pread(file.fileno(), size, offset))
    assert found
    assert [*found.needed] == all_of(r"\(NEEDED\).*\[(.*)\]")
    assert [found.soname] == (all_of(r"\(SONAME\).*\[(.*)\]") or [None])
    assert [found.rpath] == (all_of(r"\(RPATH\).*\[(.*)\]") or [None])
    assert [found.runpath] == (all_of(r"\(RUNPATH\).*\[(.*)\]") or [None])
    assert [found.interpreter] == (all_of(r"interpreter: (.*)\]") or [None])
    needs = said.partition("Version needs section")[2]
    assert found.versions == set(all_of(r"Name: (\S+) ", needs))
    glibc = [tuple(map(int, name.split("."))) for name in all_of(r"Name: GLIBC_([0-9.]+) ", needs)]
    assert found.glibc == max(glibc, default=None)
    assert MACHINES[found.header.machine] == os.uname().machine


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    place = tmp_path_factory.mktemp("elf")
    (place / "a.c").write_text('#include <stdio.h>\nint main(void) { return puts(""); }\n')
    subprocess.run(["gcc", "-Wl,-rpath,$ORIGIN/lib", "-Wl,-z,now", "-o", "out", "a.c"], cwd=place, check=True)
    return (place / "out").read_bytes()


def test_what_is_no_elf_file() -> None:
    for data in (b"", b"#!/bin/sh", b"\x7fELF", b"\x7fELF" + bytes(100)):
        assert linkage(data) is None


@settings(max_examples=400)
@given(data=st.data())
def test_a_broken_one_does_no_harm(compiled: bytes, data: st.DataObject) -> None:
    broken = bytearray(compiled)
    dynamic = compiled.index(b"$ORIGIN/lib")
    places = st.one_of(
        st.integers(4, 1000), st.integers(dynamic - 600, dynamic + 400), st.integers(4, len(compiled) - 8)
    )
    for _ in range(data.draw(st.integers(0, 12))):
        at = data.draw(places)
        junk = data.draw(st.one_of(st.binary(min_size=1, max_size=8), st.just(b"\xff" * 8), st.just(bytes(8))))
        broken[at : at + len(junk)] = junk
    found = linkage(bytes(broken[: data.draw(st.one_of(st.just(len(broken)), st.integers(0, len(broken))))]))
    assert found is None or len(found.needed) <= 4096


def test_lists_that_overlap_are_cut() -> None:
    """Every 16 bytes a library that claims 65,535 versions, all of them at one place."""
    library = struct.pack("<HHIII", 1, 0xFFFF, 0, 16, 16)
    version = struct.pack("<IHHII", 0, 0, 0, 0, 0)
    lists = library * 60_000 + version
    table = modes.dynamic((STRTAB, 0), (VERNEED, 0), *[(NEEDED, 0)] * 60_000)
    data = modes.elf(modes.DYN, (modes.LOAD, lists), (modes.DYNAMIC, table))
    asked = 0

    def read_at(size: int, offset: int) -> bytes:
        nonlocal asked
        asked += 1
        return data[offset : offset + size]

    found = read_linkage(read_at)
    assert found and len(found.needed) == 4096
    assert asked < 3 * 4096
