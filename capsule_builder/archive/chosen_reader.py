"""Reads some entries of a capsule, and inflates nothing else (``docs/format.md``, section 4.5).

What is passed over is not looked at: this is for archives whose every byte is known to be what somebody signed.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import BinaryIO

from capsule_builder.archive.gzip_reader import Source, read_member
from capsule_builder.archive.index_reader import IndexEntry, IndexLayer, IndexMember
from capsule_builder.archive.reader import CapsuleReader, ReadEntry
from capsule_builder.archive.tar import BLOCK, header_size
from capsule_builder.archive.tar_reader import Tar

_Place = tuple[int, int, IndexMember]
"""Where a member begins in the archive, and in the tar of its layer."""


def chosen_entries(reader: CapsuleReader, file: BinaryIO, start: int, wanted: Container[int]) -> Iterator[ReadEntry]:
    """The entries with the numbers ``wanted`` (of their lines in the listing), each once, in the archive's order.

    ``file`` is the archive, and ``start`` the offset at which its first layer begins.

    Raises:
        CapsuleError: an entry is damaged, or not what the listing says.
        OSError: the file cannot be read.
    """
    seen: set[int] = set()
    for layer in reader.index.layers:
        if layer.has_any(wanted):
            places = _places(layer, start)
            chosen = [
                found
                for found in _with_members(layer, places)
                if found[2].number in wanted and found[2].number not in seen
            ]
            seen.update(entry.number for _, _, entry in chosen)
            yield from _of_layer(reader, file, layer, places, chosen)
        start += layer.facts.compressed_size


def _places(layer: IndexLayer, start: int) -> list[_Place]:
    places, plain = [], 0
    for member in layer.members():
        places.append((start, plain, member))
        start += member.size
        plain += member.plain_size
    return places


def _with_members(layer: IndexLayer, places: list[_Place]) -> Iterator[tuple[int, int, IndexEntry]]:
    """Each entry with the number of the member in which it begins, and where it begins in the tar."""
    number = -1
    for line in layer.lines():
        if isinstance(line, IndexMember):
            number += 1
        else:
            yield number, places[number][1] + line.offset, line


def _of_layer(
    reader: CapsuleReader,
    file: BinaryIO,
    layer: IndexLayer,
    places: list[_Place],
    chosen: list[tuple[int, int, IndexEntry]],
) -> Iterator[ReadEntry]:
    tar, position, end = Tar(()), 0, 0
    for number, begin, line in chosen:
        listed = reader.listing[line.number]
        header = header_size(listed.path, listed.kind, line.size, listed.detail)
        beyond = begin + header + line.size + -line.size % BLOCK
        if position > begin or beyond > end:  # not in the members that are being read
            last = number
            while places[last][1] + places[last][2].plain_size < beyond:
                last += 1
            tar, position = Tar(_inflated(file, places[number : last + 1])), places[number][1]
            end = places[last][1] + places[last][2].plain_size
        while position < begin:
            position += len(tar.some(begin - position))
        entry = reader.entry(tar, layer, line, listed)
        yield entry
        for _ in entry.chunks():
            pass
        position = beyond


def _inflated(file: BinaryIO, places: list[_Place]) -> Iterator[bytes]:
    file.seek(places[0][0])
    source = Source(file, position=places[0][0])
    for _, _, member in places:
        yield from read_member(source, member.size, member.plain_size)
