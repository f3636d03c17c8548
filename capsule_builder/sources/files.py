"""One file on disk as content: opened, judged, read once, and watched for changes while it is read."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import raw, shown

_CHUNK = 1 << 20
MANIFEST_ENOUGH = 2 << 20  # bytes: more than any manifest may have, so that whoever reads on will refuse it


class OpenFile:
    """The content of an open regular file, as it was when it was opened.

    ``path`` is what messages call it. As a context manager it closes its descriptor. Whoever reads all of it may say
    what was ``learned``: its SHA-256 in hex, and whether it is a program, or ELF, by its path.
    """

    __slots__ = ("_first", "fd", "learned", "path", "size", "status")

    def __init__(
        self, fd: int, path: str, status: os.stat_result, learned: dict[str, tuple[str, bool, bool]] | None = None
    ) -> None:
        self.fd = fd
        self.path = path
        self.status = status
        self.size = status.st_size
        """Its length in bytes when it was opened."""
        self.learned = learned
        self._first: bytes | None = None  # what was read to judge it, and has yet to be given

    @property
    def program(self) -> bool:
        """Whether its content makes it executable.

        Raises:
            CapsuleError: the file cannot be read.
        """
        head = self._begin()[:64]
        if head[:2] == b"#!":
            return True
        if head[:4] != b"\x7fELF":
            return False
        from capsule_builder.modes import is_program

        try:
            return is_program(head, lambda size, offset: os.pread(self.fd, size, offset))
        except OSError as error:
            raise unreadable(self.path, error) from error

    @property
    def elf(self) -> bool:
        """Whether it is an ELF file of any kind.

        Raises:
            CapsuleError: the file cannot be read.
        """
        return self._begin()[:4] == b"\x7fELF"

    @property
    def executable_bit(self) -> bool:
        """Whether its owner may execute it, as the disk has it."""
        return bool(self.status.st_mode & stat.S_IXUSR)

    def chunks(self) -> Iterator[bytes]:
        """The bytes, in pieces of at most 1 MiB.

        Raises:
            CapsuleError: the file cannot be read, or is not what it was when it was opened.
        """
        left = self.size
        chunk, self._first = self._begin(), None
        try:
            while left:
                if not chunk:
                    raise changed(self.path)
                left -= len(chunk)
                yield chunk
                chunk = os.pread(self.fd, min(left, _CHUNK), self.size - left) if left else b""
            now = os.fstat(self.fd)
        except OSError as error:
            raise unreadable(self.path, error) from error
        if _differs(now, self.status):
            raise changed(self.path)

    def _begin(self) -> bytes:
        if self._first is None:
            try:
                self._first = os.pread(self.fd, min(self.size, _CHUNK), 0)
            except OSError as error:
                raise unreadable(self.path, error) from error
        return self._first

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


_REMOVE = "A capsule holds files, links and directories: remove it, or exclude it."


def open_regular(
    name: str | bytes, path: str, *, dir_fd: int | None = None, follow: bool, remedy: str = _REMOVE
) -> OpenFile:
    """Opens the regular file ``name`` for reading; ``path`` is what messages call it. The caller closes it.

    ``remedy`` is for what turns out to be something else.

    Raises:
        CapsuleError: it is not there (any more), cannot be read, or is not a regular file.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        fd = os.open(name, flags, dir_fd=dir_fd)
    except FileNotFoundError:
        raise vanished(path) from None
    except OSError as error:
        raise unreadable(path, error) from error
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise CapsuleError([special_file(path, status.st_mode, remedy)])
    return OpenFile(fd, path, status)


class Digested(NamedTuple):
    """The SHA-256 of a file, in hex, and what the file was then."""

    sha256: str
    status: os.stat_result


def digested(file: str, label: str) -> Digested:
    """What a file on disk holds; ``label`` is what messages call it.

    Raises:
        CapsuleError: it cannot be read, or is no regular file.
    """
    digest = hashlib.sha256()
    source = open_regular(raw(file), label, follow=True)
    try:
        for chunk in source.chunks():
            digest.update(chunk)
    finally:
        os.close(source.fd)
    return Digested(digest.hexdigest(), source.status)


def sha256_of(file: str, label: str) -> str:
    """The SHA-256 of a file on disk, in hex; see :func:`digested`."""
    return digested(file, label).sha256


def read_manifest(path: str) -> bytes:
    """The bytes of a manifest; of one that is far too long, the first ones.

    Raises:
        CapsuleError: there is no such file, or it cannot be read.
    """
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        missing = f"Manifest not found: {shown(path)}"
        raise refusal("manifest-missing", missing, "Name the application's capsule.yml.") from None
    except OSError as error:
        raise unreadable(path, error) from error
    file = open_regular(path, path, follow=True, remedy="Name a manifest that is a file (write it to one first).")
    data = bytearray()
    try:
        for chunk in file.chunks():
            data += chunk
            if len(data) > MANIFEST_ENOUGH:
                break
    finally:
        os.close(file.fd)
    return bytes(data)


def changed(path: str) -> CapsuleError:
    """The refusal of a file that is being written to."""
    return refusal(
        "file-changed",
        f"File changed while it was read: {shown(path)}",
        "Build again when nothing writes to the tree.",
    )


def vanished(path: str) -> CapsuleError:
    """The refusal of a file that was there a moment ago."""
    return refusal(
        "file-vanished",
        f"File vanished while the capsule was built: {shown(path)}",
        "Build again when nothing writes to the tree.",
    )


def unreadable(path: str, error: OSError) -> CapsuleError:
    """The refusal of a file that the system does not let us read."""
    reason = error.strerror or str(error)
    remedy = "Make it readable for the user who builds, or exclude it."
    return refusal("file-unreadable", f"Cannot read {shown(path)}: {reason}", remedy)


_SPECIAL = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a link",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a fifo",
    stat.S_IFSOCK: "a socket",
}


def special_file(path: str, mode: int, remedy: str = _REMOVE) -> Problem:
    """The refusal of what is not the kind of file that it has to be."""
    what = _SPECIAL.get(stat.S_IFMT(mode), "a special file")
    return Problem("file-special", f"Not a regular file, but {what}: {shown(path)}", remedy)


def is_same(now: os.stat_result, then: os.stat_result) -> bool:
    """Whether both are of one file, to which nobody has written between them."""
    return os.path.samestat(now, then) and not _differs(now, then)


def _differs(now: os.stat_result, then: os.stat_result) -> bool:
    """Whether a file was written to; another hard link to it, as sandboxes and caches make, is no matter."""
    if (now.st_size, now.st_mtime_ns) != (then.st_size, then.st_mtime_ns):
        return True
    return now.st_ctime_ns != then.st_ctime_ns and now.st_nlink == then.st_nlink
