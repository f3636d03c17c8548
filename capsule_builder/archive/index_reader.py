"""A capsule's index, read strictly and kept small (``docs/format.md``, section 4.5)."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from capsule_builder import contents
from capsule_builder.archive.damage import beyond, damaged
from capsule_builder.archive.gzip_member import HEADER, TRAILER_SIZE
from capsule_builder.archive.limits import MAX_ENTRIES, MAX_MEMBERS
from capsule_builder.archive.listing_reader import Listing
from capsule_builder.archive.members import COPY_SIZE
from capsule_builder.archive.tar import BLOCK, header
from capsule_builder.contents import Listed, Nesting
from capsule_builder.metadata import LayerFacts
from capsule_builder.paths import forbidden, shown

_FIRST_LINE = b"# capsule-index v1"
_NUMBER = rb"(0|[1-9][0-9]{0,17})"
_LAYER = re.compile(rb"# layer\t([^\t\n]+)\t([0-9a-f]{64})\t" + _NUMBER)
_MEMBER = re.compile(rb"# member\t" + _NUMBER + rb"\t" + _NUMBER)
_ENTRY = re.compile(_NUMBER + rb"\t" + _NUMBER + rb"\t([^\t\n]+)")
_MAX_LINE = 4200
_PLAIN_NAME = 99  # bytes: with a directory's slash a name of up to 100 stands in one block


@dataclass(slots=True)
class IndexMember:
    """A member of a fragment: its length in bytes, and that of what it inflates to."""

    size: int
    plain_size: int


@dataclass(slots=True)
class IndexEntry:
    """An entry: where its first header block is in the inflated member, and the length of its content, in bytes.

    ``number`` is that of its line in the listing, -1 when it has none: a directory that is empty in its layer alone.
    """

    offset: int
    size: int
    path: str
    number: int


class IndexLayer:
    """A layer, and its part of the index, kept as numbers: some 20 bytes an entry."""

    def __init__(self, name: str, digest: str, size: int, listing: Listing) -> None:
        self.facts = LayerFacts(name, digest, 0, 0, size)
        self._listing = listing
        self._numbers = array("i")
        self._offsets, self._sizes = array("Q"), array("Q")
        self._unlisted: dict[int, str] = {}
        self._member_sizes, self._plain_sizes, self._begun = array("Q"), array("Q"), array("I")

    def lines(self) -> Iterator[IndexMember | IndexEntry]:
        """The members in order, each before the entries that begin in it."""
        ends = [*self._begun, len(self._numbers)][1:]
        for member, start, end in zip(self.members(), self._begun, ends, strict=True):
            yield member
            yield from self._entries(start, end)

    def members(self) -> Iterator[IndexMember]:
        """The members alone."""
        return map(IndexMember, self._member_sizes, self._plain_sizes)

    def entries(self) -> Iterator[IndexEntry]:
        """The entries alone."""
        return self._entries(0, len(self._numbers))

    def sizes(self) -> Iterator[tuple[int, int]]:
        """Of each entry the number of its line in the listing, -1 when it has none, and the length of its content."""
        return zip(self._numbers, self._sizes, strict=True)

    def has_any(self, numbers: Container[int]) -> bool:
        """Whether one of its entries has one of these numbers."""
        return any(number in numbers for number in self._numbers)

    def text(self) -> Iterator[bytes]:
        """Its lines as they stand in the index."""
        facts = self.facts
        yield f"# layer\t{facts.name}\t{facts.digest}\t{facts.compressed_size}\n".encode()
        for line in self.lines():
            if isinstance(line, IndexMember):
                yield b"# member\t%d\t%d\n" % (line.size, line.plain_size)
            else:
                yield f"{line.offset}\t{line.size}\t{line.path}\n".encode()

    def _entries(self, start: int, end: int) -> Iterator[IndexEntry]:
        for at in range(start, end):
            number = self._numbers[at]
            path = self._listing.path(number).decode() if number >= 0 else self._unlisted[at]
            yield IndexEntry(self._offsets[at], self._sizes[at], path, number)

    def _add_member(self, size: int, plain_size: int) -> None:
        self._member_sizes.append(size)
        self._plain_sizes.append(plain_size)
        self._begun.append(len(self._numbers))

    def _add_entry(self, offset: int, size: int, number: int, path: str) -> None:
        if number < 0:
            self._unlisted[len(self._numbers)] = path
        self._numbers.append(number)
        self._offsets.append(offset)
        self._sizes.append(size)


class _Part:
    """What has been read of one layer."""

    def __init__(self, layer: IndexLayer) -> None:
        self.layer = layer
        self.digest = hashlib.sha256(contents.LISTING_HEADER)
        self.nesting = Nesting()
        self.members = 0  # the lengths of its members
        self.begin = 0  # where in the tar of the layer the present member begins
        self.end = 0  # where it ends
        self.next = 0  # where in the tar the next entry must begin
        self.total = 0
        self.files = 0
        self.last = ""
        self.hint = 0  # the number in the listing that the next entry is likely to have


class Index:
    """The layers of a capsule, as the index has them, found to agree with the listing; ``data`` comes in pieces.

    Raises:
        CapsuleError: it is not an index as the format has it, or not one of this listing.
    """

    def __init__(self, data: Iterable[bytes | bytearray], listing: Listing) -> None:
        self.layers: list[IndexLayer] = []
        self._listing = listing
        self._seen = bytearray(len(listing))
        self._part: _Part | None = None
        self._entries = self._members = 0
        lines = _lines(data)
        if next(lines, b"") != _FIRST_LINE:
            raise damaged("index-header", "Its index does not begin with '# capsule-index v1'")
        for line in lines:
            self._line(line)
        self._close()
        missing = self._seen.find(0)
        if missing >= 0:
            raise damaged("listing-missing", f"Its listing names what is in no layer: {shown(listing[missing].path)}")

    def text(self) -> Iterator[bytes]:
        """The index as it stands in the archive, in pieces."""
        yield _FIRST_LINE + b"\n"
        for layer in self.layers:
            yield from layer.text()

    def _line(self, line: bytes | bytearray) -> None:
        part = self._part
        try:
            if len(line) > _MAX_LINE:
                raise damaged("index-line", f"A line of its index is none: {bytes(line[:100])!a}")
            if match := _ENTRY.fullmatch(line):
                offset, size, path = int(match[1]), int(match[2]), match[3].decode()
                if part is None:
                    raise damaged("index-line", "Its index does not begin with a layer")
                self._entries += 1
                if self._entries > MAX_ENTRIES:
                    raise beyond("limit-entries", "Its layers", MAX_ENTRIES, "entries together")
                self._entry(part, offset, size, path)
                return
            if match := _MEMBER.fullmatch(line):
                if part is None:
                    raise damaged("index-line", "Its index does not begin with a layer")
                self._members += 1
                if self._members > MAX_MEMBERS:
                    raise beyond("limit-members", "Its layers", MAX_MEMBERS, "members together")
                _add_member(part, int(match[1]), int(match[2]))
                return
            if match := _LAYER.fullmatch(line):
                name = match[1].decode()
                if not forbidden(name):
                    self._close()
                    self._part = _Part(IndexLayer(name, match[2].decode(), int(match[3]), self._listing))
                    return
        except UnicodeDecodeError:
            pass
        raise damaged("index-line", f"A line of its index is none: {bytes(line[:100])!a}")

    def _entry(self, part: _Part, offset: int, size: int, path: str) -> None:
        name = path.encode()
        number = self._listing.find(name, part.hint)
        if number >= 0:
            self._seen[number] = 1
            entry = self._listing[number]
            part.hint = number + 1
        elif size == 0 and self._listing.has_below(name):  # empty in its layer, and not in the capsule
            entry = Listed(path, "dir")
        else:
            raise damaged("index-unlisted", f"Its index has what its listing has not: {shown(path)}")
        if path <= part.last:
            name_of_layer = shown(part.layer.facts.name)
            raise damaged("index-order", f"Its layer {name_of_layer} is out of order at {shown(path)}")
        part.digest.update(entry.line())
        if parent := part.nesting.parent(entry):
            what = f"{shown(parent[0].path)}, with {shown(path)} below it"
            raise damaged("index-nesting", f"Its index has an empty directory in a layer that is not: {what}")
        if part.begin + offset != part.next or part.next >= part.end:
            raise damaged("index-offset", f"Its index has a wrong place for {shown(path)}")
        is_file = entry.kind in {"file", "executable"}
        if size and not is_file:
            raise damaged("index-size", f"Its index has a size for what is no file: {shown(path)}")
        part.layer._add_entry(offset, size, number, path)
        part.last = path
        part.next += header_size(entry, size) + size + -size % BLOCK
        part.files += is_file
        part.total += size

    def _close(self) -> None:
        part = self._part
        if part is None:
            return
        facts = part.layer.facts
        if part.members != facts.compressed_size:
            raise damaged(
                "index-fragment", f"The members and the fragment of its layer {shown(facts.name)} differ in length"
            )
        if part.next != part.end:
            raise damaged("index-offset", f"Its layer {shown(facts.name)} does not end where its last entry does")
        if part.digest.hexdigest() != facts.digest:
            raise damaged("index-digest", f"Its layer {shown(facts.name)} has another digest than its entries")
        part.layer.facts = facts._replace(files=part.files, total_size=part.total)
        self.layers.append(part.layer)


def _add_member(part: _Part, size: int, plain_size: int) -> None:
    # Nothing inflates to nothing but a stream that was copied, and those are long.
    least = len(HEADER) + TRAILER_SIZE + (2 if plain_size else COPY_SIZE)
    if size < least or (part.end == 0 and not plain_size):
        raise damaged("index-member", f"Its layer {shown(part.layer.facts.name)} has a member that nothing makes")
    part.layer._add_member(size, plain_size)
    part.members += size
    part.begin, part.end = part.end, part.end + plain_size


def header_size(entry: Listed, size: int) -> int:
    """The length of an entry's tar header, with its pax header if it has one."""
    if entry.kind != "symlink" and len(entry.path) < _PLAIN_NAME and entry.path.isascii() and size < 1 << 32:
        return BLOCK
    return len(header(entry.path, entry.kind, size, entry.detail if entry.kind == "symlink" else ""))


def _lines(data: Iterable[bytes | bytearray]) -> Iterator[bytes | bytearray]:
    """The lines of the index, without their ends."""
    rest: bytes | bytearray = b""
    for piece in data:
        lines = (rest + piece if rest else piece).split(b"\n")
        rest = lines.pop()
        if len(rest) > _MAX_LINE:
            break
        yield from lines
    if rest:
        raise damaged("index-line", f"A line of its index is none: {bytes(rest[:100])!a}")
