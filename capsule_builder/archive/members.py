"""Tar entries into gzip members (RFC 1951, RFC 1952; ``docs/format.md``, section 4.2).

Where a member ends depends on the names and sizes of the entries alone: not on the number of threads, nor on what the
compressor made of it.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from functools import cache, partial
from itertools import chain
from types import TracebackType
from typing import Any

from capsule_builder.archive.effort import DEFAULT_LEVEL
from capsule_builder.archive.gzip_member import HEADER, TRAILER_SIZE, gzip_member, trailer
from capsule_builder.archive.sizes import BLOCK_SIZE as BLOCK_SIZE
from capsule_builder.archive.sizes import PACK_SIZE as PACK_SIZE
from capsule_builder.archive.sizes import is_border
from capsule_builder.archive.threads import Pending, Threads

COPY_SIZE = 1 << 11
"""From this many bytes on, a stream that was deflated elsewhere becomes a member as it is."""

_JOB = 1 << 18  # bytes from which on work is worth a thread's waking
_IN_FLIGHT = 48 << 20  # bytes between the reader and the writer: bounds memory whatever the thread count

TAIL = HEADER + bytes.fromhex("631805a360148c580000") + struct.pack("<II", zlib.crc32(bytes(1024)), 1024)
"""The last member: the two zero blocks that end a tar, the same bytes in every capsule."""


class Member:
    """A finished member: its bytes, in pieces; their number, and that of the bytes they inflate to.

    ``begun`` has the offset, the size and the path of each entry that begins in it, ``notes`` what the caller of
    :meth:`MemberWriter.end` said of each that ends in it.
    """

    __slots__ = ("begun", "notes", "pieces", "plain_size", "size")

    def __init__(
        self,
        pieces: Iterable[bytes | bytearray],
        size: int,
        plain_size: int,
        begun: Iterable[tuple[int, int, str]] = (),
        notes: Iterable[Any] = (),
    ) -> None:
        self.pieces = pieces
        self.size = size
        self.plain_size = plain_size
        self.begun = begun
        self.notes = notes


Task = Callable[[], list[Member]]
"""Work that gives members, on any thread."""


def deflated(plain: bytes | bytearray, level: int, begun: list[tuple[int, int, str]]) -> Member:
    """One member, deflated here and now."""
    data = gzip_member(plain, level)
    return Member([data], len(data), len(plain), begun)


@cache  # 511 of them, each a few bytes long
def zeros(size: int, level: int) -> bytes:
    """The member that holds the padding of a copied file, fewer than 512 zero bytes."""
    return gzip_member(bytes(size), level)


class _Block:
    """A member in the making: its tar bytes, the entries that begin in it, the notes of those that end in it."""

    __slots__ = ("begun", "notes", "plain")

    def __init__(self, plain: bytearray | None = None) -> None:
        self.plain = bytearray() if plain is None else plain
        self.begun: list[tuple[int, int, str]] = []
        self.notes: list[Any] = []


class MemberWriter:
    """Packs entries into members and deflates them over ``jobs`` threads.

    For each entry call :meth:`begin`, :meth:`write` and :meth:`copy` as often as needed, then :meth:`end`; or hand it
    over whole, as a task (:meth:`later`). Members arrive at ``sink`` in order, on the calling thread. Leaving the
    context waits for all of them, unless it is left by an error.
    """

    def __init__(self, sink: Callable[[Member], None], *, level: int = DEFAULT_LEVEL, jobs: int = 1) -> None:
        self._sink = sink
        self._level = level
        self._pool = Threads(jobs, "deflate")
        self._waiting: deque[tuple[Pending[list[Member]], int]] = deque()
        self._in_flight = 0
        self._few = min(_IN_FLIGHT, (2 * jobs + 2) * BLOCK_SIZE)
        self._tasks: list[Task] = []
        self._weight = 0
        self._room = 0
        self._block = _Block()
        self._path = ""
        self._large = False

    def begin(self, path: str, tar_size: int, size: int) -> None:
        """Starts an entry that takes ``tar_size`` bytes in the tar, with ``size`` bytes of content."""
        if self._block.plain and len(self._block.plain) + tar_size > BLOCK_SIZE:
            self.flush()
        self._path = path
        self._large = tar_size > BLOCK_SIZE
        self._block.begun.append((len(self._block.plain), size, path))

    def write(self, data: bytes | bytearray) -> None:
        """Adds tar bytes of the entry that was begun."""
        plain = self._block.plain
        plain += data
        if self._large:
            while len(plain) >= BLOCK_SIZE:
                rest = _Block(plain[BLOCK_SIZE:])
                del plain[BLOCK_SIZE:]
                self.flush()
                self._block = rest
                plain = rest.plain

    def add(self, path: str, data: bytes, size: int, note: object = None) -> None:
        """Adds an entry that is there in one piece: all of its tar bytes, and how many of them are content."""
        block = self._block
        if block.plain and len(block.plain) + len(data) > BLOCK_SIZE:
            self.flush()
            block = self._block
        if len(data) > BLOCK_SIZE:
            self.begin(path, len(data), size)
            self.write(data)
            self.end(note)
            return
        block.begun.append((len(block.plain), size, path))
        block.plain += data
        block.notes.append(note)
        if len(block.plain) >= PACK_SIZE and is_border(path):
            self.flush()

    def copy(self, stream: Iterable[bytes], size: int, plain_size: int, crc32: int) -> None:
        """Adds content of the entry that was begun as a member of its own: a raw deflate stream of ``size`` bytes."""
        self.flush()
        self._large = True  # what follows it, up to the next entry, is a member of its own too
        self._finish()
        pieces = chain([HEADER], stream, [trailer(crc32, plain_size)])
        self._sink(Member(pieces, len(HEADER) + size + TRAILER_SIZE, plain_size))

    def end(self, note: object = None) -> None:
        """Ends the entry; large ones end their member, and so does about one name in sixteen once there is enough.

        The ``note`` comes to the sink with the member that the entry ends in.
        """
        self._block.notes.append(note)
        full = len(self._block.plain) >= PACK_SIZE
        if self._large or (full and is_border(self._path)):
            self.flush()

    def flush(self) -> None:
        """Ends the member, if there is anything to say of it."""
        block = self._block
        if block.plain or block.notes:
            self._block = _Block()
            if block.plain:
                self._add(partial(self._deflated, block), len(block.plain))
            else:  # an entry that ended with a member of its own
                self._add(lambda: [Member([], 0, 0, [], block.notes)], 0)

    def later(self, task: Task, weight: int) -> None:
        """Adds the members that ``task`` will give, for whole entries; it holds about ``weight`` bytes of memory."""
        self.flush()
        self._room = _IN_FLIGHT  # one file may be as large as all that is few
        self._add(task, weight)

    def _deflated(self, block: _Block) -> list[Member]:
        member = deflated(block.plain, self._level, block.begun)
        member.notes = block.notes
        return [member]

    def _add(self, task: Task, weight: int) -> None:
        self._tasks.append(task)
        self._weight += weight
        if self._weight >= _JOB:
            self._submit()

    def _submit(self) -> None:
        """Hands the gathered tasks over to a thread, when there is room for them."""
        if not self._tasks:
            return
        tasks, weight, room = self._tasks, self._weight, max(self._room, self._few)
        self._tasks, self._weight, self._room = [], 0, 0
        self._drain(max(0, room - weight))
        self._waiting.append((self._pool.submit(_run, tasks), weight))
        self._in_flight += weight

    def _finish(self) -> None:
        """Passes everything on."""
        if self._waiting:
            self._submit()
            self._drain(0)
        else:  # what is left is too little to wake a thread for
            tasks, self._tasks, self._weight, self._room = self._tasks, [], 0, 0
            for member in _run(tasks):
                self._sink(member)

    def _drain(self, room: int) -> None:
        """Passes finished members on, until no more than ``room`` bytes are in flight."""
        while self._waiting and (self._in_flight > room or room == 0 or self._waiting[0][0].done()):
            future, weight = self._waiting.popleft()
            for member in future.result():
                self._sink(member)
            self._in_flight -= weight

    def __enter__(self) -> MemberWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.flush()
                self._finish()
        finally:
            self._pool.close(wait=kind is None)


def _run(tasks: list[Task]) -> list[Member]:
    return [member for task in tasks for member in task()]
