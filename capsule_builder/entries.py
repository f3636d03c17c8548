"""What a source yields: entries. A source knows nothing of tar or gzip, an archive nothing of disks or ZIPs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


class Content(Protocol):
    """A handle on the bytes of one file.

    It is read once, at most, and before the source is asked for the next entry. A source whose files lie deflated
    already (a ZIP, a wheel) may offer that stream beside the plain bytes, as a further method: an archive copies what
    is offered and deflates the rest.
    """

    @property
    def size(self) -> int:
        """The length of the plain content, in bytes; exactly what :meth:`chunks` gives in all."""

    def chunks(self) -> Iterator[bytes]:
        """The plain content, in pieces of at most 1 MiB.

        Raises:
            CapsuleError: the content cannot be read, or is not (or no longer) ``size`` bytes long.
        """


@dataclass(frozen=True, slots=True)
class File:
    """A regular file; ``named`` when it is executable only because a pattern names it."""

    path: str
    executable: bool
    content: Content
    named: bool = False


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link; ``target`` is kept to the letter."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory with nothing in it; others are implied by what they hold."""

    path: str


Entry = File | Symlink | Directory


@dataclass(frozen=True, slots=True)
class Bytes:
    """Content that is in memory."""

    data: bytes

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return len(self.data)

    def chunks(self) -> Iterator[bytes]:
        """The bytes, in one piece."""
        yield self.data
