"""Reads an archive in a confined child, which writes nothing but plain files into one directory.

The child says what is in the archive (its listing, its metadata, the lengths of its files); the parent answers which
files it wants, and gets them by the numbers of their lines in the listing. What the child wrote is not believed: the
parent reads it again when the child is dead.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import struct
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from capsule_builder.archive.chosen_reader import chosen_entries
from capsule_builder.archive.damage import damaged, named
from capsule_builder.archive.listing_reader import Listing
from capsule_builder.archive.members import TAIL
from capsule_builder.archive.reader import CapsuleReader
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import MANIFEST_NAME, shown
from capsule_deploy.confine import confine, fork_alone

LISTING, METADATA, SIZES = "listing", "metadata", "sizes"
_LISTED, _HEAD, _REFUSED, _FAILED, _PROGRESS, _DONE = b"L", b"H", b"R", b"F", b"P", b"D"
_ALL, _SOME = b"A", b"S"
_STEP = 4 << 20  # bytes between two words about the progress
_SECONDS = 120  # of a processor, and one more for each MiB of the archive
_MAX_FRAME = 64 << 20


class UnpackError(CapsuleError):
    """The child ended in a way that it should not have."""


@dataclass(frozen=True)
class Source:
    """The archive: an open file, its length, what messages call it; ``signed`` when every byte is what somebody signed.

    ``largest`` is the most bytes that a file of it may have.
    """

    fd: int
    size: int
    label: str
    signed: bool
    largest: int


class Child:
    """The child at work. ``directory`` is a descriptor of the one that it may write in.

    Leaving the context ends it, whatever it is about.
    """

    def __init__(self, source: Source, directory: int) -> None:
        self.held: list[str] = []
        """What confines it."""
        answers, self._answer = os.pipe2(os.O_CLOEXEC)
        self._reports, reports = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        try:
            self._pid, alone = fork_alone()
        except OSError:
            for fd in (answers, self._answer, self._reports, reports):
                os.close(fd)
            raise
        if self._pid == 0:
            _run(source, directory, answers, reports, parent, ["pid namespace"] if alone else [])
        os.close(answers)
        os.close(reports)

    def listing(self) -> None:
        """Waits until listing and metadata have been written; whether the rest agrees with them is not known yet.

        Raises:
            CapsuleError: the archive is refused.
            OSError: the child could not write.
        """
        kind, data = self._receive(lambda _: None)
        if kind != _LISTED:
            raise self._strange()
        self.held = [shown(str(name)) for name in self._decoded(data)]

    def sizes(self) -> None:
        """Waits until the lengths of all files have been written; raises what :meth:`listing` does."""
        if self._receive(lambda _: None)[0] != _HEAD:
            raise self._strange()

    def unpack(self, wanted: Sequence[int], *, whole: bool, progress: Callable[[int], object]) -> None:
        """Has the files with these numbers written; with ``whole`` all of the archive is read, and checked.

        ``progress`` is told of bytes. Raises what :meth:`listing` does.
        """
        _send(self._answer, (_ALL if whole else _SOME) + array("Q", wanted).tobytes())
        kind, _ = self._receive(progress)
        if kind != _DONE:
            raise self._strange()
        if os.waitpid(self._pid, 0)[1] != 0:
            raise self._strange()
        self._pid = 0

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._answer)
        os.close(self._reports)
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0

    def _receive(self, progress: Callable[[int], object]) -> tuple[bytes, bytes]:
        while True:
            frame = _read_frame(self._reports)
            if not frame:
                raise self._died()
            kind, data = frame[:1], frame[1:]
            if kind == _PROGRESS:
                progress(int.from_bytes(data, "little"))
            elif kind == _REFUSED:
                raise CapsuleError(_problem(fields) for fields in self._decoded(data))
            elif kind == _FAILED:
                number, *what = self._decoded(data)
                if not isinstance(number, int):
                    raise self._strange()
                raise OSError(number, os.strerror(number), *map(str, filter(None, what)))
            else:
                return kind, data

    def _decoded(self, data: bytes) -> list[object]:
        try:
            decoded = json.loads(data)
        except ValueError:
            decoded = None
        if not isinstance(decoded, list) or not decoded:
            raise self._strange()
        return decoded

    def _died(self) -> CapsuleError:
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) in {signal.SIGXCPU, signal.SIGXFSZ}:
            return refusal(
                "unpack-limit",
                "The archive takes more time or room than any capsule",
                "Fetch it again, or build it anew.",
            )
        return self._strange()

    def _strange(self) -> CapsuleError:
        what = "The process that unpacks the archive ended before its work was done"
        return UnpackError([Problem("unpack-died", what, "Look at the kernel's messages; then try again.")])


def _problem(fields: object) -> Problem:
    """A problem as the child tells it, in which nothing is for the terminal."""
    words = [shown(str(field)) for field in fields] if isinstance(fields, list) else []
    return Problem(*words) if len(words) == 3 else Problem("unpack-died", "The process that unpacks is not well")


def _run(source: Source, directory: int, answers: int, reports: int, parent: int, held: Sequence[str]) -> NoReturn:
    """The child's whole life."""
    status = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the parent's business
            signal.signal(number, signal.SIG_IGN)
        try:
            _work(source, directory, answers, reports, parent, held)
            status = 0
        except CapsuleError as refused:
            problems = [
                (problem.code, str(problem), "") if hasattr(problem, "line")
                else (problem.code, problem.message, problem.remedy)
                for problem in refused.problems
            ]  # fmt: skip
            _send(reports, _REFUSED + json.dumps(problems).encode())
        except MemoryError:
            _send(reports, _FAILED + json.dumps([errno.ENOMEM, None]).encode())
        except OSError as failed:
            name = failed.filename if isinstance(failed.filename, str) else None
            _send(reports, _FAILED + json.dumps([failed.errno or errno.EIO, name]).encode())
    finally:
        os._exit(status)


def _work(source: Source, directory: int, answers: int, reports: int, parent: int, held: Sequence[str]) -> None:
    keep = {source.fd, directory, answers, reports, 2}
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd not in keep:
            with contextlib.suppress(OSError):  # the one that listed them
                os.close(fd)
    held = [*held, *confine(directory, source.largest, _SECONDS + (source.size >> 20))]
    if os.getppid() not in {0, parent}:  # it died before the system knew that we die with it
        os._exit(1)
    archive = open(source.fd, "rb", buffering=0, closefd=False)  # noqa: SIM115
    archive.seek(0)

    def listed(metadata: bytes, listing: Listing) -> None:
        _write(METADATA, [metadata], 0o444)
        _write(LISTING, [bytes(listing.data)], 0o444)
        _send(reports, _LISTED + json.dumps(held).encode())

    with CapsuleReader(archive, label=source.label, listed=listed) as reader:
        start = reader.position
        sizes = array("Q", bytes(8 * len(reader.listing)))
        for layer in reader.index.layers:
            for number, size in layer.sizes():
                if number >= 0:
                    sizes[number] = size
        _write(SIZES, [sizes.tobytes()], 0o444)
        _send(reports, _HEAD)
        answer = _read_frame(answers)
        if not answer:
            os._exit(0)
        wanted = array("Q")
        wanted.frombytes(answer[1:])
        if answer[:1] == _ALL:
            _unpack_all(reader, set(wanted), reports)
        else:
            _unpack_some(source, reader, start, set(wanted), reports)
    _send(reports, _DONE)


def _unpack_all(reader: CapsuleReader, wanted: set[int], reports: int) -> None:
    tell = _Teller(reports)
    for entry in reader.entries():
        if entry.first and entry.kind in {"file", "executable"}:
            number = reader.listing.find(entry.path.encode())
            if number in wanted:
                _write(str(number), entry.chunks(), 0o444, tell)
    reader.finish()


def _unpack_some(source: Source, reader: CapsuleReader, start: int, wanted: set[int], reports: int) -> None:
    tell = _Teller(reports)
    manifest = reader.listing.find(MANIFEST_NAME.encode())
    archive = open(source.fd, "rb", buffering=0, closefd=False)  # noqa: SIM115
    for entry in chosen_entries(reader, archive, start, wanted | {manifest}):
        number = reader.listing.find(entry.path.encode())
        if number in wanted:
            _write(str(number), entry.chunks(), 0o444, tell)
    with named(source.label):
        reader.check_manifest()
        end = start + sum(layer.facts.compressed_size for layer in reader.index.layers)
        archive.seek(end)
        if archive.read(len(TAIL) + 1) != TAIL:
            raise damaged("archive-tail", "It does not end as every capsule does")


class _Teller:
    """Tells the parent of the progress, now and then."""

    def __init__(self, reports: int) -> None:
        self._reports = reports
        self._untold = 0

    def __call__(self, size: int) -> None:
        self._untold += size
        if self._untold >= _STEP:
            _send(self._reports, _PROGRESS + self._untold.to_bytes(8, "little"))
            self._untold = 0


def _write(
    name: str,
    chunks: Iterable[bytes | bytearray],
    mode: int,
    tell: Callable[[int], object] = lambda _: None,
) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        for chunk in chunks:
            view = memoryview(chunk)
            tell(len(view))
            while view:
                view = view[os.write(fd, view) :]
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def _send(fd: int, frame: bytes) -> None:
    data = memoryview(struct.pack("<I", len(frame)) + frame)
    while data:
        data = data[os.write(fd, data) :]


def _read_frame(fd: int) -> bytes:
    """The next frame; empty when the other side is gone."""
    size = _read_exactly(fd, 4)
    if len(size) < 4 or struct.unpack("<I", size)[0] > _MAX_FRAME:
        return b""
    return _read_exactly(fd, struct.unpack("<I", size)[0])


def _read_exactly(fd: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = os.read(fd, min(size - len(data), 1 << 20))
        if not piece:
            return b""
        data += piece
    return bytes(data)
