"""A fragment that does not lie in one file: parts of several, one after another."""

from __future__ import annotations

import abc
import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import hashlib

_COPY_SIZE = 1 << 20
_PIECE_SIZE = 1 << 19


class Spread(abc.ABC):
    """Stands where a fragment's file does; its parts are copied in order."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """How many bytes the parts have in all."""

    @abc.abstractmethod
    def parts(self) -> Iterator[tuple[int, int, int]]:
        """Each part: a descriptor that is open until the next is asked for, where the part begins, and its size.

        Raises:
            OSError: one of them cannot be read (any more).
        """


def copy_fragment(fragment: BinaryIO | Spread, out: BinaryIO, digest: hashlib._Hash | None) -> None:
    """Appends the whole of a fragment to ``out``; a file is copied by the kernel when nobody wants to see the bytes.

    Raises:
        OSError: it cannot be read or written.
    """
    if isinstance(fragment, Spread):
        _gather(fragment.parts(), out, digest)
        return
    size = fragment_size(fragment)
    out.flush()
    at = out.tell()
    done = 0 if digest else _copied(fragment, size, out, at)
    out.seek(at + done)
    if done < size:  # elsewhere it goes the plain way
        _copy(fragment, done, size - done, out, digest)
        out.flush()


def fragment_size(fragment: BinaryIO | Spread) -> int:
    """How many bytes a fragment has."""
    return fragment.size if isinstance(fragment, Spread) else fragment.seek(0, os.SEEK_END)


def _gather(parts: Iterable[tuple[int, int, int]], out: BinaryIO, digest: hashlib._Hash | None) -> None:
    """Appends parts, most of them small: writing large pieces is cheaper than having the kernel copy each of them."""
    out.flush()
    piece = memoryview(bytearray(_PIECE_SIZE))
    filled = 0
    for file, start, size in parts:
        while size:
            count = os.preadv(file, [piece[filled : filled + size]], start)
            if not count:
                raise _shorter()
            start, size, filled = start + count, size - count, filled + count
            if filled == _PIECE_SIZE:
                _put(piece, out, digest)
                filled = 0
    _put(piece[:filled], out, digest)
    out.flush()


def _put(piece: memoryview, out: BinaryIO, digest: hashlib._Hash | None) -> None:
    out.write(piece)
    if digest:
        digest.update(piece)


def _copied(source: BinaryIO, size: int, out: BinaryIO, at: int) -> int:
    """How many of the bytes the kernel has copied to ``at``; the position in ``out`` is as it was."""
    done = 0
    with contextlib.suppress(AttributeError, OSError):
        while done < size and (
            count := os.copy_file_range(source.fileno(), out.fileno(), size - done, done, at + done)
        ):
            done += count
    return done


def _copy(source: BinaryIO, start: int, size: int, out: BinaryIO, digest: hashlib._Hash | None) -> None:
    source.seek(start)
    while size:
        chunk = source.read(min(size, _COPY_SIZE))
        if not chunk:
            raise _shorter()
        size -= len(chunk)
        out.write(chunk)
        if digest:
            digest.update(chunk)


def _shorter() -> OSError:
    return OSError(errno.EIO, "a fragment is shorter than it was")
