"""The strict reader: takes what ``docs/format.md`` says, and nothing else. It trusts nothing that it reads.

Memory stays below 256 MiB whatever comes, time is linear in the archive and in what it inflates to.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from capsule_builder.archive.checking import Checking
from capsule_builder.archive.damage import beyond, damaged, named
from capsule_builder.archive.entry_reader import FILES, EntryReader
from capsule_builder.archive.gzip_reader import Source, read_member
from capsule_builder.archive.index_reader import Index, IndexEntry, IndexLayer
from capsule_builder.archive.inflating import Inflating
from capsule_builder.archive.limits import MAX_INDEX, MAX_LISTING, MAX_METADATA
from capsule_builder.archive.link_reader import Walker
from capsule_builder.archive.listing_reader import Listing
from capsule_builder.archive.members import BLOCK_SIZE, TAIL
from capsule_builder.archive.metadata_reader import check_claims, read_metadata
from capsule_builder.archive.tar import BLOCK, header, padding
from capsule_builder.archive.tar_reader import Tar
from capsule_builder.contents import Kind, Listed
from capsule_builder.errors import refusal
from capsule_builder.paths import CONTENTS_NAME, INDEX_NAME, MANIFEST_NAME, METADATA_NAME, shown

if TYPE_CHECKING:
    from capsule_builder.manifest import Manifest

MAX_PATTERNS = 32 << 10
"""The most characters of patterns under ``executables``, all together."""

MAX_MATCHING = 100_000_000_000
"""The most work that matching may be: these characters, times the lengths of all paths and of what is above them."""

_FIRST_LAYER = "app"
_OCTAL_SIZE = re.compile(rb"[0-7]{11}\0")


@dataclass
class ReadEntry:
    """An entry as it comes out of the archive.

    ``size`` is a file's length in bytes, ``target`` a link's; ``layer`` names the layer. ``first`` is False when the
    same entry has come before, in another layer. :meth:`chunks` is to be gone through before the next entry is asked
    for; what is left of it is then checked, and lost.
    """

    path: str
    kind: Kind
    size: int
    layer: str
    target: str
    first: bool
    _content: Iterator[bytes | bytearray] = field(repr=False)

    def chunks(self) -> Iterator[bytes | bytearray]:
        """The content of a file, in pieces; only at their end is it known to be the listed one.

        Raises:
            CapsuleError: it is damaged, or not what the listing says.
        """
        return self._content


class CapsuleReader:
    """Reads one capsule, once, from its beginning to its end.

    ``file`` stands at the archive's first byte; ``label`` names it in messages; ``watch`` is told of every byte that is
    read, and ``listed`` of metadata and listing, before it is known whether the index agrees with them. Content that
    nobody asks for is checked over ``jobs`` processes. When it has been made, the head has been read: ``metadata``,
    ``listing`` and ``index`` agree with each other, and the rest has yet to bear them out (:meth:`entries`,
    :meth:`finish`).

    Raises:
        CapsuleError: it is no capsule, or a damaged one.
        OSError: the file cannot be read.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        label: str,
        watch: Callable[[bytes | memoryview], object] | None = None,
        listed: Callable[[bytes, Listing], object] | None = None,
        jobs: int = 1,
    ) -> None:
        self._label = label
        self._jobs = jobs
        self._source = Source(file, watch)
        self._manifest: Manifest | None = None
        self._chosen = EntryReader(label)
        self._ahead: Inflating | None = None
        self._entries: Iterator[ReadEntry] | None = None
        with named(label):
            self.metadata_bytes = bytes(self._head_file(METADATA_NAME, "metadata", MAX_METADATA, "limit-metadata"))
            self.metadata: dict[str, Any] = read_metadata(self.metadata_bytes)
            self.listing = Listing(self._head_file(CONTENTS_NAME, "listing", MAX_LISTING, "limit-listing"))
            if listed:
                listed(self.metadata_bytes, self.listing)
            self.index = Index(self._head_pieces(INDEX_NAME, "index", MAX_INDEX, "limit-index"), self.listing)
            facts = [layer.facts for layer in self.index.layers]
            check_claims(self.metadata, self.listing.id, self.listing.files, facts)
            self._check_manifest_is_listed()
            self._walker = Walker(self.listing)
            self._walker.check_links()

    @property
    def id(self) -> str:
        """The capsule's ID: the SHA-256 of its listing, in 64 hex digits."""
        return self.listing.id

    def entries(self) -> Iterator[ReadEntry]:
        """The entries in the order of the archive, layer after layer; to be asked for once.

        Raises:
            CapsuleError: an entry is damaged, or not what the listing says.
            OSError: the file cannot be read.
        """
        if self._entries is None:
            self._entries = self._read_entries()
        return self._entries

    def finish(self) -> Manifest:
        """Reads what has not been read, to the last byte; gives the manifest.

        Raises:
            CapsuleError: there is something wrong with the rest, or the manifest does not fit the content.
            OSError: the file cannot be read.
        """
        if self._entries is None:
            checking = Checking(self._source, self.index, self.listing, self._label)
            checking.check(self._jobs)
            self._manifest = checking.manifest
        else:
            for _ in self._entries:
                pass
        with named(self._label):
            if self._source.take(len(TAIL)) != TAIL:
                raise damaged("archive-tail", "It does not end as every capsule does")
            if self._source.some(1):
                raise damaged("archive-trailing", "Something follows the end of the capsule")
            return self.check_manifest()

    def check_manifest(self) -> Manifest:
        """The manifest, which has been read, found to fit the content.

        Raises:
            CapsuleError: it does not.
        """
        self._manifest = self._manifest or self._chosen.manifest
        if self._manifest is None:
            raise damaged("manifest-missing", f"It has no manifest, {MANIFEST_NAME}")
        self._check_manifest(self._manifest)
        return self._manifest

    @property
    def position(self) -> int:
        """The offset of the next byte that is to be read: that of the first layer, as long as no entry has been."""
        return self._source.position

    def entry(self, tar: Tar, layer: IndexLayer, line: IndexEntry, listed: Listed) -> ReadEntry:
        """One entry out of a tar that stands at its header: for whoever reads some of them alone.

        Raises:
            CapsuleError: the header is not the one that the listing and the index call for.
        """
        return _entry(self._chosen, tar, layer, line, listed, first=True)

    def close(self) -> None:
        """Gives up what has not been read. The file stays open."""
        if self._ahead:
            self._ahead.close()

    def __enter__(self) -> CapsuleReader:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _head_file(self, name: str, what: str, limit: int, code: str) -> bytearray:
        """One of the three files of the head, at once."""
        data = bytearray()
        for piece in self._head_pieces(name, what, limit, code):
            data += piece
        return data

    def _head_pieces(self, name: str, what: str, limit: int, code: str) -> Iterator[bytearray]:
        """One of the three files of the head, in members of its own, which have no index."""
        tar = bytearray().join(read_member(self._source, None, BLOCK_SIZE))
        size_field = bytes(tar[124:136])
        size = int(size_field[:11], 8) if _OCTAL_SIZE.fullmatch(size_field) else 0
        expected = header(name, "file", size)
        Tar([bytes(tar[:BLOCK])]).header(expected, name)
        if size > limit:
            raise beyond(code, f"Its {what}", limit, "bytes")
        fill = padding(size)
        left = BLOCK + size + len(fill)  # of the tar, from where the present member begins
        content = size
        member, start = tar, BLOCK
        while True:
            if len(member) > left or (len(member) < left and len(member) % BLOCK_SIZE) or not member:
                raise damaged("head-members", f"The members of its {what} end elsewhere than they should")
            left -= len(member)
            piece = member[start : start + content]
            rest = member[start + len(piece) :]
            if rest.strip(b"\0"):
                raise damaged("tar-padding", f"After the content of {name} there are bytes that belong to nothing")
            content -= len(piece)
            if piece:
                yield piece
            if not left:
                return
            member, start = bytearray().join(read_member(self._source, None, BLOCK_SIZE)), 0

    def _check_manifest_is_listed(self) -> None:
        number = self.listing.find(MANIFEST_NAME.encode())
        if number < 0:
            raise damaged("manifest-missing", f"It has no manifest, {MANIFEST_NAME}")
        if self.listing[number].kind not in FILES:
            raise damaged("manifest-special", f"Its manifest is no file: {MANIFEST_NAME}")
        first = self.index.layers[0]
        if first.facts.name != _FIRST_LAYER or all(entry.path != MANIFEST_NAME for entry in first.entries()):
            raise damaged("index-first", f"Its first layer is not '{_FIRST_LAYER}', with {MANIFEST_NAME} in it")

    def _read_entries(self) -> Iterator[ReadEntry]:
        seen = bytearray(len(self.listing))
        self._ahead = Inflating(self._source, (member for layer in self.index.layers for member in layer.members()))
        tar, reader = Tar(self._ahead), EntryReader(self._label)
        for layer in self.index.layers:
            for line in layer.entries():
                listed, first = Listed(line.path, "dir"), True
                if line.number >= 0:
                    listed, first = self.listing[line.number], not seen[line.number]
                    seen[line.number] = 1
                entry = _entry(reader, tar, layer, line, listed, first=first)
                yield entry
                for _ in entry.chunks():
                    pass
        with named(self._label):
            if tar.some(1):
                raise damaged("tar-trailing", "Its members hold more than its index says")
        self._manifest = reader.manifest

    def _check_manifest(self, manifest: Manifest) -> None:
        said = {key: self.metadata[key] for key in ("name", "version", "entrypoint")}
        if said != {key: getattr(manifest, key) for key in said}:
            raise damaged("metadata-manifest", "Its metadata and its manifest name different capsules")
        services = [service.entrypoint for service in manifest.services if service.entrypoint]
        for path in dict.fromkeys([manifest.entrypoint, *services]):
            if not self._walker.file(path):
                raise damaged("entrypoint-missing", f"Entrypoint not found: {shown(path)}")
        if not manifest.executables:
            return
        length = sum(map(len, manifest.executables))
        if length > MAX_PATTERNS:
            raise beyond("limit-patterns", "Its patterns of executables", MAX_PATTERNS, "characters")
        from capsule_builder.patterns import Patterns  # few name any

        patterns, work = Patterns(manifest.executables), 0
        for listed in self.listing:
            if listed.kind != "file":
                continue
            work += length * len(listed.path) * (listed.path.count("/") + 1)
            if work > MAX_MATCHING:
                raise beyond("limit-patterns", "Its patterns of executables", MAX_MATCHING, "comparisons")
            if patterns.match(listed.path):
                raise damaged("mode-manifest", f"Its manifest names an executable that is none: {shown(listed.path)}")


def _entry(
    reader: EntryReader, tar: Tar, layer: IndexLayer, line: IndexEntry, listed: Listed, *, first: bool
) -> ReadEntry:
    reader.header(tar, listed, line.size)
    target = listed.detail if listed.kind == "symlink" else ""
    content = reader.content(tar, listed, line.size)
    return ReadEntry(listed.path, listed.kind, line.size, layer.facts.name, target, first, content)


def open_archive(path: str) -> BinaryIO:
    """Opens an archive for reading, from its first byte; what is no regular file is refused.

    Raises:
        CapsuleError: it is a directory, a fifo or a device.
        OSError: it cannot be opened.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a fifo would wait for somebody to write
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return open(fd, "rb", buffering=0)
    os.close(fd)
    raise refusal("archive-special", f"Not a regular file: {shown(path)}", "Name a capsule.")
