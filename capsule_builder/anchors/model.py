"""What an anchor is, and what finds one kind of them."""

from __future__ import annotations

import abc
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from capsule_builder.sources.files import OpenFile

HEAD_SIZE = 8192
_WINDOW = 1 << 20
_OVERLAP = 8192
_MAX_TEXT = 16 << 20


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place that ties a tree to a host: ``path`` in the tree, ``offset`` in bytes, and what stands there."""

    path: str
    offset: int
    kind: str
    excerpt: str
    remedy: str


class Span(NamedTuple):
    """Some bytes of a file, by their offset and length."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Sight:
    """An open file as detectors see it.

    ``path`` is its path in the tree, ``venv`` the directory of the environment that it is in, relative to the tree (""
    is the tree itself), None when it is in none.
    """

    path: str
    file: OpenFile
    head: bytes
    venv: str | None

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def inner(self) -> str:
        """Its path in the environment; all of it when it is in none."""
        return self.path[len(self.venv) + 1 :] if self.venv else self.path

    def read_at(self, size: int, offset: int) -> bytes:
        """At most ``size`` bytes from ``offset``; fewer only at the end."""
        return os.pread(self.file.fd, size, offset)

    def text(self) -> bytes:
        """The whole of a small file; of a large one, the first 16 MiB."""
        return self.read_at(_MAX_TEXT, 0)

    def windows(self) -> Iterator[tuple[int, bytes]]:
        """The file in pieces that overlap by 8 KiB, each with its offset."""
        at = 0
        while data := self.read_at(_WINDOW + _OVERLAP, at):
            yield at, data
            at += _WINDOW


class Detector(abc.ABC):
    """Finds the anchors of one kind; ``remedy`` says what to do about them."""

    kind: ClassVar[str]
    remedy: ClassVar[str]

    @abc.abstractmethod
    def spans(self, file: Sight) -> Iterator[Span]:
        """The places in a file."""
