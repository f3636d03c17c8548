"""How long members are (``docs/format.md``, section 4.2). Light: for those who cut, and for those who only compare."""

from __future__ import annotations

import zlib

BLOCK_SIZE = 1 << 20
"""The most tar bytes that one member holds."""

PACK_SIZE = 1 << 17
"""From this many tar bytes on, small entries may end a member."""


def is_border(path: str) -> bool:
    """Whether a small entry ends its member when that has so many: about one in sixteen does."""
    return not zlib.crc32(path.encode()) & 0xF
