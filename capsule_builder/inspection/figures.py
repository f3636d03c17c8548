"""What takes the room in a capsule. Pure. All sizes are in bytes, plain and as shares of the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
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


def largest_directories(content: Content, count: int) -> list[tuple[str, Sum]]:
    """The ``count`` largest directories with their sums, all below them counted.

    One that holds little beside another directory (5 %) is left out: that one says more.
    """
    found: dict[str, Sum] = {}
    for item in content.items:
        directory, slash, _ = item.path.rpartition("/")
        while slash:
            found.setdefault(directory, Sum()).add(item)
            directory, slash, _ = directory.rpartition("/")
    dull = {
        path.rpartition("/")[0]
        for path, total in found.items()
        if (above := found.get(path.rpartition("/")[0])) and total.total_size >= _NEARLY_ALL * above.total_size
    }
    told = [(path, total) for path, total in found.items() if path not in dull]
    return sorted(told, key=lambda pair: (-pair[1].total_size, pair[0]))[:count]
