"""Reads the original and leaves no trace in it: not even the time of the last access, where the system lets us."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import shown

MAX_TEXT = 1 << 20
"""The most bytes that a unit, a configuration or a script may have: systemd reads no longer line either."""

_QUIET = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class UnreadableError(CapsuleError):
    """A file of the original is not what it must be."""


class AbsentError(CapsuleError):
    """A file or directory that was named is not there."""


def quiet_open(path: str, *, directory: bool = False) -> int:
    """A descriptor to read from; the access time stays as it is when the file is ours.

    Raises:
        OSError: it cannot be opened.
    """
    flags = _QUIET | (os.O_DIRECTORY if directory else 0)
    try:
        return os.open(path, flags | os.O_NOATIME)
    except PermissionError:
        return os.open(path, flags)


def read_bytes(path: str, limit: int) -> tuple[bytes, bool]:
    """The first ``limit`` bytes of a regular file, and whether that is all of it.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    fd = quiet_open(path)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", path)
        data = b""
        while len(data) <= limit and (piece := os.read(fd, limit + 1 - len(data))):
            data += piece
        return data[:limit], len(data) <= limit
    finally:
        os.close(fd)


_MAX_LINKS = 40
"""As many as the kernel follows."""


def within(root: str, path: str) -> str:
    """Where a path on this disk leads when ``root`` is the ``/`` of its links: in the copy of a host, not out of it.

    Raises:
        OSError: too many links.
    """
    if root == "/" or not path.startswith(f"{root}/"):
        return path
    todo = path[len(root) + 1 :].split("/")[::-1]
    place, links = root, 0
    while todo:
        name = todo.pop()
        if name in ("", "."):
            continue
        if name == "..":
            place = place if place == root else os.path.dirname(place)
            continue
        here = os.path.join(place, name)
        try:
            target = os.readlink(here)
        except (OSError, ValueError):  # no link, or nothing: whoever opens it is told
            place = here
            continue
        if target == os.devnull:  # as systemctl mask makes them
            return target
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        todo += target.split("/")[::-1]
        place = root if target.startswith("/") else place
    return place


def read_text(path: str, name: str, root: str = "/") -> str:
    """A text of the original; ``name`` is what messages call it. Bytes that are not UTF-8 become surrogates.

    ``root`` is the ``/`` of the links on the way.

    Raises:
        AbsentError: there is no such file.
        UnreadableError: it cannot be read, is too large, or is no text.
    """
    try:
        data, whole = read_bytes(within(root, path), MAX_TEXT)
    except (FileNotFoundError, NotADirectoryError):
        problem = Problem("file-missing", f"File not found: {shown(name)}", "Name an existing one.")
        raise AbsentError([problem]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        message = f"Cannot read {shown(name)}: {reason}"
        raise UnreadableError([Problem("file-unreadable", message, "Check that you may read it.")]) from None
    if not whole:
        message = f"File is larger than {MAX_TEXT:,} bytes: {shown(name)}"
        raise UnreadableError([Problem("file-large", message, "Make it what it should be, or name another.")])
    if b"\0" in data:
        message = f"Not a text file, it holds a NUL: {shown(name)}"
        raise UnreadableError([Problem("file-binary", message, "Make it what it should be, or name another.")])
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")


def listed(path: str) -> list[os.DirEntry[str]]:
    """What lies in a directory, sorted by name; nothing when it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        fd = quiet_open(path, directory=True)
        try:
            with os.scandir(fd) as items:
                return sorted(items, key=lambda item: item.name)
        finally:
            os.close(fd)
    return []


def names_in(path: str) -> list[str]:
    """The names of what lies in a directory, sorted; nothing when it cannot be read."""
    return [item.name for item in listed(path)]


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines with their numbers from 1, by line feeds alone, without a carriage return at the end."""
    for number, line in enumerate(text.split("\n"), 1):
        yield number, line.removesuffix("\r")
