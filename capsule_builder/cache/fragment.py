"""The fragment of a layer that lies in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from capsule_builder.cache.record import Group
from capsule_builder.cache.store import Lost, Store
from capsule_builder.fragments import Spread


class CachedFragment(Spread):
    """The fragment of a layer that was written through the cache; what could not be kept lies in ``spill``."""

    __slots__ = ("groups", "spill", "store")

    def __init__(self, store: Store, spill: BinaryIO | None, groups: list[Group] | None = None) -> None:
        self.store = store
        self.spill = spill
        self.groups = groups or []

    @property
    def size(self) -> int:
        """How many bytes the groups have in all."""
        return sum(group.size for group in self.groups)

    def parts(self) -> Iterator[tuple[BinaryIO, int, int]]:
        """See :class:`Spread`.

        Raises:
            Lost: a blob is gone.
        """
        if self.spill:
            self.spill.flush()
        for group in self.groups:
            if group.blob and (file := self.store.open(group.blob, self.store.boot)):
                with file:
                    yield file, 0, group.size
            elif self.spill and not group.blob:
                yield self.spill, group.start, group.size
            else:
                raise Lost
