"""Builds a capsule again and tells whether it is the same: whether it has the same ID, and the same bytes.

The ID is promised by whatever way the content came. Bytes are for the same builder release, the same level and the same
layers, out of the same ZIP or wheels (``docs/format.md``, section 5): when they differ, it is told why.
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
from typing import Any

from capsule_builder.archive.listing_reader import Listing
from capsule_builder.archive.reader import CapsuleReader, open_archive
from capsule_builder.building.build import PythonOptions, Source, build
from capsule_builder.contents import Listed
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.inspection.excerpts import Excerpt, of_archives, of_files
from capsule_builder.layer import Progress
from capsule_builder.metadata import BuildFacts
from capsule_builder.paths import shown
from capsule_builder.trust.file_name import check_file_name

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
class Reproduction:
    """What came of it.

    ``sha256`` is that of the capsule's archive, ``warnings`` are those of the build. ``reason`` tells why the bytes
    differ where the ID does not.
    """

    name: str
    version: str
    id: str
    sha256: str
    builder: str
    rebuilt_id: str
    same_bytes: bool
    changes: tuple[Change, ...]
    fields: tuple[Field, ...]
    excerpts: tuple[Excerpt, ...]
    warnings: tuple[Problem, ...]
    reason: Problem | None

    @property
    def is_reproduced(self) -> bool:
        """Whether the ID is the same."""
        return self.id == self.rebuilt_id


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
    All the rest is as :func:`capsule_builder.building.build.build` has it.

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
        same_bytes = packed.sha256 == rebuilt.sha256
        changes = tuple(_changes(packed.listing, rebuilt.listing))
        excerpts: list[Excerpt] = []
        if changes:
            paths = [change.path for change in changes if _has_other_bytes(change)]
            excerpts = of_files(packed.path, rebuilt.path, paths, directory)
        elif not same_bytes:
            excerpts = of_archives(packed.path, rebuilt.path)
        fields = tuple(_fields(packed.metadata, rebuilt.metadata))
        return Reproduction(
            name=packed.metadata["name"],
            version=packed.metadata["version"],
            id=packed.listing.id,
            sha256=packed.sha256,
            builder=builder["version"],
            rebuilt_id=rebuilt.listing.id,
            same_bytes=same_bytes,
            changes=changes,
            fields=fields,
            excerpts=tuple(excerpts),
            warnings=built.warnings,
            reason=None if changes or same_bytes else _reason(packed.metadata, rebuilt.metadata, fields),
        )


def _read(path: str) -> _Read:
    digest = hashlib.sha256()
    with open_archive(path) as archive, CapsuleReader(archive, label=shown(path), watch=digest.update) as reader:
        check_file_name(path, reader)
        reader.finish()
        return _Read(path, digest.hexdigest(), reader.metadata, reader.listing)


def _reason(packed: dict[str, Any], rebuilt: dict[str, Any], fields: tuple[Field, ...]) -> Problem:
    """Why two archives with one ID differ, as far as their metadata tell."""
    one, other = packed["builder"], rebuilt["builder"]
    layers = [[(layer["name"], layer["digest"]) for layer in each["layers"]] for each in (packed, rebuilt)]
    names = [field.name for field in fields]
    if (one["name"], one["version"]) != (other["name"], other["version"]):
        message = f"packed by {one['name']} {one['version']}, rebuilt by {other['name']} {other['version']}"
        return _other_bytes("bytes-builder", message, "Rebuild it by that release for the same bytes.")
    if one["compression_level"] != other["compression_level"]:
        message = f"packed at level {one['compression_level']}, rebuilt at {other['compression_level']}"
        return _other_bytes("bytes-level", message, "Leave --compression-level out for the same bytes.")
    if layers[0] != layers[1]:
        message = f"packed in {len(layers[0])} layers, rebuilt in {len(layers[1])}, or in others"
        return _other_bytes(
            "bytes-layers", message, "Rebuild it by the same way (capsbuild, or Bazel) for the same bytes."
        )
    if more := [name for name in names if not name.endswith("compressed_size")]:
        return _other_bytes(
            "bytes-metadata", f"its metadata differ: {', '.join(more)}", "Rebuild it with the same options."
        )
    if names:
        message = "its files came deflated by another way (another ZIP, other wheels), or at levels of their own"
        return _other_bytes("bytes-streams", message, "Rebuild it from where it was built for the same bytes.")
    return _other_bytes("bytes-unknown", "nothing is known that explains them", "Ask whoever built it how.")


def _other_bytes(code: str, message: str, remedy: str) -> Problem:
    return Problem(code, f"The content is the same, and the bytes are others: {message}", remedy)


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


def _has_other_bytes(change: Change) -> bool:
    one, other = change.packed, change.rebuilt
    return bool(one and other and one.kind in _FILES and other.kind in _FILES and one.detail != other.detail)
