"""What a host goes by lies in files that nobody but root can have written; others are not believed."""

from __future__ import annotations

import os
import stat

from capsule_builder.errors import CapsuleError, refusal
from capsule_builder.paths import shown


def read_guarded(path: str, what: str, limit: int) -> bytes:
    """A file of up to ``limit`` bytes that only root (or whoever runs this) can change; ``what`` names it in messages.

    Raises:
        CapsuleError: it is no regular file, is too long, or others may write it.
        FileNotFoundError: it is not there.
        OSError: it cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise refusal("file-special", f"{what} is not a regular file: {shown(path)}", "Put a file there.")
        if problem := _unguarded(found):
            raise _open_to_others(what, path, problem)
        data = os.read(fd, limit + 1)
    finally:
        os.close(fd)
    if len(data) > limit:
        raise refusal("file-long", f"{what} is longer than {limit:,} bytes: {shown(path)}", "Shorten it.")
    return data


def check_guarded_directory(path: str, what: str) -> None:
    """Refuses a directory that is a link, or that others may write.

    Raises:
        CapsuleError: it is one of these.
        FileNotFoundError: it is not there.
    """
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise refusal("file-special", f"{what} is not a directory: {shown(path)}", "Make one; a link is not taken.")
    if problem := _unguarded(found):
        raise _open_to_others(what, path, problem)


def check_guarded_place(path: str, what: str) -> None:
    """Refuses a directory, or what a link leads to, in which others could put something else in the place of a file.

    Raises:
        CapsuleError: others may write it.
        FileNotFoundError: it is not there.
    """
    if problem := _unguarded(os.stat(path)):
        raise _open_to_others(what, path, problem)


def _unguarded(found: os.stat_result) -> str | None:
    if found.st_uid not in {0, os.geteuid()}:
        return f"belongs to the account {found.st_uid}"
    if found.st_mode & 0o022:
        return f"can be written by others (mode {stat.S_IMODE(found.st_mode):04o})"
    return None


def _open_to_others(what: str, path: str, problem: str) -> CapsuleError:
    remedy = f"Look at what is in it; then chown root and chmod go-w {shown(path)}."
    return refusal("host-unguarded", f"{what} {problem}: {shown(path)}", remedy)
