"""A fragment that does not lie in one file: parts of several, one after another."""

from __future__ import annotations

import abc
import contextlib
import errno
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import hashlib

_COPY_SIZE = 1 << 20


class Spread(abc.ABC):
    """Stands where a fragment's file does; its parts are copied in order."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """How many bytes the parts have in all."""

    @abc.abstractmethod
    def parts(self) -> Iterator[tuple[BinaryIO, int, int]]:
        """Each part: a file that is open until the next is asked for, where the part begins in it, and its size.

        Raises:
            OSError: one of them cannot be read (any more).
        """


def copy_fragment(fragment: BinaryIO | Spread, out: BinaryIO, digest: hashlib._Hash | None) -> None:
    """Appends the whole of a fragment to ``out``; within the kernel when nobody wants to see the bytes.

    Raises:
        OSError: it cannot be read or written.
    """
    parts = fragment.parts() if isinstance(fragment, Spread) else [(fragment, 0, fragment_size(fragment))]
    out.flush()
    at = out.tell()
    for file, start, size in parts:
        done = 0 if digest else _copied(file, start, size, out, at)
        at += done
        if done < size:  # elsewhere it goes the plain way
            out.seek(at)
            _copy(file, start + done, size - done, out, digest)
            out.flush()
            at += size - done
    out.seek(at)


def fragment_size(fragment: BinaryIO | Spread) -> int:
    """How many bytes a fragment has."""
    return fragment.size if isinstance(fragment, Spread) else fragment.seek(0, os.SEEK_END)


def _copied(source: BinaryIO, start: int, size: int, out: BinaryIO, at: int) -> int:
    """How many of the bytes the kernel has copied to ``at``; the position in ``out`` is as it was."""
    done = 0
    with contextlib.suppress(AttributeError, OSError):
        while done < size and (
            count := os.copy_file_range(source.fileno(), out.fileno(), size - done, start + done, at + done)
        ):
            done += count
    return done


def _copy(source: BinaryIO, start: int, size: int, out: BinaryIO, digest: hashlib._Hash | None) -> None:
    source.seek(start)
    while size:
        chunk = source.read(min(size, _COPY_SIZE))
        if not chunk:
            raise OSError(errno.EIO, "a fragment is shorter than it was")
        size -= len(chunk)
        out.write(chunk)
        if digest:
            digest.update(chunk)
