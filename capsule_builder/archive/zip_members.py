"""The members of a ZIP, and their content: inflated once, and checked to the last byte while it is read."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from capsule_builder.archive.gzip_member import HEADER, TRAILER_SIZE, inflated, trailer
from capsule_builder.archive.zip_findings import AGAIN
from capsule_builder.archive.zip_headers import DEFLATED
from capsule_builder.archive.zip_volume import Volume
from capsule_builder.entries import Deflated, Whole
from capsule_builder.errors import CapsuleError, refusal
from capsule_builder.modes import is_program
from capsule_builder.paths import shown

MAX_TARGET_BYTES = 4096

_PIECE = 1 << 20
MAX_WHOLE = 64 << 20
"""Files of up to so many bytes, plain and deflated together, are inflated at once; larger ones piece by piece."""

_READ_LIMIT = 64 << 20

Pieces = Iterator[tuple[bytes, bytes]]


@dataclass(slots=True, eq=False)  # frozen ones take twice as long to make, and there are many
class ZipMember:
    """One entry of a ZIP.

    ``name`` is decoded and has ``/`` between its parts; a directory's ends in it. ``size`` (of the plain content) and
    ``deflated_size`` (of what lies in the ZIP) are in bytes, ``offset`` is where that begins. ``method`` is 0 (stored)
    or 8 (deflated), ``mode`` the Unix mode, 0 when no Unix made the entry.
    """

    volume: Volume = field(repr=False)
    name: str
    kind: Literal["file", "directory", "symlink"]
    size: int
    deflated_size: int
    crc32: int
    method: int
    offset: int
    mode: int

    @property
    def program(self) -> bool:
        """Whether its content makes it executable.

        Raises:
            CapsuleError: the content is damaged.
        """
        return is_program(self._plain_at(64, 0), self._plain_at)

    @property
    def elf(self) -> bool:
        """Whether it is an ELF file of any kind.

        Raises:
            CapsuleError: the content is damaged.
        """
        return self._plain_at(4, 0) == b"\x7fELF"

    @property
    def executable_bit(self) -> bool:
        """Whether a Unix made it, and its owner may execute it."""
        return bool(self.mode & 0o100)

    def content(self) -> DeflatedContent | StoredContent:
        """The content of a file, checked while it is read."""
        return DeflatedContent(self) if self.method == DEFLATED else StoredContent(self)

    def read(self, limit: int = _READ_LIMIT) -> bytes:
        """The whole plain content, checked.

        Raises:
            CapsuleError: it is damaged, or longer than ``limit`` bytes.
        """
        if self.size > limit:
            raise self._damaged("zip-member-size", f"is longer than {limit:,} bytes", "Make it shorter.")
        return b"".join(self.content().chunks())

    def target(self) -> str:
        """Where a symbolic link leads; bytes that are not UTF-8 are surrogates in it.

        Raises:
            CapsuleError: it is damaged, or longer than any target.
        """
        return self.read(MAX_TARGET_BYTES).decode("utf-8", "surrogateescape")

    @property
    def fits(self) -> bool:
        """Whether it may be held in memory, with its stream."""
        return self.size + self.deflated_size <= MAX_WHOLE

    def whole(self) -> Whole:
        """The stream and the plain content of a deflated file, of one that :attr:`fits`.

        Raises:
            CapsuleError: it is damaged.
        """
        data = bytearray(len(HEADER) + self.deflated_size + TRAILER_SIZE)
        data[: len(HEADER)] = HEADER
        data[-TRAILER_SIZE:] = trailer(self.crc32, self.size)
        if not self.volume.read_into(memoryview(data)[len(HEADER) : -TRAILER_SIZE], self.offset):
            raise self._truncated()
        plain = inflated(data, self.size)
        if plain is None:  # damaged, as zlib will say; or one of the few that it must judge
            plain = bytearray().join(plain for _, plain in self._inflated())
        return Whole(data, plain)

    def taken(self) -> Whole | None:
        """What was kept when the content was judged; it is not kept any longer."""
        kept, self.volume.kept = self.volume.kept, None
        return kept[1] if kept and kept[0] is self else None

    def _plain_at(self, size: int, offset: int) -> bytes:
        if self.method != DEFLATED:
            return self.volume.read_at(max(0, min(size, self.size - offset)), self.offset + offset)
        if not self.fits:
            return _cut(self._inflated(), size, offset)
        if self.volume.kept is None or self.volume.kept[0] is not self:
            self.volume.kept = self, self.whole()
        return bytes(self.volume.kept[1].plain[offset : offset + size])

    def _pieces(self) -> Pieces:
        if not self.fits:
            yield from self._inflated()
            return
        whole = self.taken() or self.whole()
        stream = memoryview(whole.member)[len(HEADER) : -TRAILER_SIZE]
        for at in range(0, max(len(stream), len(whole.plain)), _PIECE):
            yield bytes(stream[at : at + _PIECE]), bytes(whole.plain[at : at + _PIECE])

    def _chunks(self) -> Iterator[bytes]:
        if not self.fits:
            yield from (plain for _, plain in self._inflated() if plain)
            return
        plain = (self.taken() or self.whole()).plain
        for at in range(0, len(plain), _PIECE):
            yield bytes(plain[at : at + _PIECE])

    def _inflated(self) -> Pieces:
        decoder = zlib.decompressobj(-zlib.MAX_WBITS)
        at, end = self.offset, self.offset + self.deflated_size
        left, crc = self.size, 0
        ended = False
        while not ended:
            fresh = data = self.volume.read_at(min(_PIECE, end - at), at)
            at += len(fresh)
            if not fresh:
                raise self._truncated()
            more = True
            while more:
                room = min(_PIECE, left + 1)
                try:
                    plain = decoder.decompress(data, room)
                except zlib.error:
                    raise self._damaged("zip-stream", "is not a deflate stream") from None
                left -= len(plain)
                if left < 0:
                    raise self._damaged("zip-stream-size", f"is longer than the {self.size:,} bytes announced")
                crc = zlib.crc32(plain, crc)
                data = decoder.unconsumed_tail
                ended = decoder.eof
                more = not ended and bool(data or len(plain) == room)
                if ended and (decoder.unused_data or at < end):
                    raise self._damaged("zip-stream-trailing", "is followed by something else")
                yield fresh, plain
                fresh = b""
        if left:
            raise self._damaged("zip-stream-size", f"is shorter than the {self.size:,} bytes announced")
        self._check_crc(crc)

    def _stored(self) -> Iterator[bytes]:
        left, crc = self.size, 0
        while left:
            plain = self.volume.read_at(min(left, _PIECE), self.offset + self.size - left)
            if not plain:
                raise self._truncated()
            left -= len(plain)
            crc = zlib.crc32(plain, crc)
            yield plain
        self._check_crc(crc)

    def _check_crc(self, crc: int) -> None:
        if crc != self.crc32:
            raise self._damaged("zip-crc", "has another CRC-32 than the one announced")

    def _truncated(self) -> CapsuleError:
        return self._damaged("zip-stream-truncated", "ends too early")

    def _damaged(self, code: str, what: str, remedy: str = AGAIN) -> CapsuleError:
        return refusal(code, f"{shown(self.volume.label)}: Content {what}: {shown(self.name)}", remedy)


class _OfMember:
    """Content of a member, with what is to be known of it before it is read."""

    def __init__(self, member: ZipMember) -> None:
        self._member = member

    @property
    def size(self) -> int:
        """The length of the plain content, in bytes."""
        return self._member.size

    @property
    def program(self) -> bool:
        """See :attr:`ZipMember.program`."""
        return self._member.program

    @property
    def elf(self) -> bool:
        """See :attr:`ZipMember.elf`."""
        return self._member.elf

    @property
    def executable_bit(self) -> bool:
        """See :attr:`ZipMember.executable_bit`."""
        return self._member.executable_bit


class StoredContent(_OfMember):
    """Content that lies in the ZIP as it is."""

    def chunks(self) -> Iterator[bytes]:
        """The bytes, in pieces of at most 1 MiB.

        Raises:
            CapsuleError: they cannot be read, or do not have the CRC-32 that was announced.
        """
        return self._member._stored()


class DeflatedContent(_OfMember, Deflated):
    """Content that lies in the ZIP deflated."""

    @property
    def deflated_size(self) -> int:
        """The length of the raw deflate stream, in bytes."""
        return self._member.deflated_size

    @property
    def crc32(self) -> int:
        """The CRC-32 of the plain content."""
        return self._member.crc32

    def at_once(self) -> Callable[[], Whole] | None:
        """What reads all of it, unless it is too large; see :meth:`Deflated.at_once`."""
        member = self._member
        if not member.fits:
            return None
        kept = member.taken()
        return (lambda: kept) if kept else member.whole

    def pieces(self) -> Pieces:
        """The stream in pieces with what each gives, as :meth:`Deflated.pieces` has it."""
        return self._member._pieces()

    def chunks(self) -> Iterator[bytes]:
        """The plain content alone."""
        return self._member._chunks()


def _cut(pieces: Iterable[tuple[bytes, bytes]], size: int, offset: int) -> bytes:
    """``size`` plain bytes from ``offset`` on; fewer at the end. Reads no further than it must."""
    found: list[bytes] = []
    for _, plain in pieces:
        if offset < len(plain):
            found.append(plain[offset : offset + size])
            size -= len(found[-1])
        offset = max(0, offset - len(plain))
        if not size:
            break
    return b"".join(found)
