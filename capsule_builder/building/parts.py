"""The layer of a directory, written by several processes at once.

Where members end depends on the names and sizes of the entries alone (``docs/format.md``, section 4.2): so a directory
is cut where a member is bound to begin, and each part is written by itself. The bytes are those of
:func:`capsule_builder.layer.write_layer`.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from capsule_builder.archive import tar
from capsule_builder.archive.processes import Processes, Telling
from capsule_builder.archive.sizes import BLOCK_SIZE, PACK_SIZE, is_border
from capsule_builder.contents import LISTING_HEADER
from capsule_builder.entries import Entry, File
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.layer import LayerFiles, Progress, write_entries, write_remarks
from capsule_builder.paths import MANIFEST_NAME
from capsule_builder.sources.directory import DirectoryTree
from capsule_builder.sources.files import changed
from capsule_builder.sources.tree import Dropped, Entries

PART_SIZE = 2 << 20
"""About how many tar bytes make a part."""

_LARGE = 16 << 20  # tar bytes from which on one entry is work for all threads, and too much to hand over
_IN_FLIGHT = 48 << 20  # tar bytes of the parts that may be on their way
_WINDOW = 4  # parts a process that may be on their way


class Part(NamedTuple):
    """Entries of a directory from place ``start`` to before ``end``, of ``weight`` tar bytes.

    A ``large`` one has its own part.
    """

    start: int
    end: int
    weight: int
    large: bool = False


class Written(NamedTuple):
    """What comes of a part: the fragment, the lines of the listing and of the index, and what is to be said of it."""

    fragment: bytes
    contents: bytes
    places: bytes
    named: list[str]
    dropped: list[Dropped]


def write_in_parts(
    entries: Entries, files: LayerFiles, *, level: int, jobs: int, progress: Progress | None, verified: Iterable[str]
) -> None:
    """Does what :func:`capsule_builder.layer.write_layer` does.

    Raises:
        CapsuleError: an entry's content cannot be read, or is no longer as long as it was; all that is wrong, at once.
        OSError: the files cannot be written.
    """
    tree = entries.tree
    sizes = dict(zip(tree.files, tree.sizes, strict=True)) if isinstance(tree, DirectoryTree) else {}
    named: list[str] = []
    dropped: list[Dropped] = []
    problems: list[Problem] = []

    def some(part: Part, dropped: list[Dropped]) -> Iterator[Entry]:
        for entry in entries.some(part.start, part.end, dropped):
            if isinstance(entry, File) and entry.content.size != sizes.get(entry.path, entry.content.size):
                raise changed(entry.path)  # parts are cut by the sizes of the walk
            yield entry

    def write(part: Part) -> Written:
        found: list[Dropped] = []
        fragment, contents, index = io.BytesIO(), io.BytesIO(), io.BytesIO()
        telling = Telling(processes.tell) if progress else None
        into = LayerFiles(fragment, contents, index)
        names = write_entries(some(part, found), into, level=level, jobs=0, progress=telling)
        if telling:
            telling.finish()
        return Written(fragment.getvalue(), contents.getvalue(), index.getvalue(), names, found)

    def take(part: Part) -> None:
        try:
            if part.large:
                named.extend(write_entries(some(part, dropped), files, level=level, jobs=jobs, progress=progress))
                return
            written = processes.result()
            files.fragment.write(written.fragment)
            files.contents.write(written.contents)
            files.index.write(written.places)
            named.extend(written.named)
            dropped.extend(written.dropped)
        except CapsuleError as error:
            problems.extend(error.problems)

    files.contents.write(LISTING_HEADER)
    waiting: deque[Part] = deque()
    weight = 0
    with Processes(jobs, write, progress) as processes:
        for part in parts(entries, sizes):
            waiting.append(part)
            if not part.large:
                processes.submit(part)
            weight += part.weight
            while waiting and (waiting[0].large or processes.waiting >= _WINDOW * jobs or weight > _IN_FLIGHT):
                weight -= waiting[0].weight
                take(waiting.popleft())
        while waiting:
            take(waiting.popleft())
    if problems:
        raise CapsuleError(problems)
    entries.warn(dropped)
    write_remarks(files, named, verified)


def parts(entries: Entries, sizes: dict[str, int]) -> Iterator[Part]:
    """Cuts ``entries``; ``sizes`` are the lengths of the files, in bytes."""
    start = weight = block = 0
    sizes[MANIFEST_NAME] = len(entries.manifest)
    for place, path in enumerate(entries.paths):
        size = sizes.get(path, 0)
        header = tar.header_size(path, entries.kind(path), size, entries.tree.links.get(path, ""))
        length = header + size + -size % tar.BLOCK
        if block and block + length > BLOCK_SIZE:
            block = 0
        if not block and weight and (weight >= PART_SIZE or length > min(PART_SIZE, _LARGE)):
            yield Part(start, place, weight)
            start, weight = place, 0
        if length > _LARGE:
            yield Part(place, place + 1, length, large=True)
            start = place + 1
            continue
        weight += length
        block += length
        if block > BLOCK_SIZE or (block >= PACK_SIZE and is_border(path)):
            block = 0
    if weight:
        yield Part(start, len(entries.paths), weight)
