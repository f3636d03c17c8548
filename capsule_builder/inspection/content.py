"""What is in a capsule, or what its listing alone says of that."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from capsule_builder.archive.damage import beyond, named
from capsule_builder.archive.index_reader import IndexEntry, IndexLayer
from capsule_builder.archive.limits import MAX_LISTING
from capsule_builder.archive.listing_reader import Listing
from capsule_builder.archive.reader import CapsuleReader, ReadEntry, open_archive
from capsule_builder.contents import Kind
from capsule_builder.errors import CapsuleError
from capsule_builder.manifest import Manifest
from capsule_builder.paths import shown
from capsule_builder.python.record import MAX_ROWS, parse
from capsule_builder.trust.file_name import check_file_name

_LISTING = b"# capsule-contents"
_RECORD = re.compile(r"venv/lib/python3\.[0-9]+/site-packages/[^/]+\.dist-info/RECORD")
_MAX_RECORDS = 64 << 20  # bytes of all of them, and as many rows as one may have; the rest is told by names alone


@dataclass(frozen=True, slots=True)
class Item:
    """An entry, in one layer. ``detail`` is a file's SHA-256 (64 hex digits) or a link's target.

    ``size`` is a file's length in bytes, ``packed`` its share of the members that it lies in (in bytes, headers and
    all): the members of a layer are divided among its entries without a rest. Both are None, and ``layer`` is empty,
    where only a listing is known. ``first`` is False for what has come before, in another layer.
    """

    path: str
    kind: Kind
    detail: str
    size: int | None = None
    packed: int | None = None
    layer: str = ""
    first: bool = True


@dataclass(frozen=True, slots=True)
class Content:
    """All of a capsule: ``file`` is where it was read from, ``size`` the archive's length in bytes.

    ``records`` maps each RECORD that was read, by its path, to the paths that it names, as they stand there. Of a
    listing nothing but ``id`` and ``items`` is known.
    """

    file: str
    id: str
    items: tuple[Item, ...]
    records: dict[str, list[str]]
    size: int | None = None
    metadata: dict[str, Any] | None = None
    manifest: Manifest | None = None


def read_capsule(path: str) -> Content:
    """Reads a capsule strictly, from its first byte to its last.

    Raises:
        CapsuleError: it is no capsule, or a damaged one.
        OSError: it cannot be read.
    """
    with open_archive(path) as file:
        return _read_archive(path, file)


def read_capsule_or_listing(path: str) -> Content:
    """Reads a capsule, or a listing without one (``.capsule_contents``); the first bytes tell which it is.

    Raises:
        CapsuleError: it is neither, or a damaged one.
        OSError: it cannot be read.
    """
    with open_archive(path) as file:
        is_listing = file.read(len(_LISTING)) == _LISTING
        file.seek(0)
        return _read_listing(path, file) if is_listing else _read_archive(path, file)


def _read_listing(path: str, file: BinaryIO) -> Content:
    with named(shown(path)):
        data = bytearray()
        while len(data) <= MAX_LISTING and (piece := file.read(1 << 20)):
            data += piece
        if len(data) > MAX_LISTING:
            raise beyond("limit-listing", "Its listing", MAX_LISTING, "bytes")
        listing = Listing(data)
        return Content(path, listing.id, tuple(Item(line.path, line.kind, line.detail) for line in listing), {})


def _read_archive(path: str, file: BinaryIO) -> Content:
    size = os.fstat(file.fileno()).st_size
    items: list[Item] = []
    records: dict[str, list[str]] = {}
    room, rows = _MAX_RECORDS, MAX_ROWS
    with CapsuleReader(file, label=shown(path)) as reader:
        check_file_name(path, reader)
        details = {listed.path: listed.detail for listed in reader.listing}
        shares = (share for layer in reader.index.layers for share in _shares(layer))
        for entry, packed in zip(reader.entries(), shares, strict=True):
            if _RECORD.fullmatch(entry.path) and entry.first and entry.size <= room:
                room -= entry.size
                records[entry.path] = _record(entry, rows)
                rows -= len(records[entry.path])
            detail = details.get(entry.path)  # None: a directory that is empty in its layer, and not in the capsule
            first = entry.first and detail is not None
            items.append(Item(entry.path, entry.kind, detail or "", entry.size, packed, entry.layer, first))
        return Content(path, reader.id, tuple(items), records, size, reader.metadata, reader.finish())


def _record(entry: ReadEntry, max_rows: int) -> list[str]:
    data = b"".join(entry.chunks())
    try:
        return [row.path for row in parse(data, entry.path, max_rows)]
    except CapsuleError:  # it says nothing of use; that is not for an inspection to refuse
        return []


def _shares(layer: IndexLayer) -> Iterator[int]:
    """For each entry its share of the members, in bytes; all of them together are the fragment."""
    share, begun = 0, False
    size = plain_size = at = 0  # of the present member, and how far it has been divided
    for line in layer.lines():
        end = line.offset if isinstance(line, IndexEntry) else plain_size
        share += _part(size, plain_size, at, end)
        at = end
        if isinstance(line, IndexEntry):
            if begun:
                yield share
                share = 0
            begun = True
        else:
            size, plain_size, at = line.size, line.plain_size, 0
    if begun:
        yield share + _part(size, plain_size, at, plain_size)


def _part(size: int, plain_size: int, start: int, end: int) -> int:
    """What of a member belongs to the bytes from ``start`` to ``end`` of what it inflates to."""
    if not plain_size:  # a copied stream of an empty file
        return size
    return size * end // plain_size - size * start // plain_size
