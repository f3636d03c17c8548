"""Anchors in scripts: how they name their interpreter, and how they are activated."""

from __future__ import annotations

import re
from collections.abc import Iterator

from capsule_builder.anchors.model import Detector, Sight, Span
from capsule_builder.python import furniture
from capsule_builder.python.prefixes import ACTIVATE_VALUE, TRAMPOLINE, Search

_RELOCATE = "Let capsbuild relocate the environment: it makes the script anew."
_SHEBANG = re.compile(rb"#![ \t]*[\"']?(/[^\r\n]*)")
_ANYWHERE = re.compile(rb"/(?:usr/(?:local/)?)?s?bin/[^/\s]+(?:\s|$)")
_PYTHON = re.compile(rb"/[^\r\n]*/python[0-9.]*t?(?:[\s\"']|$)")


class Shebang(Detector):
    """``#!/srv/app/venv/bin/python``: a program that every Linux has is none, except for Python in an environment."""

    kind = "shebang"
    remedy = _RELOCATE

    def spans(self, file: Sight) -> Iterator[Span]:
        """The interpreter, with its arguments."""
        if not (found := _SHEBANG.match(file.head)):
            return
        in_bin = file.venv is not None and file.inner.startswith("bin/")
        if not _ANYWHERE.match(found[1]) or (in_bin and _PYTHON.match(found[1])):
            yield Span(found.start(1), len(found[1]))


class Trampoline(Detector):
    """What installers write when the interpreter's path is too long for a ``#!``, or has a space."""

    kind = "trampoline"
    remedy = _RELOCATE

    def spans(self, file: Sight) -> Iterator[Span]:
        """The interpreter's path."""
        if found := TRAMPOLINE.match(file.head):
            yield Span(found.start(1), file.head.find(b"\n", found.start(1)) - found.start(1))


class Activate(Detector):
    """An activation script that knows where its environment lies."""

    kind = "activate"
    remedy = "Remove it: a capsule needs no activation (capsbuild leaves it out)."

    def __init__(self, needles: tuple[bytes, ...]) -> None:
        """``needles`` are the spellings of the places that environments have lain at."""
        self._needles = needles

    def spans(self, file: Sight) -> Iterator[Span]:
        """The values of ``VIRTUAL_ENV``, and whatever else names a place."""
        if file.venv is None or not furniture.ACTIVATE.match(file.inner):
            return
        text, search = file.text(), Search(self._needles)
        spans = {
            Span(found.start(group), len(found[group]))
            for found in ACTIVATE_VALUE.finditer(text)
            if (group := found.lastindex or 0)
        }
        spans |= {Span(offset, len(needle)) for offset, needle in [*search.feed(text), *search.finish()]}
        yield from sorted(spans)
