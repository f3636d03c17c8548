"""The thoughts of one state directory, safe against crashes and against a second process."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from alan_backend.segments import SCHEMA, Segment, StoreError, due, read, sync_directory, take_stock, write

RECENT = 1000
"""How many of the latest thoughts are kept in memory; the disk keeps them all."""

Thought = dict[str, Any]


class Store:
    """Thoughts, numbered from 1, that are on the disk before anyone is told of them.

    A lock is held for one operation only, and whoever has it first reads what others wrote. So an old and a new
    release can share the directory while one hands over to the other.
    """

    def __init__(self, directory: Path) -> None:
        """Reads and checks everything. Raises ``StoreError`` when the directory holds what no crash leaves behind."""
        self._directory = directory
        self._recent: pa.Table = SCHEMA.empty_table()
        self._last = 0
        self._mutex = threading.Lock()  # flock keeps other processes out, but not the other threads of this one
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = open(directory / "lock", "ab")  # noqa: SIM115
            sync_directory(directory)
        except OSError as error:
            raise StoreError(str(error)) from error
        with self._alone():
            pass

    def close(self) -> None:
        """The store cannot be used afterwards."""
        with self._mutex:
            self._lock.close()

    def append(self, thought: Thought) -> Thought:
        """The thought with the next free ``id``, once it is durable."""
        with self._alone() as stock:
            thought = {"id": self._last + 1, **thought}
            row = pa.Table.from_pylist([{**thought, "scores": list(thought["scores"].items())}], SCHEMA)
            stock.append(write(self._directory, row))
            self._take(row)
            self._merge(stock)
            return thought

    def recent(self, limit: int) -> tuple[int, list[Thought]]:
        """How many thoughts there are, and the latest ``limit`` of them (at most ``RECENT``), oldest first."""
        with self._alone():
            count, rows = self._last, self._recent.slice(max(0, len(self._recent) - limit))
        return count, [{**row, "scores": dict(row["scores"])} for row in rows.to_pylist()]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[list[Segment]]:
        """Holds the directory alone, and knows all that is in it."""
        with self._mutex:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                try:
                    stock = take_stock(self._directory)
                    self._catch_up(stock)
                    yield stock
                finally:
                    fcntl.flock(self._lock, fcntl.LOCK_UN)
            except OSError as error:
                raise StoreError(str(error)) from error

    def _catch_up(self, stock: list[Segment]) -> None:
        if self._last > (stock[-1].last if stock else 0):
            raise StoreError(f"{self._directory}: thought {self._last} was taken away; restore it from a copy")
        for segment in stock:
            if segment.last > self._last:
                self._take(read(self._directory, segment).slice(max(0, self._last + 1 - segment.first)))

    def _take(self, rows: pa.Table) -> None:
        recent = pa.concat_tables([self._recent, rows])
        self._recent = recent.slice(max(0, len(recent) - RECENT))
        self._last += len(rows)

    def _merge(self, stock: list[Segment]) -> None:
        """Keeps the number of files small. The next one to take stock removes what has been merged."""
        try:
            while run := due(stock):
                stock[-len(run) :] = [
                    write(self._directory, pa.concat_tables([read(self._directory, one) for one in run]))
                ]
        except (OSError, StoreError) as error:  # the thought that was appended is safe all the same
            logging.warning("segments are not merged: %s", error)
