"""The members of an archive, inflated ahead of whoever reads them, over a few threads."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from capsule_builder.archive.gzip_member import HEADER, inflated
from capsule_builder.archive.gzip_reader import Source, read_member
from capsule_builder.archive.index_reader import IndexMember
from capsule_builder.archive.threads import Pending, Threads

MAX_WHOLE = 64 << 20
"""Members of up to so many bytes, with what they inflate to, are inflated at once; larger ones piece by piece."""

_BATCH = 1 << 20  # bytes that are worth a thread's waking
_ROOM = 32 << 20  # bytes that may lie between the threads before another batch
_LEAST = 1 << 10  # what a member counts for at least, however small
_THREADS = 2  # hashing and comparing, on the reader's own, keep up with no more

Piece = bytes | bytearray


@dataclass(slots=True)
class _Batch:
    """Members as they lie in the archive, each with where it does and what it should inflate to."""

    members: list[tuple[int, bytes, int]] = field(default_factory=list)
    weight: int = 0
    error: Exception | None = None  # what came instead of the next one


class Inflating(Iterator[Piece]):
    """What ``members``, which ``source`` has next, inflate to, in order and in pieces of any size.

    Raises, in place of a piece:
        CapsuleError: a member is damaged, or not what the index says.
        OSError: the archive cannot be read.
    """

    def __init__(self, source: Source, members: Iterable[IndexMember]) -> None:
        self._source = source
        self._members = iter(members)
        self._pool = Threads(_THREADS, "inflate")
        self._waiting: deque[tuple[Pending[tuple[list[Piece], Exception | None]], int]] = deque()
        self._in_flight = 0
        self._next: IndexMember | None = next(self._members, None)
        self._pieces: Iterator[Piece] = iter(())
        self._held = 0
        self._error: Exception | None = None

    def __next__(self) -> Piece:
        while True:
            for piece in self._pieces:
                return piece
            if self._error:
                raise self._error
            self._in_flight -= self._held
            self._held = 0
            self._read_ahead()
            if self._waiting:
                future, self._held = self._waiting.popleft()
                pieces, self._error = future.result()
                self._pieces = iter(pieces)
            elif self._next:  # a member too large for any batch
                large, self._next = self._next, next(self._members, None)
                self._pieces = read_member(self._source, large.size, large.plain_size)
            else:
                raise StopIteration

    def close(self) -> None:
        """Gives up what has not been read."""
        self._pool.close()

    def _read_ahead(self) -> None:
        while self._next and _weight(self._next) <= MAX_WHOLE:
            if self._waiting and self._in_flight + max(_BATCH, _weight(self._next)) > _ROOM:
                return
            batch = self._batch()
            self._waiting.append((self._pool.submit(_inflate, batch), batch.weight))
            self._in_flight += batch.weight

    def _batch(self) -> _Batch:
        batch = _Batch()
        while (member := self._next) and batch.weight < _BATCH:
            weight = _weight(member)
            if batch.members and batch.weight + weight > _ROOM:
                break
            try:
                batch.members.append((self._source.position, self._source.take(member.size), member.plain_size))
            except Exception as error:  # its turn comes when all before it has been read
                batch.error, self._next = error, None
                break
            batch.weight += weight
            self._next = next(self._members, None)
        return batch


def plain_of(member: bytes, position: int, plain_size: int) -> Iterable[Piece]:
    """What a member inflates to, which lies at ``position`` of the archive.

    Raises:
        CapsuleError: it is damaged, or does not inflate to ``plain_size`` bytes.
    """
    plain = inflated(member, plain_size) if member.startswith(HEADER) else None
    if plain is not None:
        return (plain,)  # to find out what is wrong with it:
    return read_member(Source(io.BytesIO(member), position=position), len(member), plain_size)


def _weight(member: IndexMember) -> int:
    return max(_LEAST, member.size + member.plain_size)


def _inflate(batch: _Batch) -> tuple[list[Piece], Exception | None]:
    """What the members of a batch inflate to, and the error that ends it."""
    pieces: list[Piece] = []
    for position, member, plain_size in batch.members:
        try:
            pieces += plain_of(member, position, plain_size)
        except Exception as error:
            return pieces, error
    return pieces, batch.error
