"""Which files are programs: by their content, and whatever that content is."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from capsule_builder.modes import is_program

EXEC, DYN, REL, CORE = 2, 3, 1, 4
LOAD, DYNAMIC, INTERP = 1, 2, 3
FLAGS_1, PIE = 0x6FFFFFFB, 0x08000000


def program(data: bytes) -> bool:
    return is_program(data[:64], lambda size, offset: data[offset : offset + size])


def elf(
    kind: int, *segments: tuple[int, bytes], bits: int = 64, order: str = "<", entry_size: int | None = None
) -> bytes:
    """An ELF file of type ``kind`` with the segments given (type and content)."""
    head_size, size = (64, 56) if bits == 64 else (52, 32)
    size = entry_size or size
    table, body = b"", b""
    for segment, content in segments:
        offset = head_size + size * len(segments) + len(body)
        if bits == 64:
            entry = struct.pack(order + "II6Q", segment, 4, offset, 0, 0, len(content), len(content), 8)
        else:
            entry = struct.pack(order + "8I", segment, offset, 0, 0, len(content), len(content), 4, 4)
        table += entry.ljust(size, b"\0")
        body += content
    head = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    word = "Q" if bits == 64 else "I"
    head += struct.pack(
        order + f"HHI3{word}I6H", kind, 62, 1, 0, head_size, 0, 0, head_size, size, len(segments), 0, 0, 0
    )
    return head + table + body


def dynamic(*pairs: tuple[int, int], bits: int = 64, order: str = "<") -> bytes:
    return b"".join(struct.pack(order + ("QQ" if bits == 64 else "II"), *pair) for pair in pairs)


SHAPES = [(bits, order) for bits in (32, 64) for order in "<>"]


@pytest.mark.parametrize(("bits", "order"), SHAPES)
def test_elf_programs_of_every_shape(bits: int, order: str) -> None:
    def shaped(kind: int, *segments: tuple[int, bytes]) -> bool:
        return program(elf(kind, *segments, bits=bits, order=order))

    def flags(*pairs: tuple[int, int]) -> bytes:
        return dynamic(*pairs, bits=bits, order=order)

    assert shaped(EXEC)
    assert shaped(DYN, (LOAD, b""), (INTERP, b"/lib/ld.so\0"))
    assert shaped(DYN, (LOAD, b""), (DYNAMIC, flags((5, 1), (FLAGS_1, PIE | 1), (0, 0))))
    assert not shaped(DYN, (LOAD, b""), (DYNAMIC, flags((5, 1), (FLAGS_1, 1), (0, 0))))
    assert not shaped(DYN, (LOAD, b""), (DYNAMIC, flags((0, 0), (FLAGS_1, PIE))))
    assert not shaped(DYN, (LOAD, b""))
    assert not shaped(DYN)
    assert not shaped(REL, (INTERP, b""))
    assert not shaped(CORE, (INTERP, b""))


@pytest.mark.parametrize(("data", "expected"), [
    (b"#!/bin/sh\n", True), (b"#!", True), (b"#", False), (b"", False), (b" #!/bin/sh", False),
    (b"\xef\xbb\xbf#!", False), (b"MZ", False), (b"\x7fELF", False), (b"\x7fELF" + bytes(60), False),
    (elf(EXEC)[:17], False), (elf(EXEC)[:20], True),
])  # fmt: skip
def test_scripts_and_scraps(data: bytes, expected: bool) -> None:
    assert program(data) is expected


def test_program_headers_may_be_longer_than_they_must() -> None:
    assert program(elf(DYN, (LOAD, b""), (INTERP, b""), entry_size=64))
    assert not program(elf(DYN, (LOAD, b""), (INTERP, b""), entry_size=55))


GOOD = elf(DYN, (LOAD, b"x"), (DYNAMIC, dynamic((5, 1), (FLAGS_1, PIE), (0, 0))), (INTERP, b"/lib/ld.so\0"))


@given(
    st.integers(0, len(GOOD)),
    st.lists(st.tuples(st.integers(4, len(GOOD) - 1), st.binary(min_size=1, max_size=8)), max_size=6),
)
@example(len(GOOD), [(32, b"\xff" * 8)])
@example(len(GOOD), [(54, b"\xff" * 4)])
def test_no_elf_file_however_broken_raises(length: int, hurts: list[tuple[int, bytes]]) -> None:
    data = bytearray(GOOD[:length])
    for at, junk in hurts:
        data[at : at + len(junk)] = junk
    assert program(bytes(data)) in {True, False}


@pytest.mark.parametrize("field", [(32, 8), (54, 4), (72, 8), (96, 8), (128, 8), (152, 8)])
def test_a_broken_elf_file_on_disk_does_not_raise(tmp_path: Path, field: tuple[int, int]) -> None:
    for value in (b"\xff", b"\x7f", b"\x80", b"\x3f"):
        data = bytearray(GOOD)
        data[field[0] : field[0] + field[1]] = value * field[1]
        (tmp_path / "f").write_bytes(data)
        with open(tmp_path / "f", "rb") as file:
            fd = file.fileno()
            assert is_program(bytes(data[:64]), lambda size, offset, fd=fd: os.pread(fd, size, offset)) in {True, False}


def test_a_hostile_elf_file_does_not_take_long() -> None:
    """18,000 dynamic segments of a mebibyte each, all at the same place."""
    one = struct.pack("<II6Q", DYNAMIC, 4, 64 + 18000 * 56, 0, 0, 1 << 20, 1 << 20, 8)
    head = elf(DYN)[:54] + struct.pack("<HH", 56, 18000) + bytes(6)
    data = head + one * 18000 + struct.pack("<QQ", 5, 1) * 65536
    begun = time.perf_counter()
    assert program(data) is False
    assert time.perf_counter() - begun < 2


COMPILED: dict[str, tuple[list[str], bool]] = {
    "pie": (["-pie", "-fPIE"], True),
    "no-pie": (["-no-pie"], True),
    "static": (["-static", "-no-pie"], True),
    "static-pie": (["-static-pie", "-fPIE"], True),
    "shared": (["-shared", "-fPIC"], False),
    "object": (["-c"], False),
}


@pytest.mark.parametrize("kind", COMPILED)
def test_what_the_compiler_makes(tmp_path: Path, kind: str) -> None:
    options, expected = COMPILED[kind]
    (tmp_path / "a.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", *options, "-o", "out", "a.c"], cwd=tmp_path, check=True)
    assert program((tmp_path / "out").read_bytes()) is expected


def test_the_file_is_asked_only_when_it_must_be() -> None:
    def never(size: int, offset: int) -> bytes:
        raise AssertionError

    asked: Callable[[int, int], bytes] = never
    assert is_program(b"#!x", asked)
    assert is_program(elf(EXEC)[:64], asked)
    assert not is_program(b"text", asked)
