"""ELF files, as far as a capsule must know them (System V ABI, chapters 4 and 5). Pure, and safe on any input.

Whatever a file claims, at most 1 MiB is read of a table, and what leads nowhere is taken for absent.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

ReadAt = Callable[[int, int], bytes]
"""``read_at(size, offset)``: at most ``size`` bytes of the file from ``offset``; fewer only at its end."""

ET_EXEC, ET_DYN = 2, 3
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_FLAGS_1, DF_1_PIE = 0x6FFFFFFB, 0x08000000
MACHINES = {
    3: "i386",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv",
    258: "loongarch",
}
"""Machines that Linux and CPython run on, by ``e_machine``."""

_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 14, 15, 29
_DT_VERNEED = 0x6FFFFFFE
_MAX_TABLE = 1 << 20
_MAX_OFFSET = 1 << 62
_MAX_STRING = 4096
_MAX_STRINGS = 4096


class Header(NamedTuple):
    """The head of an ELF file: its shape, its type (``ET_EXEC``, …), its machine, and where its segments are listed."""

    wide: bool
    order: str
    type: int
    machine: int
    table: int = 0
    entry_size: int = 0
    entries: int = 0


class Segment(NamedTuple):
    """A part as it is loaded: its type (``PT_LOAD``, …), its place in the file and in memory, its size in bytes."""

    type: int
    offset: int
    address: int
    size: int


class Linkage(NamedTuple):
    """What a program or a library asks of the dynamic loader.

    ``interpreter`` is that loader itself, None in a library; ``rpath`` and ``runpath`` are None when there are none.
    ``versions`` are those of the symbols that it needs, of all libraries together (``GLIBC_2.34``).
    """

    header: Header
    interpreter: str | None
    needed: tuple[str, ...]
    soname: str | None
    rpath: str | None
    runpath: str | None
    versions: frozenset[str]

    @property
    def glibc(self) -> tuple[int, ...] | None:
        """The oldest glibc that it runs on, ``(2, 34)``; None when it asks for none."""
        found = (re.fullmatch(r"GLIBC_([0-9]{1,4}(?:\.[0-9]{1,4})+)", version) for version in self.versions)
        return max((tuple(map(int, match[1].split("."))) for match in found if match), default=None)


def read_header(head: bytes) -> Header | None:
    """The header, from a file's first 64 bytes; None when it is no ELF file. One that is cut off has no segments."""
    if head[:4] != b"\x7fELF" or len(head) < 20 or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    kind, machine = struct.unpack_from(order + "HH", head, 16)
    if len(head) < (64 if wide else 52):
        return Header(wide, order, kind, machine)
    (table,) = struct.unpack_from(order + ("Q" if wide else "I"), head, 32 if wide else 28)
    size, count = struct.unpack_from(order + "HH", head, 54 if wide else 42)
    return Header(wide, order, kind, machine, table, size, count)


def segments(header: Header, read_at: ReadAt) -> Iterator[Segment]:
    """The segments of a file, in its order."""
    fields, minimum = ("I4xQQ8xQ", 56) if header.wide else ("III4xI", 32)
    if header.entry_size < minimum:
        return
    table = _read(read_at, min(header.entry_size * header.entries, _MAX_TABLE), header.table)
    for start in range(0, len(table) - minimum + 1, header.entry_size):
        yield Segment(*struct.unpack_from(header.order + fields, table, start))


def dynamic(header: Header, segment: Segment, read_at: ReadAt) -> Iterator[tuple[int, int]]:
    """The tags and values of a ``PT_DYNAMIC``."""
    table = _read(read_at, min(segment.size, _MAX_TABLE), segment.offset)
    pair = struct.Struct(header.order + ("QQ" if header.wide else "II"))
    for tag, value in pair.iter_unpack(table[: len(table) - len(table) % pair.size]):
        if tag == _DT_NULL:
            return
        yield tag, value


def read_linkage(read_at: ReadAt) -> Linkage | None:
    """What a file asks of the loader; None when it is no ELF file."""
    header = read_header(read_at(64, 0))
    if header is None:
        return None
    parts = list(segments(header, read_at))
    table = next((part for part in parts if part.type == PT_DYNAMIC), None)
    tags = list(dynamic(header, table, read_at)) if table else []

    def place(tag: int) -> int | None:
        """Where in the file the address lies that a tag gives."""
        address = next((value for found, value in tags if found == tag), -1)
        for part in parts:
            if part.type == PT_LOAD and part.address <= address < part.address + part.size:
                return part.offset + address - part.address
        return None

    strings, versions = place(_DT_STRTAB), place(_DT_VERNEED)

    def string(offset: int) -> str:
        return "" if strings is None else _text(_read(read_at, _MAX_STRING, strings + offset))

    def texts(tag: int) -> list[str]:
        return [string(value) for value in [value for found, value in tags if found == tag][:_MAX_STRINGS]]

    loader = next((part for part in parts if part.type == PT_INTERP), None)
    return Linkage(
        header,
        _text(_read(read_at, min(loader.size, _MAX_STRING), loader.offset)) if loader else None,
        tuple(texts(_DT_NEEDED)),
        next(iter(texts(_DT_SONAME)), None),
        next(iter(texts(_DT_RPATH)), None),
        next(iter(texts(_DT_RUNPATH)), None),
        frozenset() if versions is None else frozenset(map(string, _versions(header, versions, read_at))),
    )


def _versions(header: Header, at: int, read_at: ReadAt) -> set[int]:
    """The names in a ``DT_VERNEED``, as offsets: a list of libraries, each with a list, both linked by distances."""
    names: set[int] = set()
    left = _MAX_STRINGS
    while left > 0:
        left -= 1
        library = _read(read_at, 16, at)
        if len(library) < 16:
            break
        _, count, _, first, following = struct.unpack(header.order + "HHIII", library)
        place = at + first
        for _ in range(min(count, left)):
            left -= 1
            entry = _read(read_at, 16, place)
            if len(entry) < 16:
                break
            _, _, _, name, distance = struct.unpack(header.order + "IHHII", entry)
            names.add(name)
            place += distance
        if not following:
            break
        at += following
    return names


def _read(read_at: ReadAt, size: int, offset: int) -> bytes:
    """What lies there; nothing where no file reaches."""
    return read_at(size, offset) if offset < _MAX_OFFSET else b""


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "surrogateescape")
