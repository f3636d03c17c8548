"""Tar entries, read strictly (``docs/format.md``, section 4.1): each has one right form, and no other is taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from capsule_builder.archive.damage import damaged
from capsule_builder.archive.tar import BLOCK
from capsule_builder.paths import shown

_ZEROS = bytes(BLOCK)
_LARGE = 1 << 20  # bytes that are not to be in memory twice
_FOREIGN = {
    b"1": ("tar-hardlink", "is a hard link"),
    b"3": ("tar-device", "is a device"),
    b"4": ("tar-device", "is a device"),
    b"6": ("tar-fifo", "is a fifo"),
    b"7": ("tar-contiguous", "is a contiguous file"),
    b"L": ("tar-gnu-long", "has a name in GNU's own form"),
    b"K": ("tar-gnu-long", "has a link's target in GNU's own form"),
    b"S": ("tar-sparse", "is a sparse file"),
    b"M": ("tar-gnu-other", "is the continuation of another archive"),
    b"D": ("tar-gnu-other", "is a list of a directory"),
    b"N": ("tar-gnu-other", "is a list of names"),
    b"V": ("tar-gnu-other", "is the name of a volume"),
    b"g": ("tar-pax-global", "is a pax header for all that follows"),
    b"\0": ("tar-type-old", "has the type that files had before POSIX"),
}


class Tar:
    """The bytes of a tar, out of the pieces that its members inflate to."""

    def __init__(self, pieces: Iterable[bytes | bytearray]) -> None:
        self._pieces = iter(pieces)
        self._piece: bytes | bytearray = b""
        self._at = self._end = 0

    def some(self, size: int) -> bytes | bytearray:
        """At least one and at most ``size`` bytes; empty at the end."""
        at, piece = self._at, self._piece
        while at == self._end:
            found = next(self._pieces, None)
            if found is None:
                return b""
            at, piece = 0, found
            self._at, self._piece, self._end = 0, piece, len(piece)
        if at == 0 and self._end <= size:
            self._piece, self._end = b"", 0
            return piece
        end = min(at + size, self._end)
        if end - at >= _LARGE and self._end - end < end - at and isinstance(piece, bytearray):
            self._piece, self._at, self._end = piece[end:], 0, self._end - end
            del piece[end:], piece[:at]  # neither moves what stays
            return piece
        self._at = end
        return piece[at:end]

    def take(self, size: int) -> bytes | bytearray:
        """Exactly ``size`` bytes.

        Raises:
            CapsuleError: the tar ends before.
        """
        at = self._at
        if self._end - at > size:
            self._at = end = at + size
            return self._piece[at:end]
        data = self.some(size)
        while len(data) < size:
            more = self.some(size - len(data))
            if not more:
                raise damaged("tar-truncated", "The tar ends within an entry")
            data += more
        return data

    def header(self, expected: bytes, path: str) -> None:
        """Takes the header of the entry at ``path``, which must be ``expected``, with its pax header if it has one."""
        found = self.take(len(expected))
        if found != expected:
            code, what = _difference(bytes(found), expected)
            raise damaged(code, f"The tar header of {shown(path)} {what}")

    def content(self, size: int, path: str) -> Iterator[bytes | bytearray]:
        """The content of an entry, in pieces; its padding is taken and checked with the last one."""
        left = size
        while left:
            piece = self.some(left)
            if not piece:
                raise damaged("tar-truncated", "The tar ends within an entry")
            left -= len(piece)
            if not left:
                self._padding(size, path)
            yield piece

    def whole(self, size: int, path: str) -> bytes | bytearray | None:
        """What :meth:`content` gives, if that is one piece; nothing is taken if it is not."""
        if size and self._at == self._end:
            self._piece, self._at = next(self._pieces, b""), 0
            self._end = len(self._piece)
        if not size or self._end - self._at < size:
            return None
        data = self.some(size)
        self._padding(size, path)
        return data

    def _padding(self, size: int, path: str) -> None:
        fill = -size % BLOCK
        if fill and self.take(fill) != _ZEROS[:fill]:
            raise damaged("tar-padding", f"After the content of {shown(path)} there are bytes that belong to nothing")


def _difference(found: bytes, expected: bytes) -> tuple[str, str]:
    """The code and the words for the first difference between the blocks of two headers."""
    start = next(at for at in range(0, len(expected), BLOCK) if found[at : at + BLOCK] != expected[at : at + BLOCK])
    if 0 < start < len(expected) - BLOCK:
        return "tar-pax-record", "has other pax records than the listing and the index say"
    return _block_difference(found[start : start + BLOCK], expected[start : start + BLOCK])


def _block_difference(found: bytes, expected: bytes) -> tuple[str, str]:
    if not found.strip(b"\0"):
        return "tar-end", "is missing: the tar ends before it"
    if found[257:265] != expected[257:265]:
        return "tar-magic", "is not a POSIX one (ustar)"
    if found[148:156] != b"%06o\0 " % (sum(found) - sum(found[148:156]) + 8 * 0x20):
        return "tar-checksum", "is damaged: its checksum is another"
    kind, wanted = found[156:157], expected[156:157]
    if kind != wanted:
        if kind in _FOREIGN:
            return _FOREIGN[kind]
        if kind == b"x":
            return "tar-pax-needless", "follows a pax header that it does not need"
        if wanted == b"x":
            return "tar-pax-missing", "lacks the pax header that it needs"
        if kind not in {b"0", b"2", b"5"}:
            return "tar-type-unknown", f"has a type that POSIX does not know: {kind!a}"
        return "tar-type", "has another type than the listing says"
    return next(
        (problem for start, end, problem in _FIELDS if found[start:end] != expected[start:end]),
        ("tar-reserved", "has something after its last field"),
    )


_FIELDS = [
    (0, 100, ("tar-name", "has another name than the listing and the index say")),
    (345, 500, ("tar-name", "has another name than the listing and the index say")),
    (100, 108, ("tar-mode", "has another mode than the listing says")),
    (108, 124, ("tar-owner", "has an owner or a group")),
    (124, 136, ("tar-size", "has another size than the index says, or one that is not plain octal")),
    (136, 148, ("tar-time", "has another time than 2000-01-01")),
    (157, 257, ("tar-target", "has another link target than the listing says")),
    (265, 329, ("tar-owner", "has the name of an owner or a group")),
    (329, 345, ("tar-device-number", "has a device number")),
]
