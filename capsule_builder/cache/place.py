"""The cache's directory: where it lies, and that it is nobody else's."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Mapping

from capsule_builder.errors import Problem
from capsule_builder.paths import shown

ROOM = "v1"
"""The directory in the cache's own that holds everything: another form of the cache gets another name."""

PARTS = ((ROOM, "/"), ("CACHEDIR.TAG", ""))
"""What lies in the cache's directory; what is a directory comes with a ``/``."""

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_REMEDY = "The build is slower without it, and the same. Name another with --cache-dir, or leave it with --no-cache."
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of rules_capsule: it may be deleted at any time.\n"


class Unusable(Exception):
    """The cache cannot be used (any more), for the reason that ``problem`` tells."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def default_directory(environ: Mapping[str, str]) -> str | None:
    """Where the cache lies unless that is said (XDG Base Directory Specification); None when there is no home."""
    base = environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # as the specification has it: a relative one is to be ignored
        home = environ.get("HOME", "")
        if not os.path.isabs(home):
            return None
        base = os.path.join(home, ".cache")
    return os.path.join(base, "rules_capsule")


def open_room(directory: str, *, make: bool) -> int:
    """A descriptor of the cache's room in ``directory``, which is made first if that is wanted.

    Whatever is done in the room is done by way of the descriptor: others may be able to rename ``directory``.

    Raises:
        FileNotFoundError: there is none, and none is to be made.
        Unusable: it cannot be made or opened, or others own it or can write to it.
    """
    room = os.path.join(directory, ROOM)
    try:
        if make and not os.path.isdir(room):
            os.makedirs(directory, mode=0o700, exist_ok=True)
            _tag(directory)
            os.makedirs(room, mode=0o700, exist_ok=True)
        fd = os.open(room, _FLAGS)
    except FileNotFoundError:
        if make:
            raise unusable(directory, "it cannot be made") from None
        raise
    except OSError as error:
        raise unusable(directory, error.strerror or str(error)) from error
    status = os.fstat(fd)
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        os.close(fd)
        whose = "it belongs to another user" if status.st_uid != os.geteuid() else "others than its owner may use it"
        raise unusable(directory, whose)
    return fd


def locked(lock: int, kind: int, patience: float) -> bool:
    """Locks a file (``kind`` is that of ``flock``), now or within so many seconds; whether that came about."""
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.05)


def unusable(directory: str, reason: str, remedy: str = _REMEDY) -> Unusable:
    """The warning that the cache in ``directory`` is not used."""
    return Unusable(Problem("cache-unusable", f"Cache is not used: {shown(directory)}: {reason}", remedy))


def _tag(directory: str) -> None:
    """Marks the directory for programs that make backups (the Cache Directory Tagging Specification)."""
    try:
        with open(os.path.join(directory, "CACHEDIR.TAG"), "x", encoding="ascii") as tag:
            tag.write(_TAG)
    except FileExistsError:
        pass
