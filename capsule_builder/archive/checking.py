"""Checks the content of an archive over forked processes, when nobody wants the content itself.

The archive is read once, in order, by the process that began it. It puts runs of members, which hold whole entries,
into memory that all of them share; each run is inflated and checked by one of the others, as it would be here.
"""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from capsule_builder.archive.damage import damaged, named
from capsule_builder.archive.entry_reader import EntryReader
from capsule_builder.archive.gzip_reader import Source, read_member
from capsule_builder.archive.index_reader import Index, IndexLayer, Run
from capsule_builder.archive.inflating import MAX_WHOLE, Inflating, Piece, plain_of
from capsule_builder.archive.listing_reader import Listing
from capsule_builder.archive.processes import Processes
from capsule_builder.archive.tar import BLOCK
from capsule_builder.archive.tar_reader import Tar
from capsule_builder.errors import CapsuleError

if TYPE_CHECKING:
    from capsule_builder.manifest import Manifest

FORK_SIZE = 8 << 20
"""Content of fewer bytes is checked before another process would have begun."""

_RUN = 4 << 20  # bytes of members, with what they inflate to, that are worth a process's waking
_SMALL = 40  # bytes of a member that is kept in mind
_SHARED = 32 << 20  # bytes of members that may lie between the processes
_ROOM = 176 << 20  # bytes that the head, all that is inflated at once and the processes themselves may take
_PROCESS = 16 << 20  # bytes that a process takes for itself


@dataclass(frozen=True, slots=True)
class _Task:
    """A run of a layer, and where it lies: in the shared memory, and in the archive.

    ``error`` is what came instead of the rest, if not all of it is there.
    """

    layer: int
    run: Run
    start: int
    end: int
    position: int
    error: Exception | None


class Checking:
    """Checks all members and entries of an archive, of which ``source`` has read the head.

    ``manifest`` is found on the way.
    """

    def __init__(self, source: Source, index: Index, listing: Listing, label: str) -> None:
        self.manifest: Manifest | None = None
        self._source = source
        self._layers = index.layers
        self._label = label
        self._head = len(listing.data) + sum(layer.weight for layer in index.layers)
        self._shared = _Shared(0)

    def check(self, jobs: int) -> None:
        """Does it, over ``jobs`` processes if there is enough to do.

        Raises:
            CapsuleError: of all that is wrong with it, what is first in the archive; or a process was ended.
            OSError: the archive cannot be read.
        """
        size = sum(layer.facts.total_size for layer in self._layers)
        number = min(jobs, (_ROOM - MAX_WHOLE - self._head) // _PROCESS) if size >= FORK_SIZE else 0
        if number > 1:
            self._share(number)
            return
        for layer in self._layers:
            self._check_here(layer, layer.all, threads=jobs > 1 and size >= FORK_SIZE)

    def _share(self, jobs: int) -> None:
        self._shared = _Shared(_SHARED)
        room = _ROOM - self._head - jobs * _PROCESS
        error: Exception | None = None
        with Processes(jobs, self._check_there) as processes:

            def take() -> None:
                self._shared.free()
                self.manifest = processes.result() or self.manifest

            for number, layer, run in self._runs():
                large = run.size > _SHARED // 2 or run.weight > MAX_WHOLE
                while processes.waiting and self._shared.weight + (MAX_WHOLE if large else run.weight) > room:
                    take()
                if large:
                    error = self._alone(layer, run)
                else:
                    while not self._shared.has_room(run.size):
                        take()
                    task = self._read(number, run)
                    processes.submit(task)
                    error = task.error
                if error:
                    break
            while processes.waiting:
                take()
        if error:
            raise error

    def _runs(self) -> Iterator[tuple[int, IndexLayer, Run]]:
        return ((number, layer, run) for number, layer in enumerate(self._layers) for run in layer.runs(_RUN))

    def _read(self, number: int, run: Run) -> _Task:
        """Reads a run into the shared memory, for which there is room."""
        position = self._source.position
        start = end = self._shared.take(run.size, run.weight)
        error: Exception | None = None
        try:
            with memoryview(self._shared.memory) as memory:
                while end < start + run.size and (got := self._source.into(memory[end : start + run.size])):
                    end += got
        except Exception as failed:  # its turn comes when all before it has been checked
            error = failed
        return _Task(number, run, start, end, position, error)

    def _check_there(self, task: _Task) -> Manifest | None:
        """In another process: checks a run; gives the manifest if it is in there."""
        layer, source = self._layers[task.layer], _Part(self._shared.memory, task)
        return self._check_run(layer, task.run, _inflated(source, layer.sizes(task.run)))

    def _check_here(self, layer: IndexLayer, run: Run, *, threads: bool) -> None:
        ahead = Inflating(self._source, layer.members(run)) if threads else None
        try:
            found = self._check_run(layer, run, ahead or _inflated(self._source, layer.sizes(run)))
            self.manifest = self.manifest or found
        finally:
            if ahead:
                ahead.close()

    def _alone(self, layer: IndexLayer, run: Run) -> Exception | None:
        """Checks a large run while the others go on; gives what is wrong, which waits for them."""
        try:
            self._check_here(layer, run, threads=True)
        except (CapsuleError, OSError) as error:
            return error
        return None

    def _check_run(self, layer: IndexLayer, run: Run, plain: Iterable[Piece]) -> Manifest | None:
        tar, entries = Tar(plain), EntryReader(self._label)
        entries.check(tar, layer.listed(run))
        with named(self._label):
            if tar.some(1):
                raise damaged("tar-trailing", "Its members hold more than its index says")
        return entries.manifest


class _Shared:
    """Memory that all processes share; what is taken of it is freed in the same order."""

    def __init__(self, size: int) -> None:
        self.memory = mmap.mmap(-1, size or 1)
        self.weight = 0
        """That of all that was taken and not freed."""
        self._size = size
        self._next = 0
        self._taken: deque[tuple[int, int]] = deque()  # the beginning of each, and its weight

    def has_room(self, size: int) -> bool:
        """Whether so many bytes can be taken together."""
        return self._place(size) is not None

    def take(self, size: int, weight: int) -> int:
        """Where so many bytes are, from here on."""
        start = self._place(size)
        assert start is not None  # noqa: S101
        self._next = start + size
        self.weight += weight
        self._taken.append((start, weight))
        return start

    def free(self) -> None:
        """Gives back what was taken first."""
        self.weight -= self._taken.popleft()[1]

    def _place(self, size: int) -> int | None:
        if not self._taken:
            return 0
        first = self._taken[0][0]
        if self._next <= first:
            return self._next if self._next + size < first else None
        if size < first:  # what has been used already is used again, for it is there
            return 0
        return self._next if self._next + size <= self._size else None


class _Part(Source):
    """The part of an archive that lies in shared memory."""

    def __init__(self, memory: mmap.mmap, task: _Task) -> None:
        self.position = task.position
        self._memory = memory
        self._from, self._end = task.start, task.end
        self._error = task.error

    def some(self, size: int) -> bytes:
        """At least one and at most ``size`` bytes; empty at the end of what is there."""
        data = self._memory[self._from : min(self._from + size, self._end)]
        if not data and self._error:
            raise self._error
        self._from += len(data)
        self.position += len(data)
        return data


def _inflated(source: Source, members: Iterable[tuple[int, int]]) -> Iterator[Piece]:
    """What ``members``, which ``source`` has next, inflate to; nothing is done ahead."""
    small: dict[bytes, bytes] = {}  # the padding of copied files, the same over and over
    for size, plain_size in members:
        position = source.position
        if size + plain_size > MAX_WHOLE:
            yield from read_member(source, size, plain_size)
            continue
        member = source.take(size)
        known = small.get(member) if size < _SMALL else None
        if known is not None and len(known) == plain_size:
            yield known
            continue
        for plain in plain_of(member, position, plain_size):
            yield plain
            if size < _SMALL and len(plain) == plain_size and len(small) < BLOCK:
                small[member] = bytes(plain)
