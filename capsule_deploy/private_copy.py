"""A copy of an archive that nobody else can change: what is checked is what is used."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from capsule_builder.errors import refusal
from capsule_builder.paths import shown
from capsule_deploy.at_once import at_once

_FICLONE = 0x40049409
_SEALS = 0x0001 | 0x0002 | 0x0004 | 0x0008  # F_SEAL_SEAL, _SHRINK, _GROW, _WRITE
_ADD_SEALS = 1033
_PIECE = 8 << 20
_SHARE = 2  # a copy may take one part in so many of the memory that is free


@dataclass(frozen=True)
class PrivateCopy:
    """The copy: an open file, its length in bytes, ``sha256`` in hex and the BLAKE2b-512 that signatures cover.

    ``kind`` is "reflink", "memory" or "disk".
    """

    fd: int
    size: int
    sha256: str
    blake2b: bytes
    kind: str


def copy_privately(path: str, place: int, largest: int, progress: Callable[[int], object]) -> PrivateCopy:
    """Copies the archive ``path``; a file on the disk has its place in the directory ``place`` (a descriptor).

    Raises:
        CapsuleError: it is no regular file, or longer than ``largest`` bytes.
        OSError: it cannot be read, or there is no room.
    """
    source = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(source)
        if not stat.S_ISREG(found.st_mode):
            raise refusal("archive-special", f"Not a regular file: {shown(path)}", "Name a capsule.")
        if found.st_size > largest:
            message = f"Longer than the {largest:,} bytes that the host's policy allows: {shown(path)}"
            raise refusal("archive-size", message, "Raise max_size in its policy.")
        fd, kind = _clone(source, place) or _empty(found.st_size, place)
        try:
            size = found.st_size if kind == "reflink" else _copy(source, fd, largest)
            if kind == "memory":
                fcntl.fcntl(fd, _ADD_SEALS, _SEALS)
            sha256, blake2b = _digests(fd, size, progress)
        except BaseException:
            os.close(fd)
            raise
        return PrivateCopy(fd, size, sha256, blake2b, kind)
    finally:
        os.close(source)


def _clone(source: int, place: int) -> tuple[int, str] | None:
    """A file that shares the blocks of ``source``, where the file system can do that."""
    fd = _unnamed(place)
    with contextlib.suppress(OSError):
        fcntl.ioctl(fd, _FICLONE, source)
        return fd, "reflink"
    os.close(fd)
    return None


def _empty(size: int, place: int) -> tuple[int, str]:
    if size * _SHARE < _free_memory():
        with contextlib.suppress(OSError):
            return os.memfd_create("capsule", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "memory"
    return _unnamed(place), "disk"


def _unnamed(place: int) -> int:
    name = "archive"
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=place)
    os.unlink(name, dir_fd=place)
    return fd


def _free_memory() -> int:
    with contextlib.suppress(OSError), open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return 0


def _copy(source: int, fd: int, largest: int) -> int:
    size = 0
    while made := os.sendfile(fd, source, None, _PIECE):
        size += made
        if size > largest:
            raise refusal("archive-size", "The archive grows while it is read", "Install it when it is whole.")
    return size


def _digests(fd: int, size: int, progress: Callable[[int], object]) -> tuple[str, bytes]:
    """Both at once, on two processors."""
    sha256, blake2b = hashlib.sha256(), hashlib.blake2b()
    if size:
        with mmap.mmap(fd, size, access=mmap.ACCESS_READ) as data, memoryview(data) as view:
            at_once([lambda: _feed(blake2b, view, progress), lambda: _feed(sha256, view, lambda _: None)])
    return sha256.hexdigest(), blake2b.digest()


def _feed(digest: hashlib._Hash | hashlib.blake2b, view: memoryview, progress: Callable[[int], object]) -> None:
    for at in range(0, len(view), _PIECE):
        with view[at : at + _PIECE] as piece:
            digest.update(piece)
            progress(len(piece))
