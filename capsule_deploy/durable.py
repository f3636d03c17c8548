"""Changes that are there after a power cut, or are not: never half of one."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import secrets

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_PARTIAL = re.compile(r"\..{0,50}\.[0-9a-f]{16}\.partial", re.DOTALL)


def write_file(path: str, data: bytes, mode: int = 0o644) -> None:
    """Puts a file at ``path``, or in place of what is there.

    Raises:
        OSError: it cannot be written; what was there is as it was.
    """
    place, name = os.path.split(path)
    temporary = os.path.join(place, f".{name[:50]}.{secrets.token_hex(8)}.partial")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, fd)
            fcntl.flock(fd, fcntl.LOCK_EX)  # for as long as somebody writes it
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fchmod(fd, mode)
            os.fsync(fd)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_directory(place)


def write_link(path: str, target: str) -> None:
    """Puts a symbolic link at ``path``, or in place of the one that is there.

    Raises:
        OSError: it cannot be written; what was there is as it was.
    """
    place, name = os.path.split(path)
    temporary = os.path.join(place, f".{name[:50]}.{secrets.token_hex(8)}.partial")
    os.symlink(target, temporary)
    try:
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_directory(place)


def remove(path: str) -> None:
    """Removes a file or a link, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    sync_directory(os.path.dirname(path))


def is_partial(name: str) -> bool:
    """Whether a file of this name was being written when somebody was killed, if nobody is at work."""
    return _PARTIAL.fullmatch(name) is not None


def remove_partial(path: str) -> None:
    """Removes a file that was being written when somebody was killed, unless somebody is writing it now."""
    with contextlib.suppress(FileNotFoundError, BlockingIOError), contextlib.ExitStack() as stack:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)


def rename_new(source: str, target: str) -> None:
    """Renames, and never takes the place of anything.

    Raises:
        FileExistsError: there is something at ``target``.
        OSError: it cannot be done.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE)
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), source, None, target)
    for place in {os.path.dirname(source), os.path.dirname(target)}:
        sync_directory(place)


def sync_directory(path: str) -> None:
    """Makes the names in a directory last."""
    fd = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file_system(path: str) -> None:
    """Makes everything last that was written to the file system of ``path``.

    Raises:
        OSError: something of it could not be written.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(fd)
