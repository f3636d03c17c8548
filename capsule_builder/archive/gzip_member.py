"""One gzip member in the form that all members of a capsule have (RFC 1952; ``docs/format.md``, section 4.2)."""

from __future__ import annotations

import struct

import deflate

HEADER = bytes.fromhex("1f8b0800 00000000 00ff")  # deflate, no flags, no time, no extra flags, unknown system
TRAILER_SIZE = 8


def gzip_member(plain: bytes | bytearray, level: int) -> bytes:
    """``plain`` as one gzip member, deflated by libdeflate at ``level`` (1 to 12)."""
    body = deflate.deflate_compress(plain, level)
    return b"".join((HEADER, body, trailer(deflate.crc32(plain), len(plain))))


def trailer(crc32: int, size: int) -> bytes:
    """What ends a member: the CRC-32 of what it inflates to, and its length in bytes."""
    return struct.pack("<II", crc32, size & 0xFFFFFFFF)


def inflated(member: bytes | bytearray, plain_size: int) -> bytearray | None:
    """What a whole member inflates to, when it is one member, sound to its last byte, of just ``plain_size`` bytes.

    None for anything else, and for some rare sound ones: zlib can tell why, piece by piece. The header is not looked
    at. libdeflate takes a third of zlib's time, but does not say where it stopped. It compares what follows the stream
    with the CRC-32 and the size, though: when these are what the member ends in, and stand nowhere else in it, then it
    stopped at the end.
    """
    end = member[-TRAILER_SIZE:]
    # Five of its bytes are found in two thirds of the time that eight take, and they too stand nowhere else.
    if not plain_size or member.find(end[:5], len(HEADER)) != len(member) - TRAILER_SIZE:
        return None
    try:
        plain = deflate.gzip_decompress(member, plain_size)
    except deflate.DeflateError:
        return None
    return plain if len(plain) == plain_size and end == trailer(deflate.crc32(plain), plain_size) else None
