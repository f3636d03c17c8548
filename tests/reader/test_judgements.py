"""The reader's judgements in bounded memory are those of the builder: of links, and of what is a program."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from capsule_builder.archive.link_reader import Walker
from capsule_builder.archive.listing_reader import Listing
from capsule_builder.archive.mode_reader import ModeReader
from capsule_builder.errors import CapsuleError
from capsule_builder.links import links_problems
from capsule_builder.modes import is_program
from tests.format.second import listing
from tests.reader.forge import One, with_entries
from tests.reader.reading import read

PARTS = st.sampled_from(["a", "b", "c", "..", ".", ""])
TARGETS = st.lists(PARTS, min_size=1, max_size=6).map("/".join).filter(lambda t: t and not t.startswith("/"))
PLACES = st.sampled_from(["a", "b", "c", "a/a", "a/b", "a/c", "b/a", "b/c", "c/a/a", "c/a/b", "c/b"])
CONTRACT = "/opt/tori/python/3.11/bin/python3.11"


def accepted(entries: dict[str, str | None]) -> bool:
    made = listing([(path, "symlink" if t else "dir", (t or "").encode()) for path, t in entries.items()])
    try:
        Walker(Listing(made)).check_links()
    except CapsuleError:
        return False
    return True


@settings(max_examples=800, deadline=None)
@given(st.dictionaries(PLACES, st.none() | TARGETS | st.just(CONTRACT), max_size=7))
@example({"a": CONTRACT, "b": "a/x"})
@example({"a": CONTRACT, "b": "a/"})
@example({"a": "."})
@example({"a/a": "..", "b": "a/a/a/a"})
def test_links_are_judged_as_the_builder_judges_them(entries: dict[str, str | None]) -> None:
    entries = {p: t for p, t in entries.items() if not any(o != p and p.startswith(f"{o}/") for o in entries)}
    links = {path: target for path, target in entries.items() if target}
    paths = [path if target else f"{path}/" for path, target in entries.items()]
    assert accepted(entries) == (not links_problems(links, paths))


@pytest.mark.parametrize("names", [
    ["C:x"], ["-rf"], ["--"], ["%n"], ["*?[]{}$`'\"<>|&;!#~"], [" x "], ["..."], ["con"], ["\u200d"],
    ["A", "a"], ["\u00c5", "\u212b", "A\u030a"], ["e\u0301/x", "\u00e9/x"], ["\ufb01", "fi"], ["/".join(["d"] * 2048)],
], ids=ascii)  # fmt: skip
def test_names_that_linux_takes_and_tells_apart_are_taken(names: list[str]) -> None:
    """As ``docs/verify.md`` says, and why."""
    found = read(with_entries(*(One(name, "file", name.encode()) for name in names)))
    assert {path: data.decode() for _, path, _, data in found if path in names} == {name: name for name in names}


def test_an_entry_point_may_be_a_link_to_a_file() -> None:
    script = One("bin/run.sh", "executable", b"#!/bin/sh\n")
    link = One("start.sh", "symlink", b"bin/run.sh")
    assert ("app", "start.sh", "symlink", b"bin/run.sh") in read(with_entries(script, link, without="start.sh"))


def elf(kind: int, table: int, segments: list[tuple[int, int, int]], parts: dict[int, bytes], size: int) -> bytes:
    """A 64-bit ELF file: segments of (type, offset, size) listed at ``table``, and some content."""
    data = bytearray(size)
    rest = (kind, 62, 1, 0, table, 0, 0, 64, 56, len(segments), 0, 0, 0)
    data[:64] = struct.pack("<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, *rest)
    for number, (what, offset, length) in enumerate(segments):
        data[table + 56 * number : table + 56 * (number + 1)] = struct.pack(
            "<IIQQQQQQ", what, 4, offset, 0, 0, length, length, 8
        )
    for at, part in parts.items():
        data[at : at + len(part)] = part
    return bytes(data[:size])


PIE = struct.pack("<QQQQ", 0x6FFFFFFB, 0x08000000, 0, 0)
LIBRARY = struct.pack("<QQQQ", 0x6FFFFFFB, 1, 0, 0)
ELVES = {
    "a program": elf(2, 64, [], {}, 100),
    "a library": elf(3, 64, [(2, 400, 32)], {400: LIBRARY}, 1000),
    "a program with an interpreter": elf(3, 64, [(1, 0, 9), (3, 300, 5)], {}, 1000),
    "a static program": elf(3, 64, [(2, 400, 32)], {400: PIE}, 1000),
    "a static program, far": elf(3, 64, [(2, 900_000, 32)], {900_000: PIE}, 1_000_000),
    "a static program, nearly cut": elf(3, 64, [(2, 999_968, 32)], {999_968: PIE}, 1_000_000),
    "a static program, cut": elf(3, 64, [(2, 999_990, 32)], {999_990: PIE}, 1_000_000),
    "its parts over a border": elf(3, 64, [(2, 65_520, 32)], {65_520: PIE}, 1_000_000),
    "its table at the end": elf(3, 900_000, [(2, 5_000, 32)], {5_000: PIE}, 1_000_000),
    "its table and its parts at the end": elf(3, 900_000, [(2, 950_000, 32)], {950_000: PIE}, 1_000_000),
    "a library, its table at the end": elf(3, 900_000, [(2, 5_000, 32)], {5_000: LIBRARY}, 1_000_000),
    "its table beyond the end": elf(3, 1 << 40, [], {}, 200_000),
    "its table beyond every file": elf(3, 1 << 60, [(3, 0, 0)], {}, 200_000),
    "its table cut": elf(3, 999_990, [(3, 0, 0)], {}, 1_000_000),
    "its parts beyond the end": elf(3, 64, [(2, 1 << 40, 1 << 30)], {}, 200_000),
    "a header alone": elf(3, 64, [(3, 0, 0)], {}, 64),
    "less than a header": elf(3, 64, [(3, 0, 0)], {}, 40),
    "a script": b"#!/bin/sh\n" + bytes(200),
    "two bytes": b"#!",
    "one byte": b"#",
    "text": b"text" * 50_000,
    "nothing": b"",
}


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    stream = io.BytesIO(data)
    return iter(lambda: stream.read(size), b"")


@pytest.mark.parametrize("size", [1, 63, 4096, 65_536, 1 << 20])
@pytest.mark.parametrize("name", ELVES)
def test_programs_are_known_however_the_bytes_come(name: str, size: int) -> None:
    data = ELVES[name] if size > 1 else ELVES[name][:5000]
    mode = ModeReader()
    for piece in pieces(data, size):
        mode.feed(piece)
    assert mode.executable() == is_program(data[:64], lambda length, offset: data[offset : offset + length])


def test_the_elves_are_of_both_kinds() -> None:
    programs = {n for n, data in ELVES.items() if is_program(data[:64], lambda s, o, d=data: d[o : o + s])}  # type: ignore[misc]
    assert {"a static program, far", "its table at the end", "a program with an interpreter", "two bytes"} <= programs
    assert {"a library", "a library, its table at the end", "text", "its parts beyond the end"}.isdisjoint(programs)
