"""Unpacks a capsule beside its place, by descriptors, and puts it there whole or not at all.

No name that comes out of an archive is ever joined to a path of the host: each is opened in its directory, which is
held open, and no link is followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable
from types import TracebackType

from capsule_builder import open_files
from capsule_builder.archive.reader import CapsuleReader, ReadEntry
from capsule_builder.archive.tar import MTIME
from capsule_builder.errors import CapsuleError, refusal
from capsule_builder.paths import CONTENTS_NAME, INDEX_NAME, METADATA_NAME, shown
from capsule_builder.signals import undisturbed

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TIMES = (MTIME, MTIME)
_TAKEN = {errno.EBUSY, errno.EEXIST, errno.ENOTDIR, errno.ENOTEMPTY}


class Staging:
    """A directory beside ``path``, which is renamed to it on :meth:`commit` and otherwise removed with all it holds.

    Raises:
        CapsuleError: something is at ``path`` already, other than an empty directory.
        OSError: nothing can be made there.
    """

    def __init__(self, path: str) -> None:
        path = os.path.abspath(path)
        self._path = path
        place, self._name = os.path.split(path)
        _check_place(path)
        self._place = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._staged = f".{self._name[:50]}.{secrets.token_hex(8)}.partial"
        self._open: list[tuple[str, int]] = []
        try:
            os.mkdir(self._staged, 0o700, dir_fd=self._place)
            self._top = os.open(self._staged, _DIRECTORY, dir_fd=self._place)
        except OSError:
            os.close(self._place)
            raise

    def unpack(self, reader: CapsuleReader) -> None:
        """Writes all entries and the generated files, as ``tar`` would.

        Raises:
            CapsuleError: the archive is damaged, or too large for the disk.
            OSError: something cannot be written.
        """
        self._require_space(reader)
        open_files.allow(reader.listing.depth)
        generated = {
            METADATA_NAME: reader.metadata_bytes,
            CONTENTS_NAME: reader.listing.data,
        }
        for name, data in generated.items():
            self._write_file(name, [data], 0o644)
        self._write_file(INDEX_NAME, reader.index.text(), 0o644)
        for entry in reader.entries():
            if entry.first:
                self._put(entry)
        self._leave(0)
        os.fchmod(self._top, 0o755)
        os.utime(self._top, _TIMES)

    def commit(self) -> None:
        """Puts the directory in its place.

        Raises:
            CapsuleError: somebody else has put something there meanwhile, or nothing can take the place.
            OSError: it cannot be put there.
        """
        try:
            with undisturbed():
                os.rename(self._staged, self._name, src_dir_fd=self._place, dst_dir_fd=self._place)
                self._staged = ""
        except OSError as failed:
            if failed.errno not in _TAKEN:
                raise
            raise _exists(f"The place is taken ({failed.strerror})", self._path) from None

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with undisturbed():
            while self._open:
                os.close(self._open.pop()[1])
            if self._staged:
                _empty(self._top)
                os.rmdir(self._staged, dir_fd=self._place)
            os.close(self._top)
            os.close(self._place)

    def _put(self, entry: ReadEntry) -> None:
        *above, name = entry.path.split("/")
        directory = self._enter(above if entry.kind != "dir" else [*above, name])
        if entry.kind == "symlink":
            os.symlink(entry.target, name, dir_fd=directory)
            os.utime(name, _TIMES, dir_fd=directory, follow_symlinks=False)
        elif entry.kind != "dir":
            self._write_file(name, entry.chunks(), 0o755 if entry.kind == "executable" else 0o644)

    def _write_file(self, name: str, chunks: Iterable[bytes | bytearray], mode: int) -> None:
        fd = os.open(name, _NEW, 0o600, dir_fd=self._here)
        try:
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[os.write(fd, view) :]
            os.fchmod(fd, mode)
            os.utime(fd, _TIMES)
        finally:
            os.close(fd)

    @property
    def _here(self) -> int:
        return self._open[-1][1] if self._open else self._top

    def _enter(self, parts: list[str]) -> int:
        """The directory at ``parts``, made if need be; it and all above it stay open until another is entered."""
        same = 0
        while same < min(len(parts), len(self._open)) and self._open[same][0] == parts[same]:
            same += 1
        self._leave(same)
        for part in parts[same:]:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o700, dir_fd=self._here)
            self._open.append((part, os.open(part, _DIRECTORY, dir_fd=self._here)))
        return self._here

    def _leave(self, depth: int) -> None:
        """Closes the directories below ``depth``; their times are set, as nothing is written in them for now."""
        while len(self._open) > depth:
            fd = self._open[-1][1]
            os.fchmod(fd, 0o755)
            os.utime(fd, _TIMES)
            self._open.pop()
            os.close(fd)

    def _require_space(self, reader: CapsuleReader) -> None:
        disk = os.fstatvfs(self._top)
        needed = sum(layer.facts.total_size for layer in reader.index.layers)
        if needed > disk.f_bavail * disk.f_frsize:
            raise refusal("extract-space", f"Not enough space: {needed:,} bytes are needed", "Unpack elsewhere.")


def _check_place(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    what = None
    if not stat.S_ISDIR(found.st_mode):
        what = "Not a directory"
    elif os.listdir(path):
        what = "Directory is not empty"
    elif os.path.samestat(found, os.stat(".")):  # another would take its place, and the shell stay in the old one
        what = "Directory is the current one"
    elif os.path.ismount(path):  # nothing can take its place
        what = "Directory is a mount point"
    if what:
        raise _exists(what, path)


def _exists(what: str, path: str) -> CapsuleError:
    return refusal("extract-exists", f"{what}: {shown(path)}", "Name one that does not exist yet.")


def _empty(directory: int) -> None:
    """Removes all that is in a directory, however deep, without following anything out of it."""
    open_above: list[tuple[int, str]] = []
    here = directory
    names = os.listdir(here)
    todo = [names]
    while True:
        if not todo[-1]:
            todo.pop()
            if not open_above:
                return
            os.close(here)
            here, name = open_above.pop()
            os.rmdir(name, dir_fd=here)
            continue
        name = todo[-1].pop()
        try:
            os.unlink(name, dir_fd=here)
        except (IsADirectoryError, PermissionError):
            below = os.open(name, _DIRECTORY, dir_fd=here)
            open_above.append((here, name))
            here = below
            todo.append(os.listdir(here))
