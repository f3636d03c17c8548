"""The layers of one build, written: out of the cache, through it, or anew, those of wheels beside each other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from capsule_builder.archive.processes import POSSIBLE, Processes, Telling
from capsule_builder.archive.tar import BLOCK
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.layer import LayerFiles, LayerInput, Progress, write_layer
from capsule_builder.sources.directory import DirectoryTree
from capsule_builder.sources.tree import Entries, Tree

if TYPE_CHECKING:
    from capsule_builder.cache.fragment import CachedFragment
    from capsule_builder.cache.memory import Memory

# What most builds need nothing of is imported where it is needed: small ones take little longer than the imports.

_WORTH_PROCESSES = 8 << 20  # bytes, in wheels or in a directory, from which on it pays to make processes for them


class Work:
    """A layer to be written, and where. Once it is: where its fragment lies in the cache, or what is wrong with it."""

    def __init__(self, layer: LayerInput, files: LayerFiles) -> None:
        self.layer = layer
        self.files = files
        self.spread: CachedFragment | None = None
        self.problems: list[Problem] = []
        self.key = ""  # what the cache keeps it under, when that keeps it whole

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
        from capsule_builder.cache.whole import keep_whole

        for work in left:
            if work.key and not work.problems:
                work.spread = keep_whole(work.key, work.files, memory.store)


def _recalled(work: Work, memory: Memory, level: int, progress: Progress | None) -> bool:
    """Whether the cache has it whole; if it may be kept so, it has a key from here on."""
    from capsule_builder.cache.whole import recall_whole, whole_key

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
        if isinstance(layer.entries, Entries) and _divisible(layer.entries, jobs):
            from capsule_builder.building.parts import write_in_parts

            write_in_parts(layer.entries, files, level=level, jobs=jobs, progress=progress, verified=layer.verified)
        else:
            write_layer(layer.entries, files, level=level, jobs=jobs, progress=progress, verified=layer.verified)
        return
    from capsule_builder.cache.layers import write_through

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


def _divisible(entries: Entries, jobs: int) -> bool:
    """Whether several processes would write them in less time."""
    tar_size = entries.tree.size + len(entries.paths) * BLOCK
    return POSSIBLE and jobs > 1 and tar_size >= _WORTH_PROCESSES and isinstance(entries.tree, DirectoryTree)


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
