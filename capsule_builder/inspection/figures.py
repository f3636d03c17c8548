"""What takes the room in a capsule. Pure. All sizes are in bytes, plain and as shares of the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from capsule_builder.inspection.content import Content, Item
from capsule_builder.inspection.owners import Group, Owners

Key = TypeVar("Key")

_NEARLY_ALL = 0.95


@dataclass
class Sum:
    """What some entries come to: how many files, their length, and what they take in the archive."""

    files: int = 0
    total_size: int = 0
    compressed_size: int = 0

    def add(self, item: Item) -> None:
        """Counts an entry."""
        self.files += item.kind in {"file", "executable"}
        self.total_size += item.size or 0
        self.compressed_size += item.packed or 0

    def merge(self, other: Sum) -> None:
        """Counts what ``other`` has counted."""
        self.files += other.files
        self.total_size += other.total_size
        self.compressed_size += other.compressed_size


def sums(items: Iterable[Item], key: Callable[[Item], Key | None]) -> dict[Key, Sum]:
    """The sums of the entries that have the same key, the largest first; those whose key is None are left out."""
    found: dict[Key, Sum] = {}
    for item in items:
        name = key(item)
        if name is not None:
            found.setdefault(name, Sum()).add(item)
    return dict(sorted(found.items(), key=lambda pair: (-pair[1].total_size, str(pair[0]))))


def by_owner(content: Content, owners: Owners) -> dict[Group, Sum]:
    """The sums by owner."""
    return sums(content.items, lambda item: owners.of(item.path))


def largest_files(content: Content, count: int) -> list[Item]:
    """The ``count`` largest files, the largest first."""
    files = [item for item in content.items if item.kind in {"file", "executable"}]
    return sorted(files, key=lambda item: (-(item.size or 0), item.path))[:count]


@dataclass
class _Open:
    """A directory whose entries are being gone through: the length of its path, and the most in one directory below."""

    length: int
    sum: Sum = field(default_factory=Sum)
    inner: int = 0


def largest_directories(content: Content, count: int) -> list[tuple[str, Sum]]:
    """The ``count`` largest directories with their sums, all below them counted.

    One that holds little beside another directory (5 %) is left out: that one says more.
    """
    found: list[tuple[str, Sum]] = []
    stack: list[_Open] = []  # in the order of paths all that is below one directory comes together
    last = ""

    def close() -> None:
        directory = stack.pop()
        total = directory.sum.total_size
        if stack:
            stack[-1].sum.merge(directory.sum)
            stack[-1].inner = max(stack[-1].inner, total)
        if not total or directory.inner < _NEARLY_ALL * total:
            found.append((last[: directory.length], directory.sum))
        if len(found) > 2 * count + 1000:  # paths may be long, and a million
            found[:] = _largest(found, count)

    for item in sorted(content.items, key=lambda item: item.path):
        while stack and not item.path.startswith(last[: stack[-1].length + 1]):
            close()
        slash = item.path.find("/", stack[-1].length + 1 if stack else 0)
        while slash >= 0:
            stack.append(_Open(slash))
            slash = item.path.find("/", slash + 1)
        if stack:
            stack[-1].sum.add(item)
        last = item.path
    while stack:
        close()
    return _largest(found, count)


def _largest(found: list[tuple[str, Sum]], count: int) -> list[tuple[str, Sum]]:
    return sorted(found, key=lambda pair: (-pair[1].total_size, pair[0]))[:count]
