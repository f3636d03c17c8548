"""Files in the cache: *blobs*, which hold parts of fragments and never change, and *records*, which name them.

Both appear whole, by a rename. A blob ends with a digest of itself, a record begins with one. Digests of blobs are not
computed each time: a *seal*, kept in a record, has what the file system said of a blob when its bytes were known, and
the boot of the machine. As long as both are the same nothing has written to it, and no crash has torn it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import itertools
import os
import struct
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import BinaryIO, NamedTuple

from capsule_builder.cache.place import Unusable, locked, open_room, unusable

BLOBS, RECORDS = "blobs", "records"
_FOOT = struct.Struct("<QQ32s8s")  # bytes of the fragment, bytes of the index, SHA-256 of all before, mark
_MARK = b"capsblob"
RECORD_BEGIN = 32
"""Where what a record holds begins in its bytes: behind a SHA-256 of all the rest."""

_CHUNK = 1 << 20
_PATIENCE = 10.0  # seconds to wait for a prune
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a fifo would wait for somebody to write
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HEX = frozenset("0123456789abcdef")


class Lost(Exception):
    """Something that was in the cache is not there any more: the build has to do without."""


class Blob(NamedTuple):
    """A blob that is there: its ``key`` (64 hex digits), how many ``size`` bytes of a fragment it has, and its seal.

    ``seal`` is "file size, inode, mtime, ctime", in decimal, times in nanoseconds.
    """

    key: str
    size: int
    seal: str


class Store:
    """The cache in ``directory``, shared with every other build that uses it; see :mod:`~capsule_builder.cache.place`.

    While it is open nothing is pruned. Once something could not be written, nothing more is, and ``trouble`` says why.
    ``written`` are the bytes of new blobs.

    Raises:
        Unusable: there is no such thing here.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.trouble: Unusable | None = None
        self.written = 0
        self._mark = f"{os.getpid()}-{os.urandom(6).hex()}"
        self._names = itertools.count()
        self._open = contextlib.ExitStack()
        self.room = open_room(directory, make=True)
        self._open.callback(os.close, self.room)
        try:
            self._lock()
            self.blobs = self._directory(BLOBS)
            self.records = self._directory(RECORDS)
        except OSError as error:
            self.close()
            raise unusable(directory, error.strerror or str(error)) from error
        self.boot = _boot()

    def _lock(self) -> None:
        try:
            lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self.room)
        except OSError:  # on a disk that is read-only nobody prunes
            return
        self._open.callback(os.close, lock)
        if not locked(lock, fcntl.LOCK_SH, _PATIENCE):
            raise BlockingIOError(errno.EAGAIN, "it is being pruned")

    def _directory(self, name: str) -> int:
        with contextlib.suppress(OSError):  # it is there, or it cannot be opened either
            os.mkdir(name, 0o700, dir_fd=self.room)
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.room)
        self._open.callback(os.close, fd)
        return fd

    def close(self) -> None:
        """Lets others prune."""
        self._open.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def new(self) -> NewBlob | None:
        """A blob to be written, or None when nothing can be written any more."""
        if self.trouble:
            return None
        try:
            return NewBlob(self, self._temporary(), os.open(self._last, _NEW, 0o600, dir_fd=self.blobs))
        except OSError as error:
            self.failed(error)
            return None

    def failed(self, error: OSError) -> None:
        """Notes that the cache cannot be written to."""
        if not self.trouble:
            self.trouble = unusable(self.directory, f"it cannot be written to: {error.strerror or error}")

    def _temporary(self) -> str:
        self._last = f".{self._mark}-{next(self._names)}.partial"
        return self._last

    def find(self, key: str) -> tuple[Blob, bytes] | None:
        """The blob ``key`` and its part of the index, when it is there and sound to the last bit."""
        return self._sound(key)

    def touch(self, key: str) -> None:
        """Notes that a blob which no record names was of use; its seal is broken by that."""
        with contextlib.suppress(OSError):
            os.utime(key, dir_fd=self.blobs, follow_symlinks=False)

    def is_sealed(self, blob: Blob) -> bool:
        """Whether a blob that was sealed in this boot is as it was."""
        try:
            return _seal_of(os.stat(blob.key, dir_fd=self.blobs, follow_symlinks=False)) == blob.seal
        except OSError:
            return False

    def open(self, blob: Blob, boot: str) -> int:
        """A descriptor of a blob that was sealed in ``boot``.

        Raises:
            Lost: it is not there, or not sound.
        """
        fd = self._descriptor(blob.key)
        if boot and boot == self.boot and _seal(fd) == blob.seal:
            return fd
        os.close(fd)
        found = self._sound(blob.key)
        if not found or found[0].size != blob.size:
            raise Lost
        return self.open(found[0], self.boot) if self.boot else self._descriptor(blob.key)

    def _descriptor(self, key: str) -> int:
        try:
            return os.open(key, _READ, dir_fd=self.blobs)
        except OSError:
            raise Lost from None

    def _sound(self, key: str) -> tuple[Blob, bytes] | None:
        """Reads all of a blob and compares its digest; one that is damaged is removed."""
        try:
            fd = os.open(key, _READ, dir_fd=self.blobs)
        except OSError:
            return None
        with os.fdopen(fd, "rb", buffering=0) as file:
            found = _checked(key, file)
        if not found:
            with contextlib.suppress(OSError):
                os.unlink(key, dir_fd=self.blobs)
        return found

    @staticmethod
    def is_sound(name: str, place: int, kind: str) -> bool:
        """Whether the blob or the record ``name`` in the directory ``place`` is what it was, to the last bit."""
        if kind == RECORDS:
            return Store.read(name, place) is not None
        try:
            with os.fdopen(os.open(name, _READ, dir_fd=place), "rb", buffering=0) as file:
                return _checked(name, file) is not None
        except OSError:
            return False

    def load(self, name: str) -> bytes | None:
        """The record ``name`` (64 hex digits), from :data:`RECORD_BEGIN` on; None when there is none, or damaged."""
        data = self.read(name, self.records)
        if data is not None:
            with contextlib.suppress(OSError):
                os.utime(name, dir_fd=self.records)  # it was of use
        return data

    @staticmethod
    def read(name: str, place: int) -> bytes | None:
        """The record ``name`` in the directory ``place``, from :data:`RECORD_BEGIN` on; None when it is not sound."""
        try:
            with os.fdopen(os.open(name, _READ, dir_fd=place), "rb", buffering=0) as file:
                data = file.read()
        except OSError:
            return None
        if data[:RECORD_BEGIN] != hashlib.sha256(memoryview(data)[RECORD_BEGIN:]).digest():
            return None
        return data

    def save(self, name: str, pieces: Iterable[bytes | memoryview]) -> None:
        """Writes the record ``name`` anew, if that can be done."""
        if self.trouble:
            return
        data = b"".join(pieces)
        partial = self._temporary()
        try:
            with os.fdopen(os.open(partial, _NEW, 0o600, dir_fd=self.records), "wb", buffering=0) as file:
                for piece in (hashlib.sha256(data).digest(), data):
                    _write(file.fileno(), piece)
            os.rename(partial, name, src_dir_fd=self.records, dst_dir_fd=self.records)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(partial, dir_fd=self.records)
            self.failed(error)


class NewBlob:
    """A blob in the making; :meth:`commit` puts it in its place, :meth:`cancel` removes what there is of it."""

    def __init__(self, store: Store, name: str, fd: int) -> None:
        self._store = store
        self._name = name
        self._fd = fd
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | bytearray) -> None:
        """Adds a piece of the fragment.

        Raises:
            OSError: there is no room, most likely.
        """
        _write(self._fd, data)
        self._digest.update(data)
        self.size += len(data)

    def commit(self, key: str, index: bytes) -> Blob:
        """Gives it its name. Of two builds that do so at once, the later one's stays; both are the same.

        Raises:
            OSError: it cannot be written.
        """
        self._digest.update(index)
        _write(self._fd, index + _FOOT.pack(self.size, len(index), self._digest.digest(), _MARK))
        blobs = self._store.blobs
        os.rename(self._name, key, src_dir_fd=blobs, dst_dir_fd=blobs)
        seal = _seal(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._store.written += self.size
        return Blob(key, self.size, seal)

    def file(self) -> int:
        """The descriptor of what has been written."""
        return self._fd

    def cancel(self) -> None:
        """Removes what there is of it, if it was not put in its place."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            with contextlib.suppress(OSError):
                os.unlink(self._name, dir_fd=self._store.blobs)


def _checked(key: str, file: BinaryIO) -> tuple[Blob, bytes] | None:
    """The blob in ``file``, and its part of the index, if all of it is what it was."""
    try:
        seal = _seal(file.fileno())
        size = os.fstat(file.fileno()).st_size
        foot = os.pread(file.fileno(), _FOOT.size, max(0, size - _FOOT.size))
        if len(foot) != _FOOT.size:
            return None
        data_size, index_size, digest, mark = _FOOT.unpack(foot)
        whole = mark == _MARK and data_size + index_size + _FOOT.size == size
        if whole and _digest(file, data_size + index_size) == digest:
            return Blob(key, data_size, seal), os.pread(file.fileno(), index_size, data_size)
    except OSError:  # of a disk that cannot be read
        pass
    return None


def is_key(name: str) -> bool:
    """Whether a file in the cache is a blob or a record, and not one in the making."""
    return len(name) == 64 and _HEX.issuperset(name)


def _write(fd: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _digest(file: BinaryIO, size: int) -> bytes:
    digest = hashlib.sha256()
    for chunk in _chunks(file, size):
        digest.update(chunk)
    return digest.digest()


def _chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size and (chunk := file.read(min(size, _CHUNK))):
        size -= len(chunk)
        yield chunk


def _seal(fd: int) -> str:
    return _seal_of(os.fstat(fd))


def _seal_of(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_ino} {status.st_mtime_ns} {status.st_ctime_ns}"


def _boot() -> str:
    """What tells this run of the machine from all others; empty when nothing does."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""
