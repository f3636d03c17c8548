"""The layers of one build, written: out of the cache, through it, or anew, those of wheels beside each other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from capsule_builder.archive.processes import POSSIBLE, Processes, Telling
from capsule_builder.cache.fragment import CachedFragment
from capsule_builder.cache.layers import write_through
from capsule_builder.cache.memory import Memory
from capsule_builder.cache.whole import keep_whole, recall_whole, whole_key
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.layer import LayerFiles, LayerInput, Progress, write_layer
from capsule_builder.parts import is_worth_it, write_in_parts
from capsule_builder.sources.directory import DirectoryTree
from capsule_builder.sources.tree import Entries, Tree

_WORTH_PROCESSES = 8 << 20  # bytes in wheels from which on it pays to make processes for them


@dataclass(slots=True, eq=False)
class Work:
    """A layer to be written, and where. Once it is: where its fragment lies in the cache, or what is wrong with it."""

    layer: LayerInput
    files: LayerFiles
    spread: CachedFragment | None = None
    problems: list[Problem] = field(default_factory=list)
    key: str = ""  # what the cache keeps it under, when that keeps it whole

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Notes what is wrong with it."""
        try:
            yield
        except CapsuleError as error:
            self.problems += error.problems


def write_layers(
    works: Sequence[Work], tree: Tree, memory: Memory | None, *, level: int, jobs: int, progress: Progress | None
) -> None:
    """Writes all of them, of which one is that of ``tree``; with more than one job, those of wheels in processes.

    Raises:
        OSError: a file cannot be written.
    """
    if memory and isinstance(tree, DirectoryTree):
        memory.known(tree)
    left = [work for work in works if not (memory and _recalled(work, memory, level, progress))]
    shared = [work for work in left if work.layer.size] if POSSIBLE and jobs > 1 else []
    if sum(work.layer.size for work in shared) < _WORTH_PROCESSES:
        shared = []
    shared.sort(key=lambda work: -work.layer.size)  # the longest first, or all would wait for one at the end
    with _sharing(shared, level, jobs, progress) as processes:
        through = memory if isinstance(tree, DirectoryTree) else None
        for work in left:
            if work not in shared:
                with work.noted():
                    _write(work, through, level, jobs, progress)
        for work in shared:
            with work.noted():
                processes.result()
    if memory:
        for work in left:
            if work.key and not work.problems:
                work.spread = keep_whole(work.key, work.files, memory.store)


def _recalled(work: Work, memory: Memory, level: int, progress: Progress | None) -> bool:
    """Whether the cache has it whole; if it may be kept so, it has a key from here on."""
    with work.noted():
        if about := work.layer.about() if work.layer.about else memory.zip:
            work.key = whole_key(work.layer, about, maker=memory.maker, level=level)
            work.spread = recall_whole(work.key, work.files, memory.store)
            if work.spread and progress:
                progress(work.spread.size)
    return bool(work.spread or work.problems)


def _write(work: Work, through: Memory | None, level: int, jobs: int, progress: Progress | None) -> None:
    layer, files = work.layer, work.files
    if not through or work.key or layer.is_wheel:
        if isinstance(layer.entries, Entries) and is_worth_it(layer.entries, jobs):
            write_in_parts(layer.entries, files, level=level, jobs=jobs, progress=progress, verified=layer.verified)
        else:
            write_layer(layer.entries, files, level=level, jobs=jobs, progress=progress, verified=layer.verified)
        return
    work.spread = write_through(
        layer.entries,
        files,
        through.store,
        maker=through.maker,
        level=level,
        jobs=jobs,
        known=through.groups,
        progress=progress,
        verified=layer.verified,
    )


@contextlib.contextmanager
def _sharing(works: Sequence[Work], level: int, jobs: int, progress: Progress | None) -> Iterator[Processes[int, None]]:
    """Processes that have begun to write these."""

    def write(number: int) -> None:
        layer, files = works[number].layer, works[number].files
        telling = Telling(processes.tell) if progress else None
        write_layer(layer.entries, files, level=level, jobs=0, progress=telling, verified=layer.verified)
        if telling:
            telling.finish()
        for file in (files.fragment, files.contents, files.index):
            file.flush()

    with Processes(min(jobs, len(works)), write, progress) as processes:
        for number in range(len(works)):
            processes.submit(number)
        yield processes
