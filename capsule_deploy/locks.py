"""Locks between commands: ``flock``, which ends with the process that holds it, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from capsule_builder.errors import CapsuleError, Problem


class BusyError(CapsuleError):
    """Another command holds the lock."""


@contextlib.contextmanager
def locked(path: str, what: str, *, exclusive: bool = True, wait: bool = False) -> Iterator[int]:
    """Holds the lock at ``path``, which is made if need be; ``what`` names it in the message. Gives the descriptor.

    Raises:
        BusyError: somebody else holds it, and it is not to be waited for.
        OSError: it cannot be opened.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
            fcntl.flock(fd, kind if wait else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"Another command is at work on {what}"
            raise BusyError([Problem("busy", message, "Wait until it has ended, and try again.")]) from None
        yield fd
    finally:
        os.close(fd)
