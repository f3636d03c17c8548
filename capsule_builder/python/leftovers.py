"""Origins that are watched while they are packed: for what ties their content to a place.

The search costs no second reading: it looks at the bytes on their way into the archive.
"""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from capsule_builder.elf import Linkage
from capsule_builder.entries import Deflated
from capsule_builder.errors import Problem
from capsule_builder.paths import shown
from capsule_builder.python import native
from capsule_builder.python.layout import VENV
from capsule_builder.python.package import Opened, Origin
from capsule_builder.python.prefixes import Search

_REMEDY = (
    "Something wrote the environment's place into it after it was built: install its distribution again,"
    " without the step that did."
)


@dataclass(slots=True)
class Leftovers:
    """What was found in the files, when they had been read.

    ``problems`` are the places that ``needles`` spell; ``warnings`` are library paths, of which published wheels have
    some that are wrong and do no harm. A file has one of each sort at most.
    """

    needles: tuple[bytes, ...]
    warnings: list[Problem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def watched(self, origin: Origin, path: str) -> Origin:
        """The same origin, whose content is searched as it is read; ``path`` is relative to the environment."""
        return _Watched(origin, path, self)

    def search(self, data: bytes, path: str, before: int = 0) -> None:
        """Searches content that is in memory, and begins ``before`` bytes into its file."""
        search = Search(self.needles)
        hits = [*search.feed(data), *search.finish()]
        self.found(path, [(offset + before, needle) for offset, needle in hits])

    def found(self, path: str, hits: list[tuple[int, bytes]]) -> None:
        """Notes what was found in a file, the first time that it is read."""
        if not hits:
            return
        offset, needle = hits[0]
        text = needle.replace(b"\0", b"").decode("utf-8", "surrogateescape")
        more = f", and {len(hits) - 1} times more" if len(hits) > 1 else ""
        message = f"{shown(f'{VENV}/{path}')}:{offset}: names the place of the environment: {shown(text)}{more}"
        _note(self.problems, Problem("venv-prefix", message, _REMEDY))

    def linked(self, path: str, linkage: Linkage | None) -> None:
        """Notes where an ELF file looks for libraries, if that is not in the environment."""
        if linkage and (outward := native.outward_paths(linkage, posixpath.dirname(path))):
            places = ", ".join(map(shown, outward))
            message = f"{shown(f'{VENV}/{path}')}: looks for libraries outside of the environment (RPATH): {places}"
            remedy = "On a host that has such a place, other libraries may be loaded; RPATHs should begin with $ORIGIN."
            _note(self.warnings, Problem("venv-rpath", message, remedy))


@dataclass(frozen=True, slots=True)
class _Watched:
    origin: Origin
    path: str
    leftovers: Leftovers

    def opened(self) -> AbstractContextManager[Opened]:
        return self._opened()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Opened]:
        with self.origin.opened() as content:
            yield (_WatchedStream if isinstance(content, Deflated) else _WatchedContent)(content, self)

    def passing(self, content: Opened, pieces: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        """The pieces of ``content`` (deflated, plain), searched as they pass by."""
        search, hits = Search(self.leftovers.needles), list[tuple[int, bytes]]()
        linkage = native.LinkageWatch(content) if content.elf else None
        for deflated, plain in pieces:
            hits += search.feed(plain)
            if linkage:
                linkage.feed(plain)
            yield deflated, plain
        self.leftovers.found(self.path, [*hits, *search.finish()])
        if linkage:
            self.leftovers.linked(self.path, linkage.finish())


class _Judged:
    """What is known of content before it is read, whoever watches it."""

    def __init__(self, content: Any, at: _Watched) -> None:
        self._content = content
        self._at = at

    @property
    def size(self) -> int:
        return int(self._content.size)

    @property
    def program(self) -> bool:
        return bool(self._content.program)

    @property
    def elf(self) -> bool:
        return bool(self._content.elf)


class _WatchedContent(_Judged):
    def chunks(self) -> Iterator[bytes]:
        pieces = self._at.passing(self._content, ((b"", chunk) for chunk in self._content.chunks()))
        return (plain for _, plain in pieces)


class _WatchedStream(_Judged, Deflated):
    """Content that may be copied as it is."""

    @property
    def deflated_size(self) -> int:
        return int(self._content.deflated_size)

    @property
    def crc32(self) -> int:
        return int(self._content.crc32)

    def pieces(self) -> Iterator[tuple[bytes, bytes]]:
        return self._at.passing(self._content, self._content.pieces())


def _note(problems: list[Problem], problem: Problem) -> None:
    if problem not in problems:  # a file is read more than once when it is compiled too
        problems.append(problem)
