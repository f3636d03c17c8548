"""The two headers that a ZIP has for each entry, central and local (APPNOTE 6.3.10, 4.3.7 to 4.3.12, 4.5.3)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from capsule_builder.archive.zip_end import CentralDirectory
from capsule_builder.archive.zip_findings import Findings
from capsule_builder.archive.zip_volume import Volume

STORED, DEFLATED = 0, 8

ENCRYPTED_FLAGS = 1 << 0 | 1 << 6 | 1 << 13  # by password, strongly, and with its headers masked
DESCRIPTOR_FLAG = 1 << 3

_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL_SIGNATURE, _LOCAL_SIGNATURE, _DESCRIPTOR_SIGNATURE = b"PK\x01\x02", b"PK\x03\x04", b"PK\x07\x08"
_LONGEST = _CENTRAL.size + 3 * 0xFFFF
_CHUNK = 1 << 20
_WIDE_EXTRA, _UNICODE_PATH_EXTRA = 0x0001, 0x7075
_NO_EXTRA: dict[int, bytes] = {}


@dataclass(slots=True)  # frozen ones take twice as long to make, and there are two for every entry
class Header:
    """What both headers of an entry have: sizes are in bytes, ``raw_name`` is as it lies there.

    ``unicode_path`` is the extra field 0x7075, ``unfit`` tells that the extra fields contradict themselves.
    """

    raw_name: bytes
    flags: int
    method: int
    crc32: int
    deflated_size: int
    size: int
    unicode_path: bytes | None
    unfit: bool


@dataclass(slots=True)
class Central(Header):
    """And what the central one has besides.

    ``system`` is where it was made, ``attributes`` are 32 bits that it has for them, ``offset`` the local header's.
    """

    system: int
    attributes: int
    disk: int
    offset: int


@dataclass(slots=True)
class Local(Header):
    """And where the data begin, after the local one."""

    data: int


def central_headers(volume: Volume, directory: CentralDirectory, findings: Findings) -> Iterator[Central]:
    """The central headers, in order.

    Raises:
        CapsuleError: something else stands among them, or there are more or fewer than announced.
    """
    buffer, at, ahead, end, count = b"", 0, directory.offset, directory.offset + directory.size, 0
    while at < len(buffer) or ahead < end:
        if len(buffer) - at < _LONGEST and ahead < end:
            piece = volume.read_at(min(_CHUNK, end - ahead), ahead)
            buffer, at, ahead = buffer[at:] + piece, 0, ahead + len(piece)
            end = end if piece else ahead  # somebody has cut the file off
        fields = _CENTRAL.unpack_from(buffer, at) if len(buffer) - at >= _CENTRAL.size else (b"",)
        size = _CENTRAL.size + sum(fields[10:13])
        if fields[0] != _CENTRAL_SIGNATURE or at + size > len(buffer):
            findings.add("zip-central", f"Central directory is damaged at its entry {count + 1:,}")
            findings.check()
        count += 1
        if count > directory.count:
            break
        yield _central(fields, buffer[at + _CENTRAL.size : at + size])
        at += size
    if count != directory.count:
        message = "Central directory has another number of entries than the end record says"
        findings.add("zip-count", f"{message}: {directory.count:,}")
        findings.check()


def _central(fields: tuple[int, ...], texts: bytes) -> Central:
    _, made, _, flags, method, _, _, crc32, narrow_deflated, narrow_size = fields[:10]
    name_length, extra_length, _, narrow_disk, _, attributes, narrow_offset = fields[10:]
    extra = _extra(texts[name_length : name_length + extra_length])
    narrow = (narrow_size, narrow_deflated, narrow_offset, narrow_disk)
    wide = _widened(narrow, extra.get(_WIDE_EXTRA)) if extra is not None else None
    size, deflated_size, offset, disk = wide or narrow
    unicode_path = (extra or _NO_EXTRA).get(_UNICODE_PATH_EXTRA)
    name = texts[:name_length]
    common = (name, flags, method, crc32, deflated_size, size, unicode_path, wide is None)
    return Central(*common, made >> 8, attributes, disk, offset)


def local_header(volume: Volume, offset: int, name_length: int) -> Local | None:
    """The local header at ``offset``, most likely with a name of ``name_length`` bytes; None when there is none."""
    start = volume.read_at(_LOCAL.size + name_length + 32, offset)
    if len(start) < _LOCAL.size or not start.startswith(_LOCAL_SIGNATURE):
        return None
    _, _, flags, method, _, _, crc32, *sizes, name_length, extra_length = _LOCAL.unpack_from(start)
    end = _LOCAL.size + name_length + extra_length
    if end > len(start):
        start = volume.read_at(end, offset)
    extra = _extra(start[end - extra_length : end]) if extra_length else _NO_EXTRA
    narrow = (sizes[1], sizes[0])
    wide = _widened(narrow, extra.get(_WIDE_EXTRA)) if extra is not None else None
    size, deflated_size = wide or narrow
    unicode_path = (extra or _NO_EXTRA).get(_UNICODE_PATH_EXTRA)
    name = start[_LOCAL.size : end - extra_length]
    return Local(name, flags, method, crc32, deflated_size, size, unicode_path, wide is None, offset + end)


def is_descriptor(data: bytes, header: Header) -> bool:
    """Whether ``data`` is the data descriptor of an entry, in one of its four forms."""
    wide = len(data) in {20, 24}
    if not wide and max(header.deflated_size, header.size) > 0xFFFFFFFF:
        return False
    numbers = struct.pack("<LQQ" if wide else "<L2L", header.crc32, header.deflated_size, header.size)
    return data in {numbers, _DESCRIPTOR_SIGNATURE + numbers}


def _extra(data: bytes) -> dict[int, bytes] | None:
    """Extra fields by number; None when they do not add up, or when one that matters is there twice."""
    if not data:
        return _NO_EXTRA
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("<2H", data, at)
        if at + 4 + size > len(data) or (kind in found and kind in {_WIDE_EXTRA, _UNICODE_PATH_EXTRA}):
            return None
        found[kind] = data[at + 4 : at + 4 + size]
        at += 4 + size
    return None if data[at:].strip(b"\0") else found  # zeros: zipalign fills up with them


def _widened(narrow: tuple[int, ...], extra: bytes | None) -> tuple[int, ...] | None:
    """Plain size, deflated size, offset and disk (as many as there are), with what the 64-bit field has for them.

    A field has the values that are all ones in the header, in this order. Some programs write the field although it is
    not needed: then it must say what the header says. None when it says something else.
    """
    if extra is None:
        return narrow
    ones = (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFF)
    needed = [position for position, value in enumerate(narrow) if value == ones[position]]
    among = needed or list(range(len(narrow)))
    sizes = [4 if position == 3 else 8 for position in among]
    if (len(extra) != sum(sizes)) if needed else (len(extra) not in {0, 8, 16, 24, 28}):
        return None
    values, at = list(narrow), 0
    for position, size in zip(among, sizes, strict=True):
        if at < len(extra):
            values[position] = int.from_bytes(extra[at : at + size], "little")
            at += size
    return tuple(values) if needed or values == list(narrow) else None
