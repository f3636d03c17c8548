"""ZIPs written by hand, byte by byte, so that every field can lie (APPNOTE 6.3.10)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

UTF8, DESCRIPTOR = 1 << 11, 1 << 3
ONES = 0xFFFFFFFF


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def extra(kind: int, data: bytes) -> bytes:
    return struct.pack("<2H", kind, len(data)) + data


def wide(*values: int) -> bytes:
    """The extra field of 64-bit values."""
    return extra(1, struct.pack(f"<{len(values)}Q", *values))


def unicode_path(name: str, of: bytes) -> bytes:
    return extra(0x7075, b"\x01" + struct.pack("<L", zlib.crc32(of)) + name.encode())


@dataclass
class Entry:
    """One entry, sound unless told otherwise.

    ``stream`` is what lies in the ZIP (default: ``data``, deflated if ``method`` is 8). ``both``, ``central`` and
    ``local`` override fields of the headers by name. ``descriptor`` follows the stream. ``place`` is the offset that
    the central header gives (default: the true one). Without ``listed`` there is no central header.
    """

    name: bytes = b"a"
    data: bytes = b"hello hello hello\n"
    method: int = 8
    stream: bytes | None = None
    system: int = 3
    mode: int = 0o100644
    flags: int = 0
    extra: bytes = b""
    local_extra: bytes | None = None
    both: dict[str, Any] = field(default_factory=dict)
    central: dict[str, Any] = field(default_factory=dict)
    local: dict[str, Any] = field(default_factory=dict)
    descriptor: bytes = b""
    before: bytes = b""
    place: int | None = None
    listed: bool = True

    def fields(self) -> dict[str, Any]:
        stream = self.body()
        numbers = {"crc": zlib.crc32(self.data), "deflated": len(stream), "size": len(self.data)}
        return {"name": self.name, "flags": self.flags, "method": self.method, **numbers, **self.both}

    def body(self) -> bytes:
        if self.stream is not None:
            return self.stream
        return deflate(self.data) if self.method == 8 else self.data

    def local_header(self) -> bytes:
        f = {**self.fields(), "signature": b"PK\x03\x04", **self.local}
        f.setdefault("length", len(f["name"]))
        more = self.extra if self.local_extra is None else self.local_extra
        numbers = (20, f["flags"], f["method"], 0, 33, f["crc"], f["deflated"], f["size"], f["length"], len(more))
        return struct.pack("<4s5H3L2H", f["signature"], *numbers) + f["name"] + more

    def central_header(self, offset: int) -> bytes:
        f = {**self.fields(), "signature": b"PK\x01\x02", "offset": offset, "disk": 0, "comment": b"", **self.central}
        attributes = f.get("attributes", self.mode << 16 & ONES)
        first = (self.system << 8 | 20, 20, f["flags"], f["method"], 0, 33, f["crc"], f["deflated"], f["size"])
        rest = (len(f["name"]), len(self.extra), len(f["comment"]), f["disk"], 0, attributes, f["offset"])
        return struct.pack("<4s6H3L5H2L", f["signature"], *first, *rest) + f["name"] + self.extra + f["comment"]


def described(form: str = "<4s3L", **changes: Any) -> Entry:
    """An entry as streaming programs write it, with a data descriptor in one of four forms."""
    entry = Entry(flags=DESCRIPTOR, local={"crc": 0, "deflated": 0, "size": 0}, **changes)
    f = entry.fields()
    entry.descriptor = struct.pack(form, *[b"PK\x07\x08"] * ("s" in form), f["crc"], f["deflated"], f["size"])
    return entry


def forge(
    *entries: Entry,
    prefix: bytes = b"",
    gap: bytes = b"",
    after_central: bytes = b"",
    comment: bytes = b"",
    suffix: bytes = b"",
    wide_end: bool = False,
    end: dict[str, int] | None = None,
    wide_changes: dict[str, int] | None = None,
) -> bytes:
    """A ZIP of ``entries``.

    ``prefix`` comes first, ``gap`` before the central directory, ``suffix`` last. ``end`` and ``wide_changes`` override
    fields of the two end records, ``wide_end`` asks for the one of 64 bits.
    """
    out = bytearray(prefix)
    central = b""
    listed = 0
    for entry in entries:
        out += entry.before
        offset = len(out) if entry.place is None else entry.place
        out += entry.local_header() + entry.body() + entry.descriptor
        if entry.listed:
            central += entry.central_header(offset)
            listed += 1
    out += gap
    start = len(out)
    out += central + after_central
    true = {"disk": 0, "start": 0, "here": listed, "count": listed, "size": len(central), "offset": start}
    short = dict(true)
    if wide_end:
        w = {"rest": 44, **true, **(wide_changes or {})}
        numbers = (w["rest"], 45, 45, w["disk"], w["start"], w["here"], w["count"], w["size"], w["offset"])
        at = w.get("at", len(out))
        out += struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", *numbers)
        out += struct.pack("<4sLQL", b"PK\x06\x07", w.get("locator_disk", 0), at, w.get("disks", 1))
        short = {"disk": 0, "start": 0, "here": 0xFFFF, "count": 0xFFFF, "size": ONES, "offset": ONES}
    short |= {"comment": len(comment), **(end or {})}
    out += struct.pack("<4s4H2LH", b"PK\x05\x06", *short.values()) + comment + suffix
    return bytes(out)
