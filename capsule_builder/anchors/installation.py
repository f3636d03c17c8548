"""Anchors that installers leave: configuration, origins, and what is imported from elsewhere."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from capsule_builder.anchors.model import Detector, Sight, Span
from capsule_builder.python import editables, venv_config
from capsule_builder.python.editables import NO_EDITABLE

_KEYS = ("home", "executable", "command", "base-prefix", "base-exec-prefix", "base-executable")
_FILE_URL = re.compile(rb'"url"\s*:\s*"(file:[^"]*)"')
_QUOTED_PATH = re.compile(rb"'(/[^'\n]*)'|\"(/[^\"\n]*)\"")


class PyvenvKey(Detector):
    """A key of ``pyvenv.cfg`` that names a place on the host."""

    kind = "pyvenv-key"
    remedy = "Let capsbuild relocate the environment: CPython finds its base without the key."

    def spans(self, file: Sight) -> Iterator[Span]:
        """The values."""
        if file.name != venv_config.NAME:
            return
        values = venv_config.parse(file.text())
        for key in _KEYS:
            if key in values and "/" in values[key].text:
                yield Span(values[key].offset, len(values[key].text.encode("utf-8", "surrogateescape")))


class DirectUrl(Detector):
    """``direct_url.json`` of something that was installed from a local file (PEP 610)."""

    kind = "direct-url"
    remedy = "Install it from a folder of wheels by its name, or let capsbuild relocate the environment."

    def spans(self, file: Sight) -> Iterator[Span]:
        """The URL."""
        if file.name == "direct_url.json" and (found := _FILE_URL.search(file.text())):
            yield Span(found.start(1), len(found[1]))


class UvCache(Detector):
    """``uv_cache.json``: when a source was built, to the nanosecond."""

    kind = "uv-cache"
    remedy = "Remove it, with its row of RECORD, or let capsbuild relocate the environment."

    def spans(self, file: Sight) -> Iterator[Span]:
        """All of it."""
        if file.name == "uv_cache.json" and posixpath.dirname(file.path).endswith(".dist-info"):
            yield Span(0, file.file.size)


class PathLine(Detector):
    """A line of a ``.pth`` file that leads out of the environment."""

    kind = "pth"
    remedy = NO_EDITABLE

    def spans(self, file: Sight) -> Iterator[Span]:
        """The lines."""
        site = posixpath.dirname(file.inner)
        if file.name.endswith(".pth") and posixpath.basename(site) in {"site-packages", "dist-packages"}:
            for line in editables.outward_lines(file.text(), site):
                yield Span(line.offset, len(line.text.encode("utf-8", "surrogateescape")))


class EggLink(Detector):
    """An ``.egg-link`` of a development install before PEP 660."""

    kind = "egg-link"
    remedy = NO_EDITABLE

    def spans(self, file: Sight) -> Iterator[Span]:
        """Its first line."""
        if file.name.endswith(".egg-link"):
            yield Span(0, len(file.head.partition(b"\n")[0].rstrip()))


class EditableFinder(Detector):
    """setuptools' module that maps names of packages to absolute paths."""

    kind = "editable-finder"
    remedy = NO_EDITABLE

    def spans(self, file: Sight) -> Iterator[Span]:
        """The paths."""
        if editables.is_finder(file.name):
            for found in _QUOTED_PATH.finditer(file.text()):
                group = found.lastindex or 0
                yield Span(found.start(group), len(found[group]))
