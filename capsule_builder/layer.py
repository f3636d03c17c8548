"""A layer: a fragment of an archive, with its listing and its index (``docs/format.md``, section 4.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from capsule_builder import contents
from capsule_builder.archive import tar
from capsule_builder.archive.members import COPY_SIZE, DEFAULT_LEVEL, MemberWriter
from capsule_builder.contents import Listed
from capsule_builder.entries import Deflated, Entry, File, Symlink
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.links import link_problem
from capsule_builder.paths import path_problem, shown

NAMED, VERIFIED = b"# named", b"# verified"
"""What begins those lines of a layer's index that are for the assembly alone, and not for the capsule's index."""

Progress = Callable[[int], object]
"""Told of every piece of content that has been read, in bytes."""


@dataclass(frozen=True, slots=True)
class LayerFiles:
    """Where a layer is written: three binary files, each at its beginning.

    ``fragment`` takes gzip members with whole tar entries, ``contents`` the listing, ``index`` the members and entries,
    followed by a line ``# named`` for each file that is executable only because a pattern names it, and a line
    ``# verified`` for each requirements file that the Python environment was found to satisfy (its SHA-256).
    """

    fragment: BinaryIO
    contents: BinaryIO
    index: BinaryIO


def write_layer(
    entries: Iterable[Entry],
    files: LayerFiles,
    *,
    level: int = DEFAULT_LEVEL,
    jobs: int = 1,
    progress: Progress | None = None,
    verified: Iterable[str] = (),
) -> str:
    """Writes a layer from entries in path order, as a stream; gives its digest (64 hex digits).

    ``verified`` are the SHA-256, in hex, of requirements files that the whole environment satisfies.

    Memory does not grow with the size of a file: it holds a few blocks of 1 MiB a thread.

    Raises:
        CapsuleError: an entry's path or target is refused, or its content cannot be read or is not what was pledged.
        OSError: the files cannot be written.
    """
    digest = hashlib.sha256()

    def listed(line: bytes) -> None:
        digest.update(line)
        files.contents.write(line)

    def member(pieces: Iterable[bytes], size: int, plain_size: int, begun: list[tuple[int, int, str]]) -> None:
        files.fragment.writelines(pieces)
        lines = [f"# member\t{size}\t{plain_size}\n"]
        lines += [f"{offset}\t{size}\t{path}\n" for offset, size, path in begun]
        files.index.write("".join(lines).encode())

    listed(contents.LISTING_HEADER)
    nesting, last = contents.Nesting(), ""
    named: list[str] = []
    broken: list[Problem] = []
    with MemberWriter(member, level=level, jobs=jobs) as writer:
        for entry in entries:
            _check(entry, last)
            last = entry.path
            line = write_entry(writer, entry, progress)
            if parent := nesting.parent(line):
                message = (
                    f"Path is both {contents.NOUN[parent[0].kind]} and a directory: {parent[0].path} (with {line.path})"
                )
                raise refusal("path-nesting", message, "Leave one of the two out.")
            listed(line.line())
            if isinstance(entry, File):
                if entry.named:
                    named.append(entry.path)
                if entry.pledged and entry.pledged.sha256 != line.detail:
                    broken.append(broken_pledge(entry.path, entry.pledged.by))
    if broken:
        raise CapsuleError(broken)
    files.index.writelines(b"%s\t%s\n" % (NAMED, path.encode()) for path in named)
    files.index.writelines(b"%s\t%s\n" % (VERIFIED, sha256.encode()) for sha256 in verified)
    return digest.hexdigest()


def broken_pledge(path: str, by: str) -> Problem:
    """The refusal of a file that is not what the RECORD of the distribution ``by`` says."""
    message = f"{by}: not what its RECORD says: {shown(path)}"
    return Problem("record-mismatch", message, "Somebody has changed it: fetch or install the distribution again.")


def write_entry(writer: MemberWriter, entry: Entry, progress: Progress | None = None) -> Listed:
    """Writes one entry into members, reading its content once; gives its line of the listing."""
    if isinstance(entry, File):
        return _write_file(writer, entry, progress)
    target = entry.target if isinstance(entry, Symlink) else ""
    line = Listed(entry.path, "symlink" if target else "dir", target)
    head = tar.header(line.path, line.kind, target=line.detail)
    writer.begin(line.path, len(head), 0)
    writer.write(head)
    writer.end()
    return line


def _write_file(writer: MemberWriter, entry: File, progress: Progress | None) -> Listed:
    kind: contents.Kind = "executable" if entry.executable else "file"
    size = entry.content.size
    head, fill = tar.header(entry.path, kind, size), tar.padding(size)
    digest = hashlib.sha256()

    def noted(chunk: bytes) -> None:
        digest.update(chunk)
        if progress:
            progress(len(chunk))

    def stream(content: Deflated) -> Iterator[bytes]:
        for piece, plain in content.pieces():
            noted(plain)
            yield piece

    content = entry.content
    if isinstance(content, Deflated) and content.deflated_size >= COPY_SIZE:
        writer.flush()
        writer.begin(entry.path, len(head), size)
        writer.write(head)
        writer.copy(stream(content), content.deflated_size, size, content.crc32)
    else:
        writer.begin(entry.path, len(head) + size + len(fill), size)
        writer.write(head)
        for chunk in content.chunks():
            noted(chunk)
            writer.write(chunk)
    writer.write(fill)
    writer.end()
    return Listed(entry.path, kind, digest.hexdigest())


def _check(entry: Entry, last: str) -> None:
    problem = path_problem(entry.path)
    if not problem and isinstance(entry, Symlink):
        problem = link_problem(entry.path, entry.target)
    if problem:
        raise CapsuleError([problem])
    if entry.path <= last:
        raise ValueError(f"entries out of order: {entry.path!r} after {last!r}")
