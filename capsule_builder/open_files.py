"""Files that a process has open: how many there may be (three a layer, one a wheel), and some without a name."""

from __future__ import annotations

import errno
import os
import resource
from typing import BinaryIO

from capsule_builder.errors import refusal

_SPARE = 64  # the interpreter's own, outputs, sources
_TMPFILE = getattr(os, "O_TMPFILE", 0)  # Linux alone has it
_UNKNOWN = {errno.EISDIR, errno.EOPNOTSUPP, errno.EINVAL}  # what file systems say that have no files without a name
_LAST = 32  # of these, what is left to all but other processes of ours


def allow(count: int) -> None:
    """Lets this process open ``count`` more files at once.

    Raises:
        CapsuleError: the system does not let it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            message = f"{wanted:,} files are to be open at once, and the system allows {hard:,}"
            raise refusal("open-files", message, "Raise its limit for whoever builds (ulimit -Hn, limits.conf).")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def temporary(directory: str) -> BinaryIO:
    """An empty file in ``directory`` that has no name, and is gone when it is closed.

    It is what ``tempfile.TemporaryFile`` gives, whose import takes longer than all that a small build does with it.

    Raises:
        OSError: it cannot be made.
    """
    try:
        fd = os.open(directory, _TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as failed:
        if failed.errno not in _UNKNOWN:
            raise
        name = os.path.join(directory, f".{os.urandom(16).hex()}.tmp")
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.unlink(name)
    return open(fd, "w+b")


def is_one_of_the_last(descriptor: int) -> bool:
    """Whether this process may have few descriptors beyond this one, the highest that it has."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft != resource.RLIM_INFINITY and descriptor >= soft - _LAST
