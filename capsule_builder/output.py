"""A file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO

_STOPPING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Keeps requests to stop waiting until the block is left."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class NewFile:
    """Writes ``path`` beside its place and renames it there on :meth:`commit`.

    Leaving the context without a commit removes what was written; an older file of that name stays as it was.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        directory, name = os.path.split(path)
        fd, self._partial = tempfile.mkstemp(prefix=f".{name[:50]}.", suffix=".partial", dir=directory or ".")
        self.file: BinaryIO = os.fdopen(fd, "w+b")
        self._done = False

    def commit(self) -> None:
        """Puts the finished file in its place."""
        self.file.close()
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(self._partial, 0o666 & ~mask)
        os.replace(self._partial, self._path)
        self._done = True

    def __enter__(self) -> NewFile:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if not self._done:
            with contextlib.suppress(OSError):  # what could not be flushed is not wanted any more
                self.file.close()
            with contextlib.suppress(FileNotFoundError):  # stopped just after it was put in its place
                os.unlink(self._partial)
