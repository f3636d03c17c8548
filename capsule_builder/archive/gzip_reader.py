"""gzip members, read strictly (RFC 1951, RFC 1952; ``docs/format.md``, section 4.2). Believes nothing."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from capsule_builder.archive.damage import damaged
from capsule_builder.archive.gzip_member import HEADER, TRAILER_SIZE
from capsule_builder.archive.members import BLOCK_SIZE

_READ = 1 << 20
_OTHERS = {
    b"PK": "a ZIP",
    b"\xfd7zXZ": "an xz file",
    b"BZh": "a bzip2 file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b".capsule_": "a tar that is not compressed",
}


class Source:
    """The bytes of an archive, from its beginning to its end, each read once.

    ``watch`` is told of everything that is read, in order, and keeps nothing of it; ``position`` is that of the first
    byte.
    """

    def __init__(
        self, file: BinaryIO, watch: Callable[[bytes | memoryview], object] | None = None, position: int = 0
    ) -> None:
        self._file = file
        self._watch = watch
        self._ahead = b""
        self._at = 0
        self.position = position
        """The offset of the next byte that :meth:`take` gives."""

    def some(self, size: int) -> bytes:
        """At least one and at most ``size`` bytes; empty at the end.

        Raises:
            OSError: the file cannot be read.
        """
        if self._at == len(self._ahead):
            self._ahead, self._at = self._file.read(_READ), 0
            if self._watch:
                self._watch(self._ahead)
        data = self._ahead[self._at : self._at + size]
        self._at += len(data)
        self.position += len(data)
        return data

    def into(self, room: memoryview) -> int:
        """Fills the beginning of ``room``, at least a byte of it; 0 at the end.

        Raises:
            OSError: the file cannot be read.
        """
        if self._at < len(self._ahead):
            data = self.some(len(room))
            room[: len(data)] = data
            return len(data)
        got: int = self._file.readinto(room[:_READ])  # type: ignore[attr-defined]
        if self._watch:
            self._watch(room[:got])
        self.position += got
        return got

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes.

        Raises:
            CapsuleError: the archive ends before.
        """
        data = self.some(size)
        if len(data) < size:
            pieces = [data]
            left = size - len(data)
            while left:
                more = self.some(left)
                if not more:
                    raise damaged("archive-truncated", f"It ends too early, after {self.position:,} bytes")
                pieces.append(more)
                left -= len(more)
            data = b"".join(pieces)
        return data

    def put_back(self, data: bytes) -> None:
        """Gives back the last bytes that were taken."""
        self._ahead, self._at = data + self._ahead[self._at :], 0
        self.position -= len(data)


def read_member(source: Source, size: int | None, plain_size: int) -> Iterator[bytes]:
    """What the next member inflates to, in pieces of at most 1 MiB; checked to its end once they are all taken.

    A member of known ``size`` inflates to exactly ``plain_size`` bytes. When ``size`` is None the member ends where it
    ends, and inflates to at most that.

    Raises:
        CapsuleError: it is not a member as the format has it.
        OSError: the file cannot be read.
    """
    start = source.position
    left = _READ if size is None else size - len(HEADER) - TRAILER_SIZE
    _check_header(source.take(len(HEADER)), start)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    crc, made, data = 0, 0, b""
    while not inflate.eof:
        if not data and left:
            data = source.some(min(left, _READ))
            if not data:
                raise damaged("archive-truncated", f"It ends too early, after {source.position:,} bytes")
            left -= 0 if size is None else len(data)
        try:
            plain = inflate.decompress(data, min(BLOCK_SIZE, plain_size - made + 1))
        except zlib.error:
            raise damaged("gzip-deflate", f"The member at byte {start:,} is not a deflate stream") from None
        if not plain and not data and not inflate.eof:
            raise damaged("gzip-end", f"The member at byte {start:,} does not end where it should")
        data = inflate.unconsumed_tail
        made += len(plain)
        if made > plain_size:
            raise damaged("gzip-size", f"The member at byte {start:,} inflates to more than it may")
        if plain:
            crc = zlib.crc32(plain, crc)
            yield plain
    if size is None:
        source.put_back(inflate.unused_data)
    elif inflate.unused_data or left:
        raise damaged("gzip-end", f"The member at byte {start:,} does not end where it should")
    found_crc, found_size = struct.unpack("<II", source.take(TRAILER_SIZE))
    if found_crc != crc:
        raise damaged("gzip-crc", f"The member at byte {start:,} is damaged: its CRC-32 is another")
    if found_size != made & 0xFFFFFFFF:
        raise damaged("gzip-length", f"The member at byte {start:,} is damaged: it does not have the length it states")
    if size is not None and made != plain_size:
        raise damaged("gzip-size", f"The member at byte {start:,} inflates to less than the index says")


def _check_header(header: bytes, start: int) -> None:
    if header == HEADER:
        return
    if start == 0:
        other = next((what for magic, what in _OTHERS.items() if header.startswith(magic)), None)
        if other:
            raise damaged("archive-other", f"Not a capsule, but {other}")
    if header[:2] != HEADER[:2]:
        raise damaged("gzip-magic", f"No gzip member begins at byte {start:,}")
    if header[2] != HEADER[2]:
        raise damaged("gzip-method", f"The member at byte {start:,} is not deflated")
    if header[3]:
        raise damaged("gzip-flags", f"The member at byte {start:,} has a name, a comment or other extras")
    if any(header[4:8]):
        raise damaged("gzip-time", f"The member at byte {start:,} has a time")
    raise damaged("gzip-system", f"The member at byte {start:,} names the system it was made on, or an extra flag")
