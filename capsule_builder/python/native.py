"""Where ELF files look for libraries: what a place on the host, or outside of the environment, would mean."""

from __future__ import annotations

import os
import posixpath
import tempfile
from typing import IO

from capsule_builder.elf import Linkage, read_linkage
from capsule_builder.entries import Content

_IN_MEMORY = 32 << 20
_ORIGINS = ("$ORIGIN", "${ORIGIN}")


def outward_paths(linkage: Linkage, directory: str) -> list[str]:
    """The library paths (DT_RPATH, DT_RUNPATH) that are absolute, or lead out of the environment.

    ``directory`` is where the file lies, relative to the environment.
    """
    found: list[str] = []
    for path in ":".join(filter(None, (linkage.rpath, linkage.runpath))).split(":"):
        origin = next((name for name in _ORIGINS if path.startswith(name)), None)
        if path.startswith("/"):
            found.append(path)
        elif origin:
            place = posixpath.normpath(f"{directory}/./{path[len(origin) :]}".lstrip("/"))
            if place == ".." or place.startswith("../"):
                found.append(path)
    return found


class LinkageWatch:
    """Reads the linkage of an ELF file whose content passes by; what lies on disk is not copied for that."""

    def __init__(self, content: Content) -> None:
        """``content`` is about to be read."""
        self._fd: int | None = getattr(content, "fd", None)
        self._spool: IO[bytes] | None = None
        if self._fd is None:
            self._spool = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115, finish closes it

    def feed(self, piece: bytes) -> None:
        """Takes the next bytes of the content."""
        if self._spool is not None:
            self._spool.write(piece)

    def finish(self) -> Linkage | None:
        """The linkage, after the last piece; None when it is no ELF file after all."""
        spool, fd = self._spool, self._fd
        if fd is not None:
            return read_linkage(lambda size, offset: os.pread(fd, size, offset))
        if spool is None:
            return None

        def read_at(size: int, offset: int) -> bytes:
            spool.seek(offset)
            return spool.read(size)

        with spool:
            return read_linkage(read_at)
