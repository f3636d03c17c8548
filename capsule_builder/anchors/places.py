"""Anchors that any file may hold: links to the host, and the places that the tree and its environments have lain at."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from capsule_builder.anchors.model import Anchor, Detector, Sight, Span
from capsule_builder.paths import shown
from capsule_builder.python.prefixes import Search

_CONTRACT = re.compile(r"/opt/tori/python/(3\.[0-9]+)/bin/python\1$")


class Link:
    """A symbolic link that is absolute, or leads out of the tree; the link to a host's Python by contract is none."""

    kind = "symlink"
    remedy = "Make it relative, and let it stay in the tree, or put a copy in its place."

    def find(self, path: str, target: str) -> Anchor | None:
        """The anchor that the link at ``path`` is, if it is one."""
        place = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        stays = not place.startswith(("/", "../")) and place != ".."
        if stays or _CONTRACT.match(target):
            return None
        return Anchor(path, 0, self.kind, shown(target), self.remedy)


class _Prefix(Detector):
    def __init__(self, needles: tuple[bytes, ...]) -> None:
        """``needles`` are the spellings of the places."""
        self._needles = needles

    def _spans(self, file: Sight) -> Iterator[Span]:
        search = Search(self._needles)
        for chunk in file.file.chunks():
            yield from (Span(offset, len(needle)) for offset, needle in search.feed(chunk))
        yield from (Span(offset, len(needle)) for offset, needle in search.finish())


class TextPrefix(_Prefix):
    """A place in a text."""

    kind = "text-prefix"
    remedy = "Make it relative, or let the service get the place from its environment when it starts."

    def spans(self, file: Sight) -> Iterator[Span]:
        """Where it is named."""
        if b"\0" not in file.head:
            yield from self._spans(file)


class BinaryPrefix(_Prefix):
    """A place in a binary file."""

    kind = "binary-prefix"
    remedy = "Build it anew with a prefix that is found at run time: a binary cannot be patched."

    def spans(self, file: Sight) -> Iterator[Span]:
        """Where it is named."""
        if b"\0" in file.head:
            yield from self._spans(file)
