"""A member is inflated at once only when it is one member, to its last byte."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsule_builder.archive.gzip_member import HEADER, gzip_member, inflated, trailer

PLAIN = b"an honest member, an honest member, an honest member" * 3
MEMBER = gzip_member(PLAIN, 6)
STREAM, TRAILER = MEMBER[10:-8], MEMBER[-8:]


def zlib_takes(member: bytes, plain_size: int) -> bool:
    """What zlib says of all of it."""
    decoder = zlib.decompressobj(-15)
    try:
        plain = decoder.decompress(member[10:])
    except zlib.error:
        return False
    end = trailer(zlib.crc32(plain), len(plain))
    return decoder.eof and decoder.unused_data == end and len(plain) == plain_size


def test_a_member_is_inflated() -> None:
    assert inflated(MEMBER, len(PLAIN)) == PLAIN
    assert inflated(bytearray(MEMBER), len(PLAIN)) == PLAIN


@pytest.mark.parametrize(
    "member",
    [
        MEMBER + b"\0",
        MEMBER + b"\0" * 8,
        MEMBER + TRAILER,
        MEMBER + MEMBER,
        MEMBER[:-1],
        HEADER + STREAM + TRAILER + b"hidden" + trailer(1, len(PLAIN)),
        HEADER + STREAM + TRAILER + b"hidden" + TRAILER,
        HEADER + STREAM + b"\0" + TRAILER,
        HEADER + STREAM[:-1] + TRAILER,
        HEADER + STREAM + trailer(zlib.crc32(PLAIN), len(PLAIN) + 1),
        HEADER + STREAM + trailer(zlib.crc32(PLAIN) ^ 1, len(PLAIN)),
    ],
)
@pytest.mark.parametrize("more", [0, -1, 1])
def test_anything_else_is_not(member: bytes, more: int) -> None:
    assert inflated(member, len(PLAIN) + more) is None


@settings(max_examples=2000, deadline=None)
@given(st.data())
def test_nothing_is_taken_that_zlib_does_not_take(data: st.DataObject) -> None:
    plain = data.draw(st.binary(min_size=1, max_size=60))
    member = bytearray(gzip_member(plain, data.draw(st.sampled_from([1, 6, 12]))))
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(10, len(member)))
        change = data.draw(st.sampled_from(["flip", "insert", "cut", "trailer"]))
        if change == "flip" and at < len(member):
            member[at] ^= 1 << data.draw(st.integers(0, 7))
        elif change == "insert":
            member[at:at] = data.draw(st.binary(min_size=1, max_size=9))
        elif change == "trailer":
            member[at:at] = trailer(zlib.crc32(plain), len(plain))
        else:
            del member[at:]
    size = data.draw(st.sampled_from([len(plain), len(plain) + 1]))
    if inflated(member, size) is not None:
        assert zlib_takes(bytes(member), size)
