"""A fragment that does not lie in one file: parts of several, one after another."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import BinaryIO


class Spread(abc.ABC):
    """Stands where a fragment's file does; its parts are copied in order."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """How many bytes the parts have in all."""

    @abc.abstractmethod
    def parts(self) -> Iterator[tuple[BinaryIO, int, int]]:
        """Each part: a file that is open until the next is asked for, where the part begins in it, and its size.

        Raises:
            OSError: one of them cannot be read (any more).
        """
