"""Files that releases share: ``objects/ab/<sha256>-<mode>``, one inode for each content and mode, linked into each.

An inode has many names, so it is never written: no write bits, and what replaces it is another inode. An object that
only the store has a name for is needed by nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from types import TracebackType

from capsule_builder.contents import Listed
from capsule_deploy.layout import Layout

FILE_MODE, EXECUTABLE_MODE = 0o444, 0o555
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def mode_of(entry: Listed) -> int:
    """The mode that a file of a release has on the host."""
    return EXECUTABLE_MODE if entry.kind == "executable" else FILE_MODE


def object_key(entry: Listed) -> str:
    """The name that the store has for a file, below the directory of its first two digits."""
    return f"{entry.detail}-{mode_of(entry):03o}"


class Objects:
    """The store, opened. Whoever uses it holds the store's lock exclusively."""

    def __init__(self, layout: Layout) -> None:
        self._place = layout.objects
        self._top: int | None = None

    def __enter__(self) -> Objects:
        with contextlib.suppress(FileNotFoundError):
            self._top = os.open(self._place, _DIRECTORY)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._top is not None:
            os.close(self._top)
            self._top = None

    def stat(self, key: str) -> os.stat_result | None:
        """What there is under ``key``, if it is a file as the store has them; None otherwise."""
        if self._top is None:
            return None
        try:
            found = os.stat(f"{key[:2]}/{key}", dir_fd=self._top, follow_symlinks=False)
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) != int(key[-3:], 8):
            return None
        return found if found.st_uid in {0, os.geteuid()} else None

    def open(self, key: str) -> int:
        """A descriptor to read the object by."""
        return os.open(f"{key[:2]}/{key}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._top)

    def put(self, directory: int, name: str, key: str) -> None:
        """Makes the file ``name`` of ``directory`` the object ``key``, in place of what may be there."""
        assert self._top is not None  # noqa: S101
        with contextlib.suppress(FileExistsError):
            os.mkdir(key[:2], 0o700, dir_fd=self._top)
        os.rename(name, f"{key[:2]}/{key}", src_dir_fd=directory, dst_dir_fd=self._top)

    def link(self, key: str, directory: int, name: str) -> None:
        """Gives the object a name in ``directory``, where there is none yet.

        Raises:
            OSError: it cannot be done.
        """
        place = f"{key[:2]}/{key}"
        try:
            os.link(place, name, src_dir_fd=self._top, dst_dir_fd=directory, follow_symlinks=False)
        except OSError as failed:
            if failed.errno != errno.EMLINK:  # as many names as the file system gives an inode
                raise
            self._renew(place, int(key[-3:], 8))
            os.link(place, name, src_dir_fd=self._top, dst_dir_fd=directory, follow_symlinks=False)

    def remove_unused(self, key: str) -> int | None:
        """Removes an object that nothing but the store has a name for; gives its bytes, None if there is none.

        What a crash left in the middle of being made counts as well.
        """
        try:
            found = os.stat(f"{key[:2]}/{key}", dir_fd=self._top, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            return None
        os.unlink(f"{key[:2]}/{key}", dir_fd=self._top)
        return found.st_size

    def all_keys(self) -> list[str]:
        """The names of all objects; what else lies in the store is named as well."""
        if self._top is None:
            return []
        found = []
        for first in sorted(os.listdir(self._top)):
            with contextlib.suppress(NotADirectoryError, FileNotFoundError):
                fd = os.open(first, _DIRECTORY, dir_fd=self._top)
                try:
                    found += os.listdir(fd)
                finally:
                    os.close(fd)
        return sorted(found)

    def _renew(self, place: str, mode: int) -> None:
        """Puts a copy in the place of an object: an inode with no names yet."""
        copy = f"{place}.{secrets.token_hex(4)}"
        source = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._top)
        try:
            fd = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self._top)
            try:
                while os.sendfile(fd, source, None, 1 << 20):
                    pass
                os.fchmod(fd, mode)
                found = os.fstat(source)
                os.utime(fd, ns=(found.st_atime_ns, found.st_mtime_ns))
            finally:
                os.close(fd)
            os.rename(copy, place, src_dir_fd=self._top, dst_dir_fd=self._top)
        finally:
            os.close(source)
