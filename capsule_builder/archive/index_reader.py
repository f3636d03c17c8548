"""A capsule's index, read strictly and kept small (``docs/format.md``, section 4.5)."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import starmap
from typing import NamedTuple

from capsule_builder import contents
from capsule_builder.archive.damage import beyond, damaged
from capsule_builder.archive.gzip_member import HEADER, TRAILER_SIZE
from capsule_builder.archive.limits import MAX_ENTRIES, MAX_MEMBERS
from capsule_builder.archive.listing_reader import Listing
from capsule_builder.archive.members import COPY_SIZE
from capsule_builder.archive.tar import BLOCK, PLAIN_NAME, header_size
from capsule_builder.contents import Listed
from capsule_builder.metadata import LayerFacts
from capsule_builder.paths import forbidden, shown

_FIRST_LINE = b"# capsule-index v1\n"
_NUMBER = rb"(0|[1-9][0-9]{0,17})"
_LAYER = re.compile(rb"# layer\t([^\t\n]+)\t([0-9a-f]{64})\t" + _NUMBER)
_MEMBER = re.compile(rb"# member\t" + _NUMBER + rb"\t" + _NUMBER)
_ENTRY = re.compile(_NUMBER + rb"\t" + _NUMBER + rb"\t([^\t\n]+)")
_MOST = re.compile(
    rb"^(?:" + _MEMBER.pattern + rb"|" + _NUMBER + rb"\t" + _NUMBER + rb"\t([^\t\n]{1,4096}))\n", re.MULTILINE
)
_MAX_LINE = 4200
_SLASH = ord("/")
_PLAIN_SIZE = 10  # digits: a header has room for more
_LEAST = len(HEADER) + 2 + TRAILER_SIZE  # bytes of a member; of one that inflates to nothing:
_LEAST_EMPTY = len(HEADER) + COPY_SIZE + TRAILER_SIZE


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


class Run(NamedTuple):
    """Members of a layer that hold whole entries: the numbers of the first ones, and of those after the last.

    ``size`` is that of the members, in bytes; ``weight`` what the largest of them takes when it is inflated.
    """

    members: tuple[int, int]
    entries: tuple[int, int]
    size: int
    weight: int


class IndexLayer:
    """A layer, and its part of the index, kept as numbers: some 20 bytes an entry."""

    def __init__(self, name: str, digest: str, size: int, listing: Listing) -> None:
        self.facts = LayerFacts(name, digest, 0, 0, size)
        self._listing = listing
        self._numbers = array("i")
        self._offsets, self._sizes = array("Q"), array("Q")
        self._unlisted, self._unlisted_ends = (
            bytearray(),
            array("I"),
        )  # paths; their entries have -1, -2, … for a number
        self._member_sizes, self._plain_sizes, self._begun = array("Q"), array("Q"), array("I")

    def lines(self) -> Iterator[IndexMember | IndexEntry]:
        """The members in order, each before the entries that begin in it."""
        ends = [*self._begun, len(self._numbers)][1:]
        for member, start, end in zip(self.members(), self._begun, ends, strict=True):
            yield member
            yield from self._entries(start, end)

    def members(self, run: Run | None = None) -> Iterator[IndexMember]:
        """The members alone, or those of a run."""
        return starmap(IndexMember, self.sizes(run or self.all))

    def sizes(self, run: Run) -> Iterator[tuple[int, int]]:
        """The length of each member of a run, and of what it inflates to."""
        part = slice(*run.members)
        return zip(self._member_sizes[part], self._plain_sizes[part], strict=True)

    def entries(self) -> Iterator[IndexEntry]:
        """The entries alone."""
        return self._entries(0, len(self._numbers))

    def listed(self, run: Run) -> Iterator[tuple[Listed, int]]:
        """The entries of a run as the listing has them, each with the length of its content."""
        for at in range(*run.entries):
            number = self._numbers[at]
            yield self._listing[number] if number >= 0 else Listed(self._path(number), "dir"), self._sizes[at]

    @property
    def all(self) -> Run:
        """All of it."""
        return Run((0, len(self._begun)), (0, len(self._numbers)), self.facts.compressed_size, 0)

    @property
    def weight(self) -> int:
        """The bytes that it takes in memory, about."""
        return len(self._numbers) * 20 + len(self._begun) * 20 + len(self._unlisted) + len(self._unlisted_ends) * 4

    def runs(self, most: int) -> Iterator[Run]:
        """All of it, in runs that have at most that weight in all; only an entry that has more makes a heavier one."""
        begun, offsets = self._begun, self._offsets
        first = last = 0  # members: those of the run, and
        size = total = heaviest = 0
        entry_size = entry_total = entry_heaviest = 0  # of what has come after them, up to the next border
        for at, (member_size, plain_size) in enumerate(zip(self._member_sizes, self._plain_sizes, strict=True)):
            entry = begun[at]
            if at > last and entry < self._entry_after(at) and not offsets[entry]:
                if total and total + entry_total > most:
                    yield self._run_of(first, last, size, heaviest)
                    first, size, total, heaviest = last, 0, 0, 0
                last = at
                size, total, heaviest = size + entry_size, total + entry_total, max(heaviest, entry_heaviest)
                entry_size = entry_total = entry_heaviest = 0
            weight = member_size + plain_size
            if entry < self._entry_after(at):
                weight += plain_size // 2  # what lies beside a header, or beside another entry, is copied in part
            entry_size += member_size
            entry_total += weight
            entry_heaviest = max(entry_heaviest, weight)
        if total and total + entry_total > most:
            yield self._run_of(first, last, size, heaviest)
            first, size, heaviest = last, 0, 0
        if len(begun):
            yield self._run_of(first, len(begun), size + entry_size, max(heaviest, entry_heaviest))

    def _run_of(self, first: int, last: int, size: int, weight: int) -> Run:
        return Run((first, last), (self._begun[first], self._entry_after(last - 1)), size, weight)

    def _entry_after(self, member: int) -> int:
        """The number of the entry after those that begin in a member."""
        return self._begun[member + 1] if member + 1 < len(self._begun) else len(self._numbers)

    def numbered_sizes(self) -> Iterator[tuple[int, int]]:
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
            yield IndexEntry(self._offsets[at], self._sizes[at], self._path(number), max(number, -1))

    def _path(self, number: int) -> str:
        if number >= 0:
            return self._listing.path(number).decode()
        start = self._unlisted_ends[-2 - number] if number < -1 else 0
        return self._unlisted[start : self._unlisted_ends[-1 - number]].decode()

    def _add_member(self, size: int, plain_size: int) -> None:
        self._member_sizes.append(size)
        self._plain_sizes.append(plain_size)
        self._begun.append(len(self._numbers))

    def _add_unlisted(self, path: bytes) -> int:
        """Keeps a path that is in no listing; gives the number that stands for it."""
        self._unlisted += path
        self._unlisted_ends.append(len(self._unlisted))
        return -len(self._unlisted_ends)

    def _add_entry(self, offset: int, size: int, number: int) -> None:
        self._numbers.append(number)
        self._offsets.append(offset)
        self._sizes.append(size)


class _Part:
    """What has been read of one layer."""

    def __init__(self, layer: IndexLayer, lines: bytes | bytearray) -> None:
        self.layer = layer
        self.members = 0  # the lengths of its members
        self.begin = 0  # where in the tar of the layer the present member begins
        self.end = 0  # where it ends
        self.next = 0  # where in the tar the next entry must begin
        self.total = 0
        self.files = 0
        self.last = b""
        self.hint = 0  # the number in the listing that the next entry is likely to have
        self.unlisted: list[bytes] = []  # what is above, as contents.Nesting has it, but only what is in no listing
        self._digest = hashlib.sha256(contents.LISTING_HEADER)
        self._lines = memoryview(lines)  # of the listing
        self._start = self._end = 0  # lines of it that are not in the digest yet

    def parent(self, name: bytes) -> bytes | None:
        """The nearest entry above that is in no listing: no other has anything below it."""
        while self.unlisted and not name.startswith(self.unlisted[-1]):
            self.unlisted.pop()
        return next((above for above in reversed(self.unlisted) if name[len(above)] == _SLASH), None)

    def add_line(self, place: tuple[int, int]) -> None:
        """Adds a line of the listing to the digest of the layer; lines that stand together go in at once."""
        start, end = place
        if start != self._end:
            self._digest.update(self._lines[self._start : self._end])
            self._start = start
        self._end = end

    def add_unlisted(self, line: bytes) -> None:
        """Adds a line that is not in the listing."""
        self._digest.update(self._lines[self._start : self._end])
        self._start = self._end = 0
        self._digest.update(line)

    def digest(self) -> str:
        """The digest of the layer, in 64 hex digits."""
        self.add_unlisted(b"")
        return self._digest.hexdigest()


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
        first = True
        for block in _blocks(data):
            if first and not block.startswith(_FIRST_LINE):
                break
            self._block(block, len(_FIRST_LINE) if first else 0)
            first = False
        if first:
            raise damaged("index-header", "Its index does not begin with '# capsule-index v1'")
        self._close()
        missing = self._seen.find(0)
        if missing >= 0:
            raise damaged("listing-missing", f"Its listing names what is in no layer: {shown(listing[missing].path)}")

    def text(self) -> Iterator[bytes]:
        """The index as it stands in the archive, in pieces."""
        yield _FIRST_LINE
        for layer in self.layers:
            yield from layer.text()

    def _block(self, block: bytes | bytearray, at: int) -> None:
        """Takes whole lines, from ``at`` on."""
        seen, file_at = self._seen, self._listing.file_at
        for match in _MOST.finditer(block, at):
            start, end = match.span()
            if start != at:
                self._others(block, at, start)
            at = end
            part = self._part
            member_size, plain_size, offset, size, name = match.groups()
            if part is None:
                self._line(block[start : end - 1])
            elif name is None:
                self._member(part, int(member_size), int(plain_size))
            elif (
                (place := file_at(part.hint, name))
                and not part.unlisted
                and name > part.last
                and part.begin + int(offset) == part.next < part.end
                and len(name) < PLAIN_NAME
                and len(size) < _PLAIN_SIZE
                and name.isascii()
                and self._entries < MAX_ENTRIES
            ):  # what _entry finds of most of them
                length = int(size)
                self._entries += 1
                seen[part.hint] = 1
                part.add_line(place)
                part.layer._add_entry(int(offset), length, part.hint)
                part.hint += 1
                part.last = name
                part.next += BLOCK + length + -length % BLOCK
                part.files += 1
                part.total += length
            else:
                self._line(block[start : end - 1])
        self._others(block, at, len(block))

    def _others(self, block: bytes | bytearray, at: int, end: int) -> None:
        """The lines from there to there, one by one."""
        while at < end:
            after = block.index(b"\n", at)
            self._line(block[at:after])
            at = after + 1

    def _line(self, line: bytes | bytearray) -> None:
        """Any line, without its end."""
        part = self._part
        try:
            if len(line) > _MAX_LINE:
                raise damaged("index-line", f"A line of its index is none: {bytes(line[:100])!a}")
            if match := _ENTRY.fullmatch(line):
                offset, size, path = int(match[1]), int(match[2]), match[3].decode()
                if part is None:
                    raise damaged("index-line", "Its index does not begin with a layer")
                self._entry(part, offset, size, path)
                return
            if match := _MEMBER.fullmatch(line):
                if part is None:
                    raise damaged("index-line", "Its index does not begin with a layer")
                self._member(part, int(match[1]), int(match[2]))
                return
            if match := _LAYER.fullmatch(line):
                name = match[1].decode()
                if not forbidden(name):
                    self._close()
                    self._part = _Part(
                        IndexLayer(name, match[2].decode(), int(match[3]), self._listing), self._listing.data
                    )
                    return
        except UnicodeDecodeError:
            pass
        raise damaged("index-line", f"A line of its index is none: {bytes(line[:100])!a}")

    def _member(self, part: _Part, size: int, plain_size: int) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise beyond("limit-members", "Its layers", MAX_MEMBERS, "members together")
        # Nothing inflates to nothing but a stream that was copied, and those are long.
        if size < (_LEAST if plain_size else _LEAST_EMPTY) or (part.end == 0 and not plain_size):
            raise damaged("index-member", f"Its layer {shown(part.layer.facts.name)} has a member that nothing makes")
        part.layer._add_member(size, plain_size)
        part.members += size
        part.begin, part.end = part.end, part.end + plain_size

    def _entry(self, part: _Part, offset: int, size: int, path: str) -> None:
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise beyond("limit-entries", "Its layers", MAX_ENTRIES, "entries together")
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
        if name <= part.last:
            name_of_layer = shown(part.layer.facts.name)
            raise damaged("index-order", f"Its layer {name_of_layer} is out of order at {shown(path)}")
        if parent := part.parent(name):
            what = f"{shown(parent.decode())}, with {shown(path)} below it"
            raise damaged("index-nesting", f"Its index has an empty directory in a layer that is not: {what}")
        if part.begin + offset != part.next or part.next >= part.end:
            raise damaged("index-offset", f"Its index has a wrong place for {shown(path)}")
        is_file = entry.kind in {"file", "executable"}
        if size and not is_file:
            raise damaged("index-size", f"Its index has a size for what is no file: {shown(path)}")
        if number >= 0:
            part.add_line(self._listing.place(number))
        else:
            part.add_unlisted(entry.line())
            part.unlisted.append(name)
            number = part.layer._add_unlisted(name)
        part.layer._add_entry(offset, size, number)
        part.last = name
        part.next += header_size(entry.path, entry.kind, size, entry.detail) + size + -size % BLOCK
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
        if part.digest() != facts.digest:
            raise damaged("index-digest", f"Its layer {shown(facts.name)} has another digest than its entries")
        part.layer.facts = facts._replace(files=part.files, total_size=part.total)
        self.layers.append(part.layer)


def _blocks(data: Iterable[bytes | bytearray]) -> Iterator[bytes | bytearray]:
    """The lines of the index, some at once."""
    rest: bytes | bytearray = b""
    for piece in data:
        block = rest + piece if rest else piece
        end = block.rfind(b"\n") + 1
        block, rest = block[:end], block[end:]
        if len(rest) > _MAX_LINE:
            break
        if block:
            yield block
    if rest:
        raise damaged("index-line", f"A line of its index is none: {bytes(rest[:100])!a}")
