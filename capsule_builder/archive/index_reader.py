"""A capsule's index, read strictly and kept small (``docs/format.md``, section 4.5)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from capsule_builder import contents
from capsule_builder.archive.damage import damaged
from capsule_builder.archive.gzip_member import HEADER, TRAILER_SIZE
from capsule_builder.archive.listing_reader import Listing
from capsule_builder.archive.members import COPY_SIZE
from capsule_builder.archive.tar import BLOCK, header
from capsule_builder.contents import Listed, Nesting
from capsule_builder.metadata import LayerFacts
from capsule_builder.paths import forbidden, shown

MAX_INDEX = 48 << 20
"""The longest index that is read, in bytes."""

_FIRST_LINE = b"# capsule-index v1\n"
_NUMBER = rb"(0|[1-9][0-9]{0,17})"
_LAYER = re.compile(rb"# layer\t([^\t\n]+)\t([0-9a-f]{64})\t" + _NUMBER + rb"\n")
_MEMBER = re.compile(rb"# member\t" + _NUMBER + rb"\t" + _NUMBER + rb"\n")
_ENTRY = re.compile(_NUMBER + rb"\t" + _NUMBER + rb"\t([^\t\n]+)\n")
_MAX_LINE = 4200
_PLAIN_NAME = 99  # bytes: with a directory's slash a name of up to 100 stands in one block


@dataclass(frozen=True, slots=True)
class IndexMember:
    """A member of a fragment: its length in bytes, and that of what it inflates to."""

    size: int
    plain_size: int


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """An entry: where its first header block is in the inflated member, and the length of its content, in bytes."""

    offset: int
    size: int
    path: str


@dataclass(frozen=True, slots=True)
class IndexLayer:
    """A layer, and its part of the index, which is read anew each time."""

    facts: LayerFacts
    _data: bytes | bytearray
    _start: int
    _end: int

    def lines(self) -> Iterator[IndexMember | IndexEntry]:
        """The members in order, each before the entries that begin in it."""
        return (parsed for _, parsed in _lines(self._data, self._start, self._end))

    def members(self) -> Iterator[IndexMember]:
        """The members alone."""
        return (line for line in self.lines() if isinstance(line, IndexMember))

    def entries(self) -> Iterator[IndexEntry]:
        """The entries alone."""
        return (line for line in self.lines() if isinstance(line, IndexEntry))


@dataclass(slots=True)
class _Part:
    """What has been read of one layer."""

    name: str
    digest: str
    size: int
    start: int
    members: int = 0  # the lengths of its members
    begin: int = 0  # where in the tar of the layer the present member begins
    end: int = 0  # where it ends
    next: int = 0  # where in the tar the next entry must begin
    total: int = 0
    files: int = 0
    last: str = ""


class Index:
    """The layers of a capsule, as the index has them, found to agree with the listing.

    Raises:
        CapsuleError: it is not an index as the format has it, or not one of this listing.
    """

    def __init__(self, data: bytes | bytearray, listing: Listing) -> None:
        self.data = data
        self.layers: list[IndexLayer] = []
        if not data.startswith(_FIRST_LINE):
            raise damaged("index-header", "Its index does not begin with '# capsule-index v1'")
        self._listing = listing
        self._seen = bytearray(len(listing))
        part: _Part | None = None
        nesting, digest, hint = Nesting(), hashlib.sha256(), 0
        at = len(_FIRST_LINE)
        while at < len(data):
            end, line = _parse(data, at)
            if isinstance(line, _Part):
                self._close(part, digest.hexdigest(), at)
                part, nesting, digest, hint = line, Nesting(), hashlib.sha256(contents.LISTING_HEADER), 0
                part.start = end
            elif part is None:
                raise damaged("index-line", "Its index does not begin with a layer")
            elif isinstance(line, IndexMember):
                _add_member(part, line)
            else:
                entry, hint = self._listed(line, hint)
                if entry.path <= part.last:
                    raise damaged("index-order", f"Its layer {shown(part.name)} is out of order at {shown(entry.path)}")
                digest.update(entry.line())
                if parent := nesting.parent(entry):
                    what = f"{shown(parent[0].path)}, with {shown(entry.path)} below it"
                    raise damaged("index-nesting", f"Its index has an empty directory in a layer that is not: {what}")
                _add_entry(part, line, entry)
            at = end
        self._close(part, digest.hexdigest(), at)
        missing = self._seen.find(0)
        if missing >= 0:
            raise damaged("listing-missing", f"Its listing names what is in no layer: {shown(listing[missing].path)}")

    def _listed(self, line: IndexEntry, hint: int) -> tuple[Listed, int]:
        """What the listing says of an entry, and where the next one is likely to be."""
        path = line.path.encode()
        number = self._listing.find(path, hint)
        if number >= 0:
            self._seen[number] = 1
            return self._listing[number], number + 1
        if line.size == 0 and self._listing.has_below(path):  # empty in its layer, and not in the capsule
            return Listed(line.path, "dir"), hint
        raise damaged("index-unlisted", f"Its index has what its listing has not: {shown(line.path)}")

    def _close(self, part: _Part | None, digest: str, at: int) -> None:
        if part is None:
            return
        if part.members != part.size:
            raise damaged(
                "index-fragment", f"The members and the fragment of its layer {shown(part.name)} differ in length"
            )
        if part.next != part.end:
            raise damaged("index-offset", f"Its layer {shown(part.name)} does not end where its last entry does")
        if part.digest != digest:
            raise damaged("index-digest", f"Its layer {shown(part.name)} has another digest than its entries")
        facts = LayerFacts(part.name, digest, part.files, part.total, part.size)
        self.layers.append(IndexLayer(facts, self.data, part.start, at))


def _add_member(part: _Part, member: IndexMember) -> None:
    # Nothing inflates to nothing but a stream that was copied, and those are long.
    least = len(HEADER) + TRAILER_SIZE + (2 if member.plain_size else COPY_SIZE)
    if member.size < least or (part.end == 0 and not member.plain_size):
        raise damaged("index-member", f"Its layer {shown(part.name)} has a member that nothing makes")
    part.members += member.size
    part.begin, part.end = part.end, part.end + member.plain_size


def _add_entry(part: _Part, line: IndexEntry, entry: Listed) -> None:
    if part.begin + line.offset != part.next or part.next >= part.end:
        raise damaged("index-offset", f"Its index has a wrong place for {shown(entry.path)}")
    is_file = entry.kind in {"file", "executable"}
    if line.size and not is_file:
        raise damaged("index-size", f"Its index has a size for what is no file: {shown(entry.path)}")
    part.last = entry.path
    part.next += header_size(entry, line.size) + line.size + -line.size % BLOCK
    part.files += is_file
    part.total += line.size


def header_size(entry: Listed, size: int) -> int:
    """The length of an entry's tar header, with its pax header if it has one."""
    if entry.kind != "symlink" and len(entry.path) < _PLAIN_NAME and entry.path.isascii() and size < 1 << 32:
        return BLOCK
    return len(header(entry.path, entry.kind, size, entry.detail if entry.kind == "symlink" else ""))


def _parse(data: bytes | bytearray, at: int) -> tuple[int, _Part | IndexMember | IndexEntry]:
    """The line at ``at``, and where the next one begins."""
    end = data.find(b"\n", at, at + _MAX_LINE) + 1
    line = bytes(data[at:end]) if end else bytes(data[at : at + 100])
    try:
        if match := _ENTRY.fullmatch(line):
            return end, IndexEntry(int(match[1]), int(match[2]), match[3].decode())
        if match := _MEMBER.fullmatch(line):
            return end, IndexMember(int(match[1]), int(match[2]))
        if match := _LAYER.fullmatch(line):
            name = match[1].decode()
            if not forbidden(name):
                return end, _Part(name, match[2].decode(), int(match[3]), end)
    except UnicodeDecodeError:
        pass
    raise damaged("index-line", f"A line of its index is none: {line[:100]!a}")


def _lines(data: bytes | bytearray, at: int, end: int) -> Iterator[tuple[int, IndexMember | IndexEntry]]:
    while at < end:
        at, line = _parse(data, at)
        if not isinstance(line, _Part):
            yield at, line
