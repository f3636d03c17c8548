"""Where the bytes of two capsules, or of files in them, differ first, and what is there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from capsule_builder.archive.reader import CapsuleReader, open_archive
from capsule_builder.paths import shown

MAX_EXCERPTS = 10
"""How many changed files are compared byte by byte."""

EXCERPT = 16
"""How many bytes are shown of each side, from the first that differs."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Where the bytes of a file differ first, and what each side has there; ``path`` is empty for the archive."""

    path: str
    offset: int
    packed: bytes
    rebuilt: bytes


def of_archives(packed: str, rebuilt: str) -> list[Excerpt]:
    """Where the bytes of two archives differ; nothing when they do not."""
    return _excerpt("", packed, rebuilt)


def of_files(packed: str, rebuilt: str, paths: Sequence[str], directory: str) -> list[Excerpt]:
    """Where the first files of ``paths`` differ, which both archives have; ``directory`` holds copies meanwhile."""
    paths, sides = paths[:MAX_EXCERPTS], []
    for side, archive in (("packed", packed), ("rebuilt", rebuilt)):
        copies = {path: os.path.join(directory, f"{side}-{number}") for number, path in enumerate(paths)}
        _copy_out(archive, copies)
        sides.append(copies)
    return [found for path in paths for found in _excerpt(path, sides[0][path], sides[1][path])]


def _copy_out(archive: str, copies: dict[str, str]) -> None:
    """Copies files out of an archive: ``copies`` says which, by their paths, and where to."""
    if not copies:
        return
    with open_archive(archive) as file, CapsuleReader(file, label=shown(archive)) as reader:
        for entry in reader.entries():
            if entry.first and entry.path in copies:
                with open(copies[entry.path], "wb") as copy:
                    for piece in entry.chunks():
                        copy.write(piece)


def _excerpt(path: str, packed: str, rebuilt: str) -> list[Excerpt]:
    """Where two files differ first; nothing when they do not."""
    with open(packed, "rb") as one, open(rebuilt, "rb") as other:
        offset = _first_difference(one, other)
        if offset is None:
            return []
        one.seek(offset)
        other.seek(offset)
        return [Excerpt(path, offset, one.read(EXCERPT), other.read(EXCERPT))]


def _first_difference(one: BinaryIO, other: BinaryIO) -> int | None:
    start = 0
    while True:
        a, b = one.read(1 << 20), other.read(1 << 20)
        if a != b:
            length = min(len(a), len(b))
            return start + next((at for at in range(length) if a[at] != b[at]), length)
        if not a:
            return None
        start += len(a)
