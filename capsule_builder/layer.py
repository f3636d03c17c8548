"""A layer: a fragment of an archive, with its listing and its index (``docs/format.md``, section 4.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import BinaryIO, NamedTuple

from capsule_builder import contents
from capsule_builder.archive import tar
from capsule_builder.archive.effort import DEFAULT_LEVEL
from capsule_builder.archive.members import BLOCK_SIZE, COPY_SIZE, Member, MemberWriter, deflated, zeros
from capsule_builder.contents import Listed
from capsule_builder.entries import Deflated, Entry, File, Pledge, Symlink, Whole
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.links import link_problem
from capsule_builder.modes import is_program
from capsule_builder.paths import path_problem, shown

NAMED, VERIFIED = b"# named", b"# verified"
"""What begins those lines of a layer's index that are for the assembly alone, and not for the capsule's index."""

Progress = Callable[[int], object]
"""Told of every piece of content that has been read, in bytes."""


class LayerInput(NamedTuple):
    """One layer: its name, what to call it in messages, its entries, the requirements that were verified.

    The entries of a wheel come deflated; ``size`` is theirs in bytes, more or less, when nothing but the wheel is read
    for them. ``about`` tells all that decides a layer, when that can be known.
    """

    name: str
    owner: str
    entries: Iterable[Entry]
    verified: Sequence[str] = ()
    is_wheel: bool = False
    size: int = 0
    about: Callable[[], str] | None = None


class LayerFiles:
    """Where a layer is written: three binary files, each at its beginning.

    ``fragment`` takes gzip members with whole tar entries, ``contents`` the listing, ``index`` the members and entries,
    followed by a line ``# named`` for each file that is executable only because a pattern names it, and a line
    ``# verified`` for each requirements file that the Python environment was found to satisfy (its SHA-256).
    """

    __slots__ = ("contents", "fragment", "index")

    def __init__(self, fragment: BinaryIO, contents: BinaryIO, index: BinaryIO) -> None:
        self.fragment = fragment
        self.contents = contents
        self.index = index


def write_layer(
    entries: Iterable[Entry],
    files: LayerFiles,
    *,
    level: int = DEFAULT_LEVEL,
    jobs: int = 1,
    progress: Progress | None = None,
    verified: Iterable[str] = (),
) -> None:
    """Writes a layer from entries in path order, as a stream.

    ``verified`` are the SHA-256, in hex, of requirements files that the whole environment satisfies.

    Memory does not grow with the size of a file: it holds a few blocks of 1 MiB a thread.

    Raises:
        CapsuleError: an entry's path or target is refused, or its content cannot be read or is not what was pledged.
        OSError: the files cannot be written.
    """
    files.contents.write(contents.LISTING_HEADER)
    named = write_entries(entries, files, level=level, jobs=jobs, progress=progress)
    write_remarks(files, named, verified)


def write_remarks(files: LayerFiles, named: Iterable[str], verified: Iterable[str]) -> None:
    """Writes what a layer's index has for the assembly alone, behind all else."""
    files.index.writelines(b"%s\t%s\n" % (NAMED, path.encode()) for path in named)
    files.index.writelines(b"%s\t%s\n" % (VERIFIED, sha256.encode()) for sha256 in verified)


def write_entries(
    entries: Iterable[Entry], files: LayerFiles, *, level: int, jobs: int, progress: Progress | None
) -> list[str]:
    """Writes entries in path order, which begin a member and end one; gives those that a pattern alone names.

    Raises:
        CapsuleError: as :func:`write_layer` does.
        OSError: the files cannot be written.
    """
    writing = _Writing(files, progress)
    last = ""
    with MemberWriter(writing.member, level=level, jobs=jobs) as writer:
        for entry in entries:
            check_entry(entry, last)
            last = entry.path
            if isinstance(entry, File):
                _write_file(writer, entry, level, progress)
            else:
                write_entry(writer, entry)
    if writing.broken:
        raise CapsuleError(writing.broken)
    return writing.named


class _Note(NamedTuple):
    """What a member has to say of an entry that ends in it; ``unread`` bytes have not been told of as progress."""

    line: Listed
    named: bool = False
    pledged: Pledge | None = None
    unread: int = 0


class _Writing:
    """Takes the members of a layer in order, with the notes of what ends in them."""

    def __init__(self, files: LayerFiles, progress: Progress | None) -> None:
        self.named: list[str] = []
        self.broken: list[Problem] = []
        self._files = files
        self._progress = progress
        self._nesting = contents.Nesting()

    def member(self, member: Member) -> None:
        if member.size:
            self._files.fragment.writelines(member.pieces)
            lines = [f"# member\t{member.size}\t{member.plain_size}\n"]
            lines += [f"{offset}\t{size}\t{path}\n" for offset, size, path in member.begun]
            self._files.index.write("".join(lines).encode())
        for note in member.notes:
            self._entry(note)

    def _entry(self, note: _Note) -> None:
        entry = note.line
        if parent := self._nesting.parent(entry):
            what = f"{contents.NOUN[parent[0].kind]} and a directory: {parent[0].path} (with {entry.path})"
            raise refusal("path-nesting", f"Path is both {what}", "Leave one of the two out.")
        self._files.contents.write(entry.line())
        if note.named:
            self.named.append(entry.path)
        if note.pledged and note.pledged.sha256 != entry.detail:
            self.broken.append(broken_pledge(entry.path, note.pledged.by))
        if note.unread and self._progress:
            self._progress(note.unread)


def broken_pledge(path: str, by: str) -> Problem:
    """The refusal of a file that is not what the RECORD of the distribution ``by`` says."""
    message = f"{by}: not what its RECORD says: {shown(path)}"
    return Problem("record-mismatch", message, "Somebody has changed it: fetch or install the distribution again.")


def write_entry(writer: MemberWriter, entry: Entry) -> None:
    """Writes one entry into members, reading its content once, in pieces."""
    if isinstance(entry, File):
        _write_pieces(writer, entry, None)
        return
    target = entry.target if isinstance(entry, Symlink) else ""
    line = Listed(entry.path, "symlink" if target else "dir", target)
    writer.add(line.path, tar.header(line.path, line.kind, target=line.detail), 0, _Note(line))


def _write_file(writer: MemberWriter, entry: File, level: int, progress: Progress | None) -> None:
    content = entry.content
    plain: bytes | bytearray
    if isinstance(content, Deflated):
        read = content.at_once()
        if not read:
            _write_pieces(writer, entry, progress)
            return
        if content.deflated_size >= COPY_SIZE:
            writer.later(partial(_copied, entry, read, level), content.deflated_size + content.size)
            return
        plain = read().plain
    elif content.size <= BLOCK_SIZE:
        plain = b"".join(content.chunks())
    else:
        _write_pieces(writer, entry, progress)
        return
    kind, note = _looked_at(entry, plain)
    size = len(plain)
    data = b"".join((tar.header(entry.path, kind, size), plain, tar.padding(size)))
    writer.add(entry.path, data, size, note)


def _copied(entry: File, read: Callable[[], Whole], level: int) -> list[Member]:
    """The members of a file whose stream is copied: its header, the stream, its padding. On any thread."""
    whole = read()
    kind, note = _looked_at(entry, whole.plain)
    size = len(whole.plain)
    head = tar.header(entry.path, kind, size)
    members = [deflated(head, level, [(0, size, entry.path)]), Member([whole.member], len(whole.member), size)]
    if fill := -size % tar.BLOCK:
        members.append(Member([zeros(fill, level)], len(zeros(fill, level)), fill))
    members[-1].notes = [note]
    return members


def _looked_at(entry: File, plain: bytes | bytearray) -> tuple[contents.Kind, _Note]:
    program = False
    if entry.executable is None:
        program = is_program(bytes(plain[:64]), lambda size, offset: bytes(plain[offset : offset + size]))
    kind = _kind(entry, program)
    line = Listed(entry.path, kind, hashlib.sha256(plain).hexdigest())
    return kind, _Note(line, _named(entry, program), entry.pledged, len(plain))


def _write_pieces(writer: MemberWriter, entry: File, progress: Progress | None) -> None:
    content = entry.content
    size = content.size
    program = entry.executable is None and isinstance(content, Deflated) and content.program
    kind = _kind(entry, program)
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
    line = Listed(entry.path, kind, digest.hexdigest())
    writer.end(_Note(line, _named(entry, program), entry.pledged))


def _kind(entry: File, program: bool) -> contents.Kind:
    executable = entry.executable if entry.executable is not None else program or entry.named
    return "executable" if executable else "file"


def _named(entry: File, program: bool) -> bool:
    return entry.named and not program


def check_entry(entry: Entry, last: str) -> None:
    """Refuses an entry whose path or target no capsule can have; ``last`` is the path before it."""
    problem = path_problem(entry.path)
    if not problem and isinstance(entry, Symlink):
        problem = link_problem(entry.path, entry.target)
    if problem:
        raise CapsuleError([problem])
    if entry.path <= last:
        raise ValueError(f"entries out of order: {entry.path!r} after {last!r}")
