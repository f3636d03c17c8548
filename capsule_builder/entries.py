"""What a source yields: entries. A source knows nothing of tar or gzip, an archive nothing of disks or ZIPs."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol


class Content(Protocol):
    """A handle on the bytes of one file.

    It is read once, at most, and before the source is asked for the next entry.
    """

    @property
    def size(self) -> int:
        """The length of the plain content, in bytes; exactly what :meth:`chunks` gives in all."""

    def chunks(self) -> Iterator[bytes]:
        """The plain content, in pieces of at most 1 MiB.

        Raises:
            CapsuleError: the content cannot be read, or is not (or no longer) ``size`` bytes long.
        """


class Opened(Content, Protocol):
    """The content of one file of a tree, with what it says of itself before it is read."""

    @property
    def program(self) -> bool:
        """Whether its content makes it executable."""

    @property
    def elf(self) -> bool:
        """Whether it is an ELF file of any kind."""

    @property
    def executable_bit(self) -> bool:
        """Whether it has one where it lies; False where there is no such thing."""


class Whole(NamedTuple):
    """A stream as a gzip member (its header has no name and no time), and the plain content, found to be sound."""

    member: bytes | bytearray
    plain: bytes | bytearray


class Deflated(abc.ABC):
    """Content that lies deflated at its source (a ZIP, a wheel): an archive may copy the stream as it is."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """The length of the plain content, in bytes."""

    @property
    @abc.abstractmethod
    def deflated_size(self) -> int:
        """The length of the raw deflate stream (RFC 1951), in bytes."""

    @property
    @abc.abstractmethod
    def crc32(self) -> int:
        """The CRC-32 of the plain content."""

    @property
    @abc.abstractmethod
    def program(self) -> bool:
        """Whether its content makes it executable."""

    def at_once(self) -> Callable[[], Whole] | None:
        """What reads all of the content, later and on any thread; None when it is to be read in pieces.

        It raises what :meth:`pieces` does.
        """
        return None

    @abc.abstractmethod
    def pieces(self) -> Iterator[tuple[bytes, bytes]]:
        """The stream, in pieces, and with each the plain bytes that it gives; either may be empty, none exceeds 1 MiB.

        Raises:
            CapsuleError: the stream cannot be read, is damaged, or does not give exactly what was announced.
        """

    def chunks(self) -> Iterator[bytes]:
        """The plain content, in pieces of at most 1 MiB; raises what :meth:`pieces` does."""
        return (plain for _, plain in self.pieces() if plain)


class Pledge(NamedTuple):
    """The SHA-256 (64 hex digits) that a file must have, and who vouches for it, for messages."""

    sha256: str
    by: str


class File(NamedTuple):
    """A regular file; ``named`` when it is executable only because a pattern names it.

    ``executable`` is None when nobody has looked into the content, which lies deflated: then it is executable if it is
    a program, and otherwise if a pattern names it, which ``named`` tells. One that turns out to be something else than
    was ``pledged`` is refused.
    """

    path: str
    executable: bool | None
    content: Content
    named: bool = False
    pledged: Pledge | None = None


class Symlink(NamedTuple):
    """A symbolic link; ``target`` is kept to the letter."""

    path: str
    target: str


class Directory(NamedTuple):
    """A directory with nothing in it; others are implied by what they hold."""

    path: str


Entry = File | Symlink | Directory


class Bytes(NamedTuple):
    """Content that is in memory."""

    data: bytes

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return len(self.data)

    def chunks(self) -> Iterator[bytes]:
        """The bytes, in one piece."""
        yield self.data
