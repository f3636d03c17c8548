"""Thoughts on disk: a file that only grows, one checked line for each thought."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Thought = dict[str, Any]

RECENT = 1000
"""How many of the latest thoughts are kept in memory; the file keeps them all."""


class JournalError(Exception):
    """The file holds something that no crash of this program leaves behind."""


class Journal:
    r"""The thoughts of one state directory, safe against crashes and against a second process.

    A line is ``<CRC-32, 8 hex digits> <JSON>\n``. ``append`` returns when the line is on the disk, so a thought that
    was answered for is there after a restart. A crash can leave one torn line at the end, which nobody was told of:
    the next one who holds the lock cuts it off. Since the lock is held for one append only, an old and a new release
    can share the directory while one hands over to the other.
    """

    def __init__(self, directory: str) -> None:
        os.makedirs(directory, exist_ok=True)
        self._path = os.path.join(directory, "thoughts.journal")
        self._recent: deque[Thought] = deque(maxlen=RECENT)
        self._count = 0
        self._end = 0  # what has been read: always the end of a whole line
        self._mutex = threading.Lock()  # flock keeps other processes out, but not the other threads of this one
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        _sync_directory(directory)
        with self._locked():
            pass

    def close(self) -> None:
        """Gives the file back; the journal cannot be used afterwards."""
        with self._mutex:
            os.close(self._fd)

    def append(self, make: Callable[[int], Thought]) -> Thought:
        """Writes ``make(id)``, with the next free id from 1 upwards, and gives it back once it is durable.

        Raises ``OSError`` when the disk refuses; the journal is then as it was before.
        """
        with self._locked():
            thought = make(self._count + 1)
            line = _encode(thought)
            try:
                written = os.write(self._fd, line)
                if written < len(line):
                    raise OSError(f"{self._path}: only {written} of {len(line)} bytes could be written")
                os.fsync(self._fd)
            except OSError:
                os.ftruncate(self._fd, self._end)
                raise
            self._take(thought, len(line))
            return thought

    def recent(self, limit: int) -> tuple[int, list[Thought]]:
        """How many thoughts there are, and the latest ``limit`` of them, oldest first."""
        with self._locked():
            first = max(0, len(self._recent) - limit)
            return self._count, [self._recent[i] for i in range(first, len(self._recent))]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Holds the file alone, and knows all that is in it."""
        with self._mutex:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                self._catch_up()
                yield
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _catch_up(self) -> None:
        """Reads what others have written since, and cuts off what one of them began and did not finish."""
        size = os.fstat(self._fd).st_size
        if size == self._end:
            return
        if size < self._end:
            raise JournalError(f"{self._path}: {self._end - size} bytes were taken away; restore it from a copy")
        with open(self._path, "rb") as file:
            file.seek(self._end)
            for line in file:
                thought = _decode(line)
                if thought is None and file.read(1):
                    raise JournalError(f"{self._path}: damaged at byte {self._end}; restore it from a copy")
                if thought is None:
                    os.ftruncate(self._fd, self._end)
                    os.fsync(self._fd)
                    return
                self._take(thought, len(line))

    def _take(self, thought: Thought, length: int) -> None:
        self._recent.append(thought)
        self._count += 1
        self._end += length


def _encode(thought: Thought) -> bytes:
    body = json.dumps(thought, sort_keys=True, separators=(",", ":")).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _decode(line: bytes) -> Thought | None:
    """The thought of a line, or None when the line is torn or damaged."""
    checksum, body = line[:8], line[9:-1]
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(body):
        return None
    thought: Thought = json.loads(body)
    return thought


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
