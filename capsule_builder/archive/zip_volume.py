"""A ZIP on disk: read at places that its records name, and never anything but read."""

from __future__ import annotations

import os
import stat

from capsule_builder.entries import Whole
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import shown


class Volume:
    """An open ZIP; ``label`` is what messages call it, ``status`` what it was when it was opened, ``size`` its length.

    ``kept`` is room for the inflated content of one member, and for whose it is.
    """

    def __init__(self, path: str, label: str) -> None:
        self.label = label
        self.kept: tuple[object, Whole] | None = None
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise refusal("zip-missing", f"ZIP not found: {shown(label)}", "Name an existing one.") from None
        except OSError as error:
            raise self._unreadable(error) from error
        self.status = os.fstat(self._fd)
        self.size = self.status.st_size
        if not stat.S_ISREG(self.status.st_mode):
            self.close()
            raise refusal("zip-missing", f"ZIP is not a regular file: {shown(label)}", "Name a file.")

    def read_at(self, size: int, offset: int) -> bytes:
        """``size`` bytes from ``offset`` on; fewer only at the end of the file.

        Raises:
            CapsuleError: the system does not let us.
        """
        try:
            data = os.pread(self._fd, size, offset)
            while 0 < len(data) < size and (more := os.pread(self._fd, size - len(data), offset + len(data))):
                data += more
        except OSError as error:
            raise self._unreadable(error) from error
        return data

    def read_into(self, view: memoryview, offset: int) -> bool:
        """Fills ``view`` from ``offset`` on; whether there are so many bytes.

        Raises:
            CapsuleError: the system does not let us.
        """
        try:
            while view and (got := os.preadv(self._fd, [view], offset)):
                view, offset = view[got:], offset + got
        except OSError as error:
            raise self._unreadable(error) from error
        return not view

    def close(self) -> None:
        """Lets go of the file and of what was kept."""
        self.kept = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _unreadable(self, error: OSError) -> CapsuleError:
        reason = error.strerror or str(error)
        message = f"Cannot read {shown(self.label)}: {reason}"
        return CapsuleError([Problem("zip-unreadable", message, "Make it readable for the user who builds.")])
