"""Where releases are made and taken apart: directories that the next command clears away if their owner is dead.

Whoever uses this holds the store's lock exclusively.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import NamedTuple

from capsule_builder.archive.listing_reader import Listing
from capsule_builder.errors import CapsuleError
from capsule_deploy import durable
from capsule_deploy.layout import Layout
from capsule_deploy.objects import Objects, object_key

LISTING, TREE, RECEIPT = ".capsule_contents", "tree", "receipt"
OWNER = "owner"
_ID = re.compile("[0-9a-f]{64}")
_PATIENCE = 10.0  # seconds that an owner gets which is dying


class Cleared(NamedTuple):
    """How many objects were removed, and their bytes."""

    objects: int
    freed: int


class Workspace:
    """A new directory below ``staging``, with the lock of its owner; all of it is gone when the context is left."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.path = os.path.join(layout.staging, secrets.token_hex(16))
        self.cleared = Cleared(0, 0)
        """What went with it, once the context has been left."""
        os.mkdir(self.path, 0o700)
        self._owner = os.open(
            os.path.join(self.path, OWNER), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        fcntl.flock(self._owner, fcntl.LOCK_EX)

    def inner(self, name: str) -> str:
        """The path of what is in it."""
        return os.path.join(self.path, name)

    def directory(self, name: str, mode: int = 0o700) -> str:
        """The path of a new directory in it."""
        os.mkdir(self.inner(name), mode)
        return self.inner(name)

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        os.close(self._owner)
        self.cleared = clear(self._layout, self.path)


def sweep(layout: Layout) -> None:
    """Clears away what commands left that were killed: in ``staging``, half-written receipts, and those of releases
    that never came.

    Raises:
        OSError: something cannot be removed.
    """
    for name in _names(layout.staging):
        if _ownerless(os.path.join(layout.staging, name)):
            clear(layout, os.path.join(layout.staging, name))
    for name in _names(layout.receipts):
        if _ID.fullmatch(name) and not os.path.lexists(layout.release(name)):
            discard(layout, layout.receipt(name))
        else:
            _remove_partial(layout.receipt(name))
    for name in _names(layout.apps):
        _remove_partial(os.path.join(layout.app(name), "pins"))


def _remove_partial(place: str) -> None:
    """Removes files that were being written to ``place`` when somebody was killed."""
    for name in _names(place):
        if durable.is_partial(name):
            os.unlink(os.path.join(place, name))


def discard(layout: Layout, path: str) -> None:
    """Removes a directory by way of ``staging``: it is there whole, or not at all."""
    aside = os.path.join(layout.staging, secrets.token_hex(16))
    os.rename(path, aside)
    durable.sync_directory(os.path.dirname(path))
    clear(layout, aside)


def clear(layout: Layout, path: str) -> Cleared:
    """Removes a directory in ``staging``, and the objects that nothing else needs than what was made in it."""
    keys = list(_keys(path))
    remove_tree(os.path.join(path, TREE))
    cleared = Cleared(0, 0)
    if keys:
        with Objects(layout) as objects:
            cleared = remove_unused(objects, keys)
    remove_tree(path)
    return cleared


def remove_unused(objects: Objects, keys: Iterable[str]) -> Cleared:
    """Removes those of the objects that nothing has a name for but the store."""
    sizes = [size for key in keys if (size := objects.remove_unused(key)) is not None]
    return Cleared(len(sizes), sum(sizes))


def remove_tree(path: str) -> None:
    """Removes a directory and all that is in it, by descriptors; no link in it is followed.

    Raises:
        OSError: something cannot be removed.
    """
    with contextlib.suppress(FileNotFoundError):
        _open_up(path)
        shutil.rmtree(path)


def _open_up(path: str) -> None:
    """Lets its owner, who may not be root, remove what is in directories without write bits."""
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        os.unlink(path)
    elif os.geteuid() != 0:
        for _, _, _, fd in os.fwalk(path):
            os.fchmod(fd, 0o700)


def _keys(path: str) -> Iterator[str]:
    """The keys of all files of the release that was being made, if it had come so far."""
    for place in (RECEIPT, "."):
        try:
            with open(os.path.join(path, place, LISTING), "rb") as file:
                listing = Listing(file.read())
        except (FileNotFoundError, NotADirectoryError, CapsuleError):
            continue
        for entry in listing:
            if entry.kind in {"file", "executable"}:
                yield object_key(entry)


def _ownerless(path: str) -> bool:
    """Whether nobody is at work in it. As we have the store's lock, an owner can only be a process that is dying."""
    try:
        fd = os.open(os.path.join(path, OWNER), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    return False
                time.sleep(0.01)
            else:
                return True
    finally:
        os.close(fd)


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
