"""Builds a capsule again and tells whether it is the same: the same ID, and the same bytes where these can be expected.

Bytes can be expected to agree when the same builder release packs at the same level (``docs/format.md``, section 5).
"""

from __future__ import annotations

import hashlib
import heapq
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, BinaryIO

from capsule_builder import __version__
from capsule_builder.archive.listing_reader import Listing
from capsule_builder.archive.reader import CapsuleReader, open_archive
from capsule_builder.build import PythonOptions, Source, build
from capsule_builder.contents import Listed
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.layer import Progress
from capsule_builder.metadata import BuildFacts
from capsule_builder.paths import shown

MAX_EXCERPTS = 10
"""How many changed files are compared byte by byte."""

EXCERPT = 16
"""How many bytes are shown of each side, from the first that differs."""

_FILES = ("file", "executable")


class RebuildError(CapsuleError):
    """What the capsule is to be built from again cannot be built."""


@dataclass(frozen=True, slots=True)
class Change:
    """An entry that differs: ``packed`` in the capsule, ``rebuilt`` when it was built again; None where it is not."""

    packed: Listed | None
    rebuilt: Listed | None

    @property
    def path(self) -> str:
        """The path of the entry."""
        return (self.packed or self.rebuilt or Listed("", "dir")).path

    @property
    def kind(self) -> str:
        """``added``: only the rebuilt one has it; ``removed``: only the capsule has it; ``changed``: both have."""
        return "added" if self.packed is None else "removed" if self.rebuilt is None else "changed"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the metadata that differs; its name has dots (``builder.version``, ``layers.numpy-2.4.6.digest``)."""

    name: str
    packed: Any
    rebuilt: Any


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Where the bytes of a file differ first, and what each side has there; ``path`` is empty for the archive."""

    path: str
    offset: int
    packed: bytes
    rebuilt: bytes


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of it. ``same_bytes`` is None when the bytes cannot be expected to agree.

    ``sha256`` is that of the capsule's archive, ``warnings`` are those of the build.
    """

    name: str
    version: str
    id: str
    sha256: str
    builder: str
    rebuilt_id: str
    same_bytes: bool | None
    changes: tuple[Change, ...]
    fields: tuple[Field, ...]
    excerpts: tuple[Excerpt, ...]
    warnings: tuple[Problem, ...]

    @property
    def is_reproduced(self) -> bool:
        """Whether the ID is the same, and the bytes where they can be expected to be."""
        return self.id == self.rebuilt_id and self.same_bytes is not False


@dataclass(frozen=True, slots=True)
class _Read:
    """An archive that was read to its end."""

    path: str
    sha256: str
    metadata: dict[str, Any]
    listing: Listing


def reproduce(
    path: str,
    source: Source,
    manifest_path: str | None = None,
    *,
    python: PythonOptions | None = None,
    level: int | None = None,
    jobs: int = 1,
    progress: Callable[[int], AbstractContextManager[Progress]] | None = None,
) -> Reproduction:
    """Builds the capsule ``path`` again, in a temporary directory, and compares.

    The level of compression is the capsule's unless one is given; time and host of a stamped one are taken over.
    All the rest is as :func:`capsule_builder.build.build` has it.

    Raises:
        RebuildError: the build is refused.
        CapsuleError: ``path`` is no sound capsule.
        OSError: something cannot be read or written.
    """
    packed = _read(path)
    builder = packed.metadata["builder"]
    used = builder["compression_level"] if level is None else level
    with tempfile.TemporaryDirectory(prefix="capsbuild-") as directory:
        place = os.path.join(directory, "rebuilt.tar.gz")
        try:
            built = build(
                source,
                manifest_path,
                output=place,
                python=python,
                level=used,
                jobs=jobs,
                build=BuildFacts(**packed.metadata["build"]),
                progress=progress,
            )
        except CapsuleError as refused:
            raise RebuildError(refused.problems) from None
        rebuilt = _read(place)
        comparable = (builder["version"], builder["compression_level"]) == (__version__, used)
        same_bytes = packed.sha256 == rebuilt.sha256 if comparable else None
        changes = tuple(_changes(packed.listing, rebuilt.listing))
        excerpts: list[Excerpt] = []
        if changes:
            excerpts = _file_excerpts(packed.path, rebuilt.path, changes, directory)
        elif same_bytes is False:
            excerpts = _excerpt("", packed.path, rebuilt.path)
        differs = bool(changes) or same_bytes is False
        return Reproduction(
            name=packed.metadata["name"],
            version=packed.metadata["version"],
            id=packed.listing.id,
            sha256=packed.sha256,
            builder=builder["version"],
            rebuilt_id=rebuilt.listing.id,
            same_bytes=same_bytes,
            changes=changes,
            fields=tuple(_fields(packed.metadata, rebuilt.metadata)) if differs else (),
            excerpts=tuple(excerpts),
            warnings=built.warnings,
        )


def _read(path: str) -> _Read:
    digest = hashlib.sha256()
    with open_archive(path) as archive, CapsuleReader(archive, label=shown(path), watch=digest.update) as reader:
        reader.finish()
        return _Read(path, digest.hexdigest(), reader.metadata, reader.listing)


def _changes(packed: Listing, rebuilt: Listing) -> Iterator[Change]:
    """The entries that differ, in the order of their paths."""
    both = heapq.merge(
        ((entry.path, 0, entry) for entry in packed), ((entry.path, 1, entry) for entry in rebuilt), key=lambda x: x[:2]
    )
    for _, group in groupby(both, key=lambda each: each[0]):
        sides: list[Listed | None] = [None, None]
        for _, side, entry in group:
            sides[side] = entry
        if sides[0] != sides[1]:
            yield Change(*sides)


def _fields(packed: dict[str, Any], rebuilt: dict[str, Any]) -> Iterator[Field]:
    """The fields of the metadata that differ, but for the ID, which follows from the entries."""
    one, other = dict(_flat(packed)), dict(_flat(rebuilt))
    for name in dict.fromkeys([*one, *other]):
        if name not in {"id", "short_id"} and one.get(name) != other.get(name):
            yield Field(name, one.get(name), other.get(name))


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, each in value.items():
        if isinstance(each, dict):
            yield from _flat(each, f"{prefix}{key}.")
        elif isinstance(each, list):  # the layers, which have names
            for layer in each:
                yield from _flat({k: v for k, v in layer.items() if k != "name"}, f"{prefix}{key}.{layer['name']}.")
        else:
            yield prefix + key, each


def _file_excerpts(packed: str, rebuilt: str, changes: tuple[Change, ...], directory: str) -> list[Excerpt]:
    """Where the first files of ``changes`` differ; ``directory`` holds copies of them meanwhile."""
    paths = [change.path for change in changes if _has_other_bytes(change)][:MAX_EXCERPTS]
    sides = []
    for side, archive in (("packed", packed), ("rebuilt", rebuilt)):
        copies = {path: os.path.join(directory, f"{side}-{number}") for number, path in enumerate(paths)}
        _copy_out(archive, copies)
        sides.append(copies)
    return [found for path in paths for found in _excerpt(path, sides[0][path], sides[1][path])]


def _has_other_bytes(change: Change) -> bool:
    one, other = change.packed, change.rebuilt
    return bool(one and other and one.kind in _FILES and other.kind in _FILES and one.detail != other.detail)


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
