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
from capsule_builder.paths import MAX_PATH_BYTES, PLAIN, path_problem, shown

_MARK = ord("#")
_PLAIN_FILE = re.compile(rb"([0-9a-f]{64}) ([ *])(" + PLAIN.pattern.encode() + rb")\n")
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
        self._read()

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, number: int) -> Listed:
        return contents.parse_line(self.line(number))

    def __iter__(self) -> Iterator[Listed]:
        return (self[number] for number in range(len(self)))

    def line(self, number: int) -> bytes:
        """The line of one entry, with its line end."""
        start = self._starts[number]
        return bytes(self._view[start : self.data.index(b"\n", start) + 1])

    def path(self, number: int) -> bytes:
        """The path of one entry."""
        return self._path(self._starts[number])

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
            return bytes(self._view[start + 66 : end])
        return bytes(self._view[start:end]).split(b"\t", 2)[1]

    def _read(self) -> None:
        data, at, count = self.data, len(contents.LISTING_HEADER), 0
        if not data.startswith(contents.LISTING_HEADER):
            raise damaged("listing-header", "Its listing does not begin with '# capsule-contents v1'")
        nesting, last = contents.Nesting(), ""
        while at < len(data):
            end = data.find(b"\n", at, at + _MAX_LINE) + 1
            if not end:
                raise damaged("listing-line", f"Line {len(self) + 2:,} of its listing has no end, or is too long")
            entry = _entry(bytes(self._view[at:end]), len(self) + 2)
            if entry.path <= last:
                raise damaged("listing-order", f"Its listing is out of order at {shown(entry.path)}")
            if parent := nesting.parent(entry):
                what = f"{shown(parent[0].path)} is both {contents.NOUN[parent[0].kind]} and a directory"
                raise damaged("listing-nesting", f"{what}, with {shown(entry.path)} in it")
            count += 1 + contents.new_directories(entry.path, last)
            if count > MAX_ENTRIES:
                raise beyond("limit-entries", "Its listing", MAX_ENTRIES, "entries and directories")
            self.files += entry.kind in {"file", "executable"}
            self.depth = max(self.depth, entry.path.count("/"))
            self._starts.append(at)
            last, at = entry.path, end


def _entry(line: bytes, number: int) -> Listed:
    try:
        if len(line) <= MAX_PATH_BYTES and (match := _PLAIN_FILE.fullmatch(line)):
            return Listed(match[3].decode(), "executable" if match[2] == b"*" else "file", match[1].decode())
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
