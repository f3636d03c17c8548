"""The fragment of a layer that lies in the cache."""

from __future__ import annotations

import os
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

    def parts(self) -> Iterator[tuple[int, int, int]]:
        """See :class:`Spread`.

        Raises:
            Lost: a blob is gone.
        """
        if self.spill:
            self.spill.flush()
        for group in self.groups:
            if group.blob:
                fd = self.store.open(group.blob, self.store.boot)
                try:
                    yield fd, 0, group.size
                finally:
                    os.close(fd)
            elif self.spill:
                yield self.spill.fileno(), group.start, group.size
            else:
                raise Lost
