"""The groups of a layer: what is between two borders, made once and kept under a key of what goes into it.

Where members end depends on the names and sizes of the entries alone (``docs/format.md``, section 4.2). The key is
made of the lines of the listing, the sizes, the level, and the builder's own code.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from capsule_builder.archive import tar
from capsule_builder.archive.sizes import BLOCK_SIZE, PACK_SIZE, is_border
from capsule_builder.cache.fragment import CachedFragment
from capsule_builder.cache.record import Group
from capsule_builder.cache.store import Lost, NewBlob, Store
from capsule_builder.sources.directory import KnownFile
from capsule_builder.sources.files import changed

if TYPE_CHECKING:
    from capsule_builder.contents import Listed
    from capsule_builder.entries import Content

Deflate = Callable[[bytes | bytearray], Callable[[], bytes]]
"""Begins to make a member; gives what waits for it."""


class Item(NamedTuple):
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
    """Writes one layer in groups: what the cache will not take goes to the ``spill``.

    ``maker`` stands for the code that makes members, ``known`` has groups of an earlier build by their keys. At most
    ``room`` members are waited for at a time.
    """

    def __init__(
        self,
        spill: BinaryIO,
        index: BinaryIO,
        store: Store,
        *,
        maker: bytes,
        level: int,
        known: Mapping[str, Group],
        deflate: Deflate,
        room: int,
    ) -> None:
        self.fragment = CachedFragment(store, spill)
        self._spill = spill
        self._index = index
        self._store = store
        self._salt = b"%s\0%d\0" % (maker, level)
        self._deflate = deflate
        self._room = room
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

    def add(self, item: Item) -> None:
        """Adds an entry that is no larger than a block."""
        length = len(item.head) + item.size + -item.size % tar.BLOCK
        if self._length and self._length + length > BLOCK_SIZE:
            self.end_group()
        self._items.append(item)
        self._length += length
        if self._length >= PACK_SIZE and is_border(item.line.path):
            self.end_group()

    def end_group(self) -> None:
        """Ends the group, if there is anything in it."""
        items, self._items, self._length = self._items, [], 0
        if not items:
            return
        key = self._key(items)
        if found := self._find(key, len(items)):
            self._later(lambda: found)
            return
        begun: list[bytes] = []
        plain = bytearray()
        for item in items:
            begun.append(b"%d\t%d\t%s\n" % (len(plain), item.size, item.line.path.encode()))
            plain += item.tar()
        work = self._deflate(plain)

        def finished() -> Group:
            member = work()
            index = b"# member\t%d\t%d\n%s" % (len(member), len(plain), b"".join(begun))
            return self._keep(key, len(items), [member], lambda: index)

        self._later(finished)

    def large(self, item: Item) -> None:
        """Adds an entry that is larger than a block, and so has members of its own."""
        self.end_group()
        self.drain(0)
        key = self._key([item])
        found = self._find(key, 1)
        if not found:
            lines: list[bytes] = []

            def members() -> Iterator[bytes]:
                waiting: deque[tuple[Callable[[], bytes], int]] = deque()
                for block in _blocks(item):
                    waiting.append((self._deflate(block), len(block)))
                    while len(waiting) > self._room:
                        yield noted(*waiting.popleft())
                while waiting:
                    yield noted(*waiting.popleft())

            def noted(work: Callable[[], bytes], plain_size: int) -> bytes:
                member = work()
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

    def _later(self, finished: Callable[[], Group]) -> None:
        self._waiting.append(finished)
        self.drain(self._room)

    def _done(self, group: Group) -> None:
        self.fragment.groups.append(group)
        self._index.write(group.lines)

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
        spill = self._spill
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
