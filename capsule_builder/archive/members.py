"""Tar entries into gzip members (RFC 1951, RFC 1952; ``docs/format.md``, section 4.2).

Where a member ends depends on the names and sizes of the entries alone: not on the number of threads, nor on what the
compressor made of it.
"""

from __future__ import annotations

import itertools
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType

import deflate

BLOCK_SIZE = 1 << 20
"""The most tar bytes that one member holds."""

PACK_SIZE = 1 << 17
"""From this many tar bytes on, small entries may end a member."""

COPY_SIZE = 1 << 14
"""From this many bytes on, a stream that was deflated elsewhere becomes a member as it is."""

DEFAULT_LEVEL = 6
MIN_LEVEL, MAX_LEVEL = 1, 12
MAX_JOBS = 64

_HEADER = bytes.fromhex("1f8b0800 00000000 00ff")  # deflate, no flags, no time, no extra flags, unknown system
_BORDER_MASK = 0xF
_IN_FLIGHT = 48  # members between the reader and the writer: bounds memory at about 100 MiB whatever the thread count

TAIL = _HEADER + bytes.fromhex("631805a360148c580000") + struct.pack("<II", zlib.crc32(bytes(1024)), 1024)
"""The last member: the two zero blocks that end a tar, the same bytes in every capsule."""


def default_jobs() -> int:
    """One thread for each core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_JOBS)


def gzip_member(plain: bytes | bytearray, level: int) -> bytes:
    """``plain`` as one gzip member, deflated by libdeflate at ``level`` (1 to 12)."""
    body = deflate.deflate_compress(plain, level)
    return b"".join((_HEADER, body, _trailer(deflate.crc32(plain), len(plain))))


def _trailer(crc32: int, size: int) -> bytes:
    return struct.pack("<II", crc32, size & 0xFFFFFFFF)


@dataclass(slots=True)
class _Block:
    """A member in the making: its tar bytes, and the (offset, size, path) of each entry that begins in it."""

    plain: bytearray = field(default_factory=bytearray)
    entries: list[tuple[int, int, str]] = field(default_factory=list)


Sink = Callable[[Iterable[bytes], int, int, list[tuple[int, int, str]]], None]
"""Takes the finished members in order: the pieces of one, its size and plain size, the entries that begin in it."""


class MemberWriter:
    """Packs entries into members and deflates them over ``jobs`` threads.

    For each entry call :meth:`begin`, :meth:`write` and :meth:`copy` as often as needed, then :meth:`end`. Members
    arrive at ``sink`` in order, on the calling thread. Leaving the context waits for all of them, unless it is left by
    an error.
    """

    def __init__(self, sink: Sink, *, level: int = DEFAULT_LEVEL, jobs: int = 1) -> None:
        self._sink = sink
        self._level = level
        self._pool = ThreadPoolExecutor(jobs, "deflate")
        self._waiting: deque[tuple[Future[bytes], int, list[tuple[int, int, str]]]] = deque()
        self._room = min(_IN_FLIGHT, 2 * jobs + 2)
        self._block = _Block()
        self._path = ""
        self._large = False

    def begin(self, path: str, tar_size: int, size: int) -> None:
        """Starts an entry that takes ``tar_size`` bytes in the tar, with ``size`` bytes of content."""
        if self._block.plain and len(self._block.plain) + tar_size > BLOCK_SIZE:
            self.flush()
        self._path = path
        self._large = tar_size > BLOCK_SIZE
        self._block.entries.append((len(self._block.plain), size, path))

    def write(self, data: bytes) -> None:
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

    def copy(self, stream: Iterable[bytes], size: int, plain_size: int, crc32: int) -> None:
        """Adds content of the entry that was begun as a member of its own: a raw deflate stream of ``size`` bytes."""
        self.flush()
        self._large = True  # what follows it, up to the next entry, is a member of its own too
        pieces = itertools.chain([_HEADER], stream, [_trailer(crc32, plain_size)])
        size += len(_HEADER) + 8
        if size > BLOCK_SIZE:
            self._drain(0)
            self._sink(pieces, size, plain_size, [])
            return
        future: Future[bytes] = Future()
        future.set_result(b"".join(pieces))
        self._waiting.append((future, plain_size, []))
        self._drain(self._room)

    def end(self) -> None:
        """Ends the entry; large ones end their member, and so does about one name in sixteen once there is enough."""
        full = len(self._block.plain) >= PACK_SIZE
        if self._large or (full and not zlib.crc32(self._path.encode()) & _BORDER_MASK):
            self.flush()

    def flush(self) -> None:
        """Ends the member, if it holds anything."""
        if self._block.plain:
            block, self._block = self._block, _Block()
            try:
                future = self._pool.submit(gzip_member, block.plain, self._level)
            except RuntimeError:  # the system has no more threads for us
                future = Future()
                future.set_result(gzip_member(block.plain, self._level))
            self._waiting.append((future, len(block.plain), block.entries))
            self._drain(self._room)

    def _drain(self, room: int) -> None:
        while len(self._waiting) > room or (self._waiting and self._waiting[0][0].done()):
            future, plain_size, entries = self._waiting.popleft()
            member = future.result()
            self._sink([member], len(member), plain_size, entries)

    def __enter__(self) -> MemberWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.flush()
                self._drain(0)
        finally:
            # After a failure nobody is waited for: a signal may have struck while a future was locked, for good.
            self._pool.shutdown(wait=kind is None, cancel_futures=True)
