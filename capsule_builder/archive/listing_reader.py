"""A content listing, read strictly and kept small (``docs/format.md``, sections 2 and 3)."""

from __future__ import annotations

import hashlib
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator

from capsule_builder import contents
from capsule_builder.archive.damage import beyond, damaged
from capsule_builder.archive.limits import MAX_ENTRIES
from capsule_builder.contents import Listed
from capsule_builder.errors import CapsuleError
from capsule_builder.links import link_problem
from capsule_builder.paths import PLAIN_PART, path_problem, shown

_MARK, _STAR, _SLASH, _END = b"#*/\n"
_LINK = b"\n# symlink\t"
_PATH = 66  # where in a line for a file its path begins
_PLAIN_FILE = re.compile(f"^[0-9a-f]{{64}} [ *]((?:{PLAIN_PART}/){{0,30}}{PLAIN_PART})\n".encode(), re.MULTILINE)
_MAX_LINE = 9000  # two names of 4,096 bytes, and what is around them


class Listing:
    """The entries of a capsule, in order, held as the text of the listing itself.

    ``id`` is the capsule's (64 hex digits), ``files`` counts files, ``depth`` is the most directories above an entry.

    Raises:
        CapsuleError: it is not a listing as the format has it.
    """

    def __init__(self, data: bytes | bytearray) -> None:
        self.data = data
        self.id = hashlib.sha256(data).hexdigest()
        self.files = 0
        self.depth = 0
        self._view = memoryview(data)
        self._starts = array("I")
        self._count = 0  # of entries, and of directories above them
        self._last = b""
        self._open: list[bytes] = []  # as contents.Nesting has them
        self._read()

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, number: int) -> Listed:
        start, data = self._starts[number], self.data
        if data[start] == _MARK:
            return contents.parse_line(self.line(number))
        path = data[start + _PATH : data.index(b"\n", start)].decode()
        kind: contents.Kind = "executable" if data[start + _PATH - 1] == _STAR else "file"
        return Listed(path, kind, data[start : start + _PATH - 2].decode())

    def __iter__(self) -> Iterator[Listed]:
        return (self[number] for number in range(len(self)))

    def line(self, number: int) -> bytes:
        """The line of one entry, with its line end."""
        start = self._starts[number]
        return bytes(self._view[start : self.data.index(b"\n", start) + 1])

    def links(self) -> Iterator[bytes]:
        """The lines of all links, with their line ends."""
        at = self.data.find(_LINK)
        while at >= 0:
            end = self.data.index(b"\n", at + 1)
            yield bytes(self._view[at + 1 : end + 1])
            at = self.data.find(_LINK, end)

    def path(self, number: int) -> bytes:
        """The path of one entry."""
        return self._path(self._starts[number])

    def place(self, number: int) -> tuple[int, int]:
        """Where the line of one entry begins and ends."""
        start = self._starts[number]
        return start, self.data.index(b"\n", start) + 1

    def file_at(self, number: int, path: bytes) -> tuple[int, int] | None:
        """:meth:`place`, if there is such an entry, and it is a file at ``path``."""
        if number < len(self._starts):
            start, data = self._starts[number], self.data
            at = start + _PATH
            end = at + len(path)
            if data.startswith(path, at) and data[end] == _END and data[start] != _MARK:
                return start, end + 1
        return None

    def find(self, path: bytes, hint: int = 0) -> int:
        """The number of the entry at ``path``, or -1; found at once when it is ``hint``."""
        if hint < len(self) and self._path(self._starts[hint]) == path:
            return hint
        number = self._first_from(path)
        return number if number < len(self) and self._path(self._starts[number]) == path else -1

    def has_below(self, path: bytes) -> bool:
        """Whether there is an entry below ``path``."""
        below = path + b"/"
        number = self._first_from(below)
        return number < len(self) and self._path(self._starts[number]).startswith(below)

    def _first_from(self, path: bytes) -> int:
        return bisect_left(self._starts, path, key=self._path)

    def _path(self, start: int) -> bytes:
        """The path in the line at ``start``."""
        end = self.data.index(b"\n", start)
        if self.data[start] != _MARK:
            return bytes(self._view[start + _PATH : end])
        return bytes(self._view[start:end]).split(b"\t", 2)[1]

    def _read(self) -> None:
        at = len(contents.LISTING_HEADER)
        if not self.data.startswith(contents.LISTING_HEADER):
            raise damaged("listing-header", "Its listing does not begin with '# capsule-contents v1'")
        above, starts = self._open, self._starts
        directory = b""  # that of the last path, with its slash
        for match in _PLAIN_FILE.finditer(self.data, at):
            start, end = match.span()
            path = match[1]
            if start != at:
                self._others(at, start)
                directory = b"/"
            slash = path.rfind(b"/") + 1
            if path[:slash] == directory and path > self._last and self._count < MAX_ENTRIES:
                # Most are in the directory of the one before, and so below nothing else than that was.
                while above and not path.startswith(above[-1]):
                    above.pop()
                above.append(path)
                self._count += 1
                self._last = path
                starts.append(start)
            else:
                self._add(start, path)
                directory = path[:slash]
            self.files += 1
            at = end
        self._others(at, len(self.data))

    def _others(self, at: int, end: int) -> None:
        """The lines from there to there, which are not those of files with plain names."""
        while at < end:
            after = self.data.find(b"\n", at, at + _MAX_LINE) + 1
            if not after:
                raise damaged("listing-line", f"Line {len(self) + 2:,} of its listing has no end, or is too long")
            entry = _entry(bytes(self._view[at:after]), len(self) + 2)
            self._add(at, entry.path.encode())
            self.files += entry.kind in {"file", "executable"}
            at = after

    def _add(self, at: int, path: bytes) -> None:
        """Takes the entry in the line at ``at``, which is in order and below no other."""
        if path <= self._last:
            raise damaged("listing-order", f"Its listing is out of order at {shown(path.decode())}")
        if above := self._parent(path):
            kind = self[self.find(above)].kind
            what = f"{shown(above.decode())} is both {contents.NOUN[kind]} and a directory"
            raise damaged("listing-nesting", f"{what}, with {shown(path.decode())} in it")
        self._count += 1
        if not self._last.startswith(path[: path.rfind(b"/") + 1]):
            self._count += contents.new_directories(path.decode(), self._last.decode())
            self.depth = max(self.depth, path.count(b"/"))
        if self._count > MAX_ENTRIES:
            raise beyond("limit-entries", "Its listing", MAX_ENTRIES, "entries and directories")
        self._starts.append(at)
        self._last = path

    def _parent(self, path: bytes) -> bytes | None:
        """The nearest earlier entry that ``path`` lies below."""
        while self._open and not path.startswith(self._open[-1]):
            self._open.pop()
        found = next((above for above in reversed(self._open) if path[len(above)] == _SLASH), None)
        self._open.append(path)
        return found


def _entry(line: bytes, number: int) -> Listed:
    try:
        entry = contents.parse_line(line)
    except UnicodeDecodeError:
        raise damaged("listing-encoding", f"Line {number:,} of its listing is not UTF-8") from None
    except CapsuleError:
        raise damaged("listing-line", f"Line {number:,} of its listing is none: {line[:100]!a}") from None
    if entry.line() != line:
        raise damaged("listing-line", f"Line {number:,} of its listing is none: {line[:100]!a}")
    problem = path_problem(entry.path)
    if not problem and entry.kind == "symlink":
        problem = link_problem(entry.path, entry.detail)
    if problem:
        raise damaged(problem.code, problem.message)
    return entry
