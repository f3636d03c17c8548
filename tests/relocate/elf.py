"""The smallest shared libraries that have library paths."""

from __future__ import annotations

import struct


def library(rpath: str | None = None, runpath: str | None = None) -> bytes:
    """A 64-bit library with ``DT_RPATH`` or ``DT_RUNPATH``."""
    strings, tags = b"\0", list[tuple[int, int]]()
    for tag, text in ((15, rpath), (29, runpath)):
        if text is not None:
            tags.append((tag, len(strings)))
            strings += text.encode() + b"\0"
    start = 64 + 2 * 56
    size = 16 * (len(tags) + 2)
    tags += [(5, start + size), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *pair) for pair in tags)
    whole = start + size + len(strings)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    head += struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, whole, whole, 4096)
    head += struct.pack("<IIQQQQQQ", 2, 6, start, start, start, size, size, 8)
    return head + dynamic + strings
