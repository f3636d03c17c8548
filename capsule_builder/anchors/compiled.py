"""Anchors in what was compiled: bytecode, libraries, and the interpreter's own build."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from capsule_builder.anchors.model import Detector, Sight, Span
from capsule_builder.elf import read_linkage
from capsule_builder.python.native import outward_paths

_MAX_PATH = 4096
_SHORT = frozenset(b"zZ") | {code | 0x80 for code in b"zZ"}
_LONG = frozenset(b"aAuts") | {code | 0x80 for code in b"aAuts"}
_DATA = re.compile(rb"""['"](?:base_)?(?:prefix|exec_prefix|interpreter)['"]: *['"](/[^'"\n]*)['"]""")
_DATA_FILE = re.compile(r"(?:_sysconfigdata_.*\.py|_sysconfig_vars_.*\.json|build-details\.json)$", re.DOTALL)
_ASSIGNED = re.compile(rb"^(?:prefix|exec_prefix)[ \t]*=[ \t]*(/\S*)", re.MULTILINE)
_CONFIG = re.compile(r"(?:.*/)?(?:config-[^/]*/Makefile|pkgconfig/python[^/]*\.pc)$")
_NOWHERE = re.compile(rb"/install(?:/|$)")  # what python-build-standalone writes for a place that is not known


class Bytecode(Detector):
    """A ``.pyc`` whose ``co_filename`` is absolute."""

    kind = "pyc"
    remedy = "Remove it: capsbuild compiles anew, with names that hold wherever the capsule lies."

    def spans(self, file: Sight) -> Iterator[Span]:
        """The marshalled names: strings that begin with ``/`` and end with the module's own name."""
        if not file.name.endswith(".pyc"):
            return
        end = f"/{file.name.partition('.')[0]}.py".encode("utf-8", "surrogateescape")
        seen = -1
        for start, data in file.windows():
            at = data.find(end)
            while at >= 0:
                span = _marshalled(data, at + len(end))
                if span and start + span.offset > seen:
                    seen = start + span.offset
                    yield Span(seen, span.length)
                at = data.find(end, at + 1)


def _marshalled(data: bytes, end: int) -> Span | None:
    """The absolute path that ends at ``end``, if it is a marshalled string: its length stands before it."""
    for start in range(end - 1, max(4, end - _MAX_PATH) - 1, -1):
        if data[start] != 0x2F:
            continue
        length = end - start
        if data[start - 1] == length and data[start - 2] in _SHORT:
            return Span(start, length)
        if data[start - 5] in _LONG and int.from_bytes(data[start - 4 : start], "little") == length:
            return Span(start, length)
    return None


class LibraryPath(Detector):
    """An RPATH or RUNPATH that is absolute, or leads out of the tree."""

    kind = "rpath"
    remedy = "Use a wheel that was repaired by auditwheel, or build with an RPATH that begins with $ORIGIN."

    def spans(self, file: Sight) -> Iterator[Span]:
        """The path list, in the file's table of strings."""
        linkage = read_linkage(file.read_at) if file.head[:4] == b"\x7fELF" else None
        if not linkage or not outward_paths(linkage, posixpath.dirname(file.inner)):
            return
        for paths in filter(None, (linkage.rpath, linkage.runpath)):
            needle = paths.encode("utf-8", "surrogateescape")
            for start, data in file.windows():
                if (at := data.find(needle + b"\0")) >= 0:
                    yield Span(start + at, len(needle))
                    break


class Sysconfig(Detector):
    """Where a Python was built or installed, in what it keeps for building extensions."""

    kind = "sysconfig"
    remedy = "Bundle the Python as it was published: 'uv python install' writes its place into it."

    def spans(self, file: Sight) -> Iterator[Span]:
        """The prefixes."""
        if _DATA_FILE.match(file.name):
            pattern = _DATA
        elif _CONFIG.match(file.path):
            pattern = _ASSIGNED
        else:
            return
        for found in pattern.finditer(file.text()):
            if not _NOWHERE.match(found[1]):
                yield Span(found.start(1), len(found[1]))
