"""A layer written through the cache: members whose entries are the same as ever are not made again.

The bytes are those of :func:`capsule_builder.layer.write_layer`: where members end depends on the names and sizes of
the entries alone (``docs/format.md``, section 4.2), so what is between two borders, a *group*, can be kept under a key
of what goes into it: the lines of the listing, the sizes, the level, and the builder's own code.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from capsule_builder import contents
from capsule_builder.archive import tar
from capsule_builder.archive.gzip_member import gzip_member
from capsule_builder.archive.members import BLOCK_SIZE, PACK_SIZE
from capsule_builder.archive.threads import Pending, Threads
from capsule_builder.cache.fragment import CachedFragment
from capsule_builder.cache.record import Group
from capsule_builder.cache.store import Lost, NewBlob, Store
from capsule_builder.contents import Listed
from capsule_builder.entries import Content, Entry, File, Symlink
from capsule_builder.errors import CapsuleError, refusal
from capsule_builder.layer import NAMED, VERIFIED, LayerFiles, Progress, broken_pledge, check_entry
from capsule_builder.sources.directory import KnownFile
from capsule_builder.sources.files import OpenFile, changed

_BORDER_MASK = 0xF


@dataclass(slots=True)
class Item:
    """An entry of the group in the making; ``data`` is None when the content has not been read."""

    line: Listed
    head: bytes
    size: int
    content: Content | None = None
    data: bytes | None = None

    @property
    def is_large(self) -> bool:
        """Whether it has members of its own."""
        return len(self.head) + self.size + -self.size % tar.BLOCK > BLOCK_SIZE

    def tar(self) -> bytes:
        """The entry's bytes in the tar; on the thread that reads."""
        data = self.data if self.data is not None else _read(self.content, self.line.detail, self.line.path)
        return b"".join((self.head, data, tar.padding(self.size)))


class LayerWriter:
    """Writes one layer; see :func:`write_through`."""

    def __init__(self, files: LayerFiles, store: Store, maker: bytes, level: int, known: Mapping[str, Group]) -> None:
        self.fragment = CachedFragment(store, files.fragment)
        self._files = files
        self._store = store
        self._salt = b"%s\0%d\0" % (maker, level)
        self._level = level
        self._known = known
        self._items: list[Item] = []
        self._length = 0
        self._waiting: deque[Callable[[], Group]] = deque()

    @property
    def is_open(self) -> bool:
        """Whether a group is in the making."""
        return bool(self._items)

    def take(self, group: Group) -> None:
        """Adds a group that is as it was; none is in the making."""
        self._waiting.append(lambda: group)

    def add(self, item: Item, pool: Threads, room: int) -> None:
        """Adds an entry that is no larger than a block."""
        length = len(item.head) + item.size + -item.size % tar.BLOCK
        if self._length and self._length + length > BLOCK_SIZE:
            self.end_group(pool, room)
        self._items.append(item)
        self._length += length
        if self._length >= PACK_SIZE and not zlib.crc32(item.line.path.encode()) & _BORDER_MASK:
            self.end_group(pool, room)

    def end_group(self, pool: Threads, room: int) -> None:
        """Ends the group, if there is anything in it."""
        items, self._items, self._length = self._items, [], 0
        if not items:
            return
        key = self._key(items)
        if found := self._find(key, len(items)):
            self._later(lambda: found, room)
            return
        begun: list[bytes] = []
        plain = bytearray()
        for item in items:
            begun.append(b"%d\t%d\t%s\n" % (len(plain), item.size, item.line.path.encode()))
            plain += item.tar()
        work: Pending[bytes] = pool.submit(gzip_member, plain, self._level)

        def finished() -> Group:
            member = work.result()
            index = b"# member\t%d\t%d\n%s" % (len(member), len(plain), b"".join(begun))
            return self._keep(key, len(items), [member], lambda: index)

        self._later(finished, room)

    def large(self, item: Item, pool: Threads, room: int) -> None:
        """Adds an entry that is larger than a block, and so has members of its own."""
        self.end_group(pool, room)
        self.drain(0)
        key = self._key([item])
        found = self._find(key, 1)
        if not found:
            lines: list[bytes] = []

            def members() -> Iterator[bytes]:
                waiting: deque[tuple[Pending[bytes], int]] = deque()
                for block in _blocks(item):
                    waiting.append((pool.submit(gzip_member, block, self._level), len(block)))
                    while len(waiting) > room:
                        yield noted(*waiting.popleft())
                while waiting:
                    yield noted(*waiting.popleft())

            def noted(work: Pending[bytes], plain_size: int) -> bytes:
                member = work.result()
                lines.append(b"# member\t%d\t%d\n" % (len(member), plain_size))
                if len(lines) == 1:
                    lines.append(b"0\t%d\t%s\n" % (item.size, item.line.path.encode()))
                return member

            found = self._keep(key, 1, members(), lambda: b"".join(lines))
        self._done(found)

    def drain(self, room: int) -> None:
        """Takes finished groups, in order, until no more than ``room`` are waited for."""
        while len(self._waiting) > room:
            self._done(self._waiting.popleft()())

    def _later(self, finished: Callable[[], Group], room: int) -> None:
        self._waiting.append(finished)
        self.drain(room)

    def _done(self, group: Group) -> None:
        self.fragment.groups.append(group)
        self._files.index.write(group.lines)

    def _key(self, items: list[Item]) -> str:
        """What the group is kept under: all that its bytes depend on."""
        lines = b"".join(b"%d\t%s" % (item.size, item.line.line()) for item in items)
        return hashlib.sha256(self._salt + lines).hexdigest()

    def _find(self, key: str, entries: int) -> Group | None:
        group = self._known.get(key)
        if group and group.blob and self._store.is_sealed(group.blob):
            return group
        if found := self._store.find(key):
            return Group(entries, found[1], found[0].size, found[0])
        return None

    def _keep(self, key: str, entries: int, members: Iterable[bytes], index: Callable[[], bytes]) -> Group:
        """Writes a group's members into a blob, or what the cache will not take into the spill."""
        blob: NewBlob | None = self._store.new()
        spill = self._files.fragment
        start, size = 0, 0
        try:
            for member in members:
                if blob:
                    try:
                        blob.write(member)
                    except OSError as error:
                        self._store.failed(error)
                        start = spill.seek(0, os.SEEK_END)
                        _copy_back(blob.file(), size, spill)
                        blob.cancel()
                        blob = None
                elif not size:
                    start = spill.seek(0, os.SEEK_END)
                if not blob:
                    spill.write(member)
                size += len(member)
            lines = index()
            if blob:
                try:
                    return Group(entries, lines, size, blob.commit(key, lines))
                except OSError as error:
                    self._store.failed(error)
                    start = spill.seek(0, os.SEEK_END)
                    _copy_back(blob.file(), size, spill)
            return Group(entries, lines, size, None, start)
        finally:
            if blob:
                blob.cancel()


def write_through(
    entries: Iterable[Entry],
    files: LayerFiles,
    store: Store,
    *,
    maker: bytes,
    level: int,
    jobs: int,
    known: Mapping[str, Group],
    progress: Progress | None = None,
    verified: Iterable[str] = (),
) -> CachedFragment:
    """Does what :func:`capsule_builder.layer.write_layer` does; gives the fragment.

    ``maker`` stands for the code that makes members, ``known`` has groups of an earlier build by their keys. What the
    cache will not take goes into the file of the fragment. No entry may come deflated from where it lies.

    Raises:
        CapsuleError: an entry's path or target is refused, or its content cannot be read or is not what was pledged.
        OSError: the files cannot be written.
    """
    writer = LayerWriter(files, store, maker, level, known)
    files.contents.write(contents.LISTING_HEADER)
    nesting, last, named, broken = contents.Nesting(), "", list[str](), []
    room = 2 * jobs + 2
    with Threads(jobs, "deflate") as pool:
        for entry in entries:
            check_entry(entry, last)
            last = entry.path
            item = _item(entry)
            if parent := nesting.parent(item.line):
                what = f"{contents.NOUN[parent[0].kind]} and a directory: {parent[0].path} (with {entry.path})"
                raise refusal("path-nesting", f"Path is both {what}", "Leave one of the two out.")
            files.contents.write(item.line.line())
            if isinstance(entry, File):
                if entry.named:
                    named.append(entry.path)
                if entry.pledged and entry.pledged.sha256 != item.line.detail:
                    broken.append(broken_pledge(entry.path, entry.pledged.by))
                if progress:
                    progress(item.size)
            if item.is_large:
                writer.large(item, pool, room)
            else:
                writer.add(item, pool, room)
        writer.end_group(pool, room)
        writer.drain(0)
    if broken:
        raise CapsuleError(broken)
    files.index.writelines(b"%s\t%s\n" % (NAMED, path.encode()) for path in named)
    files.index.writelines(b"%s\t%s\n" % (VERIFIED, sha256.encode()) for sha256 in verified)
    return writer.fragment


def _item(entry: Entry) -> Item:
    """An entry with its line of the listing; contents that are not known are read, and kept when they are small."""
    if not isinstance(entry, File):
        target = entry.target if isinstance(entry, Symlink) else ""
        line = Listed(entry.path, "symlink" if target else "dir", target)
        return Item(line, tar.header(line.path, line.kind, target=target), 0, data=b"")
    content = entry.content
    kind: contents.Kind = "executable" if entry.executable else "file"
    head = tar.header(entry.path, kind, content.size)
    if isinstance(content, KnownFile):
        return Item(Listed(entry.path, kind, content.sha256), head, content.size, content)
    digest = hashlib.sha256()
    data: bytes | None = None
    if content.size <= BLOCK_SIZE:
        data = b"".join(content.chunks())
        digest.update(data)
    else:
        for chunk in content.chunks():
            digest.update(chunk)
    sha256 = digest.hexdigest()
    if isinstance(content, OpenFile) and content.learned is not None:
        content.learned[content.path] = (sha256, content.program, content.elf)
    return Item(Listed(entry.path, kind, sha256), head, content.size, content, data)


def _read(content: Content | None, sha256: str, path: str) -> bytes:
    """All of a small file that was known, found to be what it was."""
    data = b"".join(content.chunks()) if content else b""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _differs(content, path)
    return data


def _differs(content: Content | None, path: str) -> Exception:
    """What to raise when a second look at a file sees another content."""
    return Lost() if isinstance(content, KnownFile) else changed(path)


def _blocks(item: Item) -> Iterator[bytes]:
    """A large entry's bytes in the tar, cut as members are."""
    if item.content is None:
        return
    digest = hashlib.sha256()
    plain = bytearray(item.head)
    for chunk in item.content.chunks():
        digest.update(chunk)
        plain += chunk
        while len(plain) >= BLOCK_SIZE:
            yield bytes(plain[:BLOCK_SIZE])
            del plain[:BLOCK_SIZE]
    if digest.hexdigest() != item.line.detail:
        raise _differs(item.content, item.line.path)
    plain += tar.padding(item.size)
    while plain:
        yield bytes(plain[:BLOCK_SIZE])
        del plain[:BLOCK_SIZE]


def _copy_back(fd: int, size: int, spill: BinaryIO) -> None:
    done = 0
    while done < size:
        chunk = os.pread(fd, min(size - done, 1 << 20), done)
        if not chunk:
            raise Lost
        spill.write(chunk)
        done += len(chunk)
