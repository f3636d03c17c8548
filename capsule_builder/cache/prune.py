"""How much the cache holds, and how it is kept from growing: what was of no use for the longest time goes first."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from capsule_builder.cache.place import Unusable, locked, open_room
from capsule_builder.cache.record import Record
from capsule_builder.cache.store import BLOBS, RECORD_BEGIN, RECORDS, Store, is_key
from capsule_builder.errors import refusal
from capsule_builder.paths import shown

DEFAULT_SIZE = 10 << 30
"""Bytes that the cache may have, unless it is pruned to another size."""

_MUCH = 64 << 20  # bytes: after a build that wrote more than this, the cache is looked at
_DAY = 86_400
_PATIENCE = 60.0  # seconds to wait for builds
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Held(NamedTuple):
    """What a cache holds: builds (records), parts of fragments (blobs), bytes, and when the oldest was of use.

    ``oldest`` is in seconds since 1970; None when there is nothing.
    """

    records: int
    blobs: int
    size: int
    oldest: float | None


class Pruned(NamedTuple):
    """How many files were removed, and how many bytes; what is left; and how many of the removed were damaged."""

    files: int
    size: int
    left: Held
    damaged: int


class _File:
    __slots__ = ("kind", "name", "size", "used")

    def __init__(self, kind: str, name: str, size: int, used: float) -> None:
        self.kind = kind
        self.name = name
        self.size = size
        self.used = used


def held(directory: str) -> Held:
    """What the cache in ``directory`` holds; nothing when there is none.

    Raises:
        Unusable: it belongs to others.
        OSError: it cannot be read.
    """
    with contextlib.ExitStack() as stack:
        try:
            room = open_room(directory, make=False)
        except FileNotFoundError:
            return Held(0, 0, 0, None)
        stack.callback(os.close, room)
        return _sum(_used(_Room(room, stack)))


def prune(
    directory: str, *, size: int = DEFAULT_SIZE, age: float | None = None, verify: bool = False, wait: bool = True
) -> Pruned | None:
    """Removes what was not of use for ``age`` seconds, and then, oldest first, until ``size`` bytes are left.

    ``verify`` reads everything and removes what is damaged. Builds that use the cache are waited for; None when they
    are not to be, and there is one.

    Raises:
        CapsuleError: builds use it without a pause.
        Unusable: it belongs to others, or cannot be written to.
        OSError: it cannot be read.
    """
    with contextlib.ExitStack() as stack:
        try:
            room = open_room(directory, make=False)
        except FileNotFoundError:
            return Pruned(0, 0, Held(0, 0, 0, None), 0)
        stack.callback(os.close, room)
        lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=room)
        stack.callback(os.close, lock)
        if not locked(lock, fcntl.LOCK_EX, _PATIENCE if wait else 0):
            if not wait:
                return None
            remedy = "Prune it when there is a pause."
            raise refusal("cache-busy", f"Cache is in use by builds: {shown(directory)}", remedy)
        return _prune(_Room(room, stack), size, age, verify)


def prune_after(store: Store) -> None:
    """Keeps the cache small after a build that wrote to it, unless others use it right now."""
    due = store.written > _MUCH
    if store.written and not due:
        try:
            due = time.time() - os.stat("pruned", dir_fd=store.room).st_mtime > _DAY
        except OSError:
            due = True
    if due:
        store.close()
        with contextlib.suppress(OSError, Unusable):  # it was not asked for, and the next build tries again
            prune(store.directory, wait=False)


class _Room:
    """The directories of a cache, open for as long as ``stack`` is."""

    def __init__(self, room: int, stack: contextlib.ExitStack) -> None:
        self.room = room
        self.places: dict[str, int] = {}
        for kind in (RECORDS, BLOBS):
            with contextlib.suppress(FileNotFoundError):
                self.places[kind] = os.open(kind, _FLAGS, dir_fd=room)
                stack.callback(os.close, self.places[kind])

    def files(self) -> Iterator[_File]:
        for kind, place in self.places.items():
            with os.scandir(place) as listing:
                for item in listing:
                    with contextlib.suppress(FileNotFoundError):
                        status = item.stat(follow_symlinks=False)
                        yield _File(kind, item.name, status.st_size, status.st_mtime)

    def remove(self, file: _File) -> None:
        os.unlink(file.name, dir_fd=self.places[file.kind])

    def load(self, file: _File) -> Record | None:
        data = Store.read(file.name, self.places[file.kind])
        return Record.read(data) if data and data.startswith(b"{", RECORD_BEGIN) else None


def _used(room: _Room) -> list[_File]:
    """The files, each with the time when it was of use: that of a blob when a record that names it was."""
    files = list(room.files())
    blobs = {file.name: file for file in files if file.kind == BLOBS}
    for file in files:
        if file.kind == RECORDS and is_key(file.name) and (record := room.load(file)):
            for group in record.groups:
                if group.blob and group.blob.key in blobs:
                    blob = blobs[group.blob.key]
                    blob.used = max(blob.used, file.used)
    return files


def _sum(files: list[_File]) -> Held:
    whole = [file for file in files if is_key(file.name)]
    records = sum(file.kind == RECORDS for file in whole)
    size = sum(file.size for file in files)
    return Held(records, len(whole) - records, size, min((file.used for file in whole), default=None))


def _prune(room: _Room, size: int, age: float | None, verify: bool) -> Pruned:
    """Prunes a cache that nobody uses."""
    removed: list[_File] = []
    kept: list[_File] = []
    damaged = 0
    oldest = time.time() - age if age is not None else None
    # A record goes before the blobs that it names, which are as old.
    files = sorted(_used(room), key=lambda file: (file.used, file.kind == BLOBS))
    left = sum(file.size for file in files)
    for file in files:
        bad = verify and is_key(file.name) and not Store.is_sound(file.name, room.places[file.kind], file.kind)
        if bad or left > size or not is_key(file.name) or (oldest is not None and file.used < oldest):
            with contextlib.suppress(FileNotFoundError):
                room.remove(file)
            removed.append(file)
            left -= file.size
            damaged += bad
        else:
            kept.append(file)
    with contextlib.suppress(OSError):
        os.close(os.open("pruned", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=room.room))
        os.utime("pruned", dir_fd=room.room)
    return Pruned(len(removed), sum(file.size for file in removed), _sum(kept), damaged)
