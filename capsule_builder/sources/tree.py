"""A tree as a source, wherever it lies: checked whole, then read in path order."""

from __future__ import annotations

import abc
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import MANIFEST_NAME, shown

if TYPE_CHECKING:
    from capsule_builder.contents import Kind
    from capsule_builder.entries import Entry, Opened
    from capsule_builder.patterns import Patterns
    from capsule_builder.sources.survey import Survey

_MAX_SHOWN = 10

Dropped = tuple[str, bool]
"""The path of a file whose executable bit its content does not bear out, and whether it is an ELF file."""


class Tree(abc.ABC):
    """What a source holds, less what is ignored and what lies at ``capsule.yml``: what a walk has ``found``.

    ``root`` is the directory or the ZIP. ``files``, ``links`` (path to target) and ``empty`` directories are in no
    order; ``size`` is the sum of the files' sizes in bytes at the time of the walk. ``manifest_there`` tells whether
    something lies at ``capsule.yml``, ``has_venv`` whether ``venv/`` is a virtual environment, below which no rule
    applies and nothing was judged, and ``ignored`` whether a path would be left out (a directory's ends in ``/``).
    """

    __slots__ = ("empty", "files", "has_venv", "ignored", "links", "manifest_there", "root", "size")

    def __init__(self, root: str, found: Survey) -> None:
        self.root = root
        self.files = found.files
        self.links = found.links
        self.empty = found.empty
        self.size = found.size
        self.manifest_there = found.manifest_there
        self.has_venv = found.rules.has_venv
        self.ignored = found.rules.ignored

    @abc.abstractmethod
    def opened(self, path: str) -> AbstractContextManager[Opened]:
        """The file ``path``, open for as long as the context lasts; in any order, one at a time.

        Raises:
            CapsuleError: it vanished or cannot be read.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Lets go of what is held open; nothing can be read any more."""

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def paths(self) -> Iterator[str]:
        """The paths of all entries, in no particular order."""
        yield from self.files
        yield from self.links
        yield from self.empty

    def entries(
        self,
        manifest: bytes,
        executables: Patterns,
        warnings: list[Problem],
        *,
        leave_out: Callable[[str], bool] = lambda _: False,
    ) -> Entries:
        """The entries in path order, with ``manifest`` as ``capsule.yml``, without those that ``leave_out`` names.

        When all have been gone through, ``warnings`` gets what the reader should know of executable bits.
        """
        paths = sorted({MANIFEST_NAME, *(path for path in self.paths() if not leave_out(path))})
        return Entries(self, paths, manifest, executables, warnings)

    def unopenable(self, paths: Iterable[str]) -> Iterator[Problem]:
        """What is wrong with those of the files ``paths`` that cannot be opened."""
        for path in paths:
            if path == MANIFEST_NAME:
                continue
            try:
                with self.opened(path):
                    pass
            except CapsuleError as error:
                yield from error.problems


class Entries:
    """The entries of a tree, each with its place among ``paths``: all of them, or some at a time.

    Files are opened and read one at a time, as the entries are asked for.
    """

    def __init__(
        self, tree: Tree, paths: list[str], manifest: bytes, executables: Patterns, warnings: list[Problem]
    ) -> None:
        self.tree = tree
        self.paths = paths
        self.manifest = manifest
        self._executables = executables
        self._warnings = warnings
        self._empty = frozenset(tree.empty)

    def __iter__(self) -> Iterator[Entry]:
        """All of them.

        Raises:
            CapsuleError: files vanished, changed or cannot be read.
        """
        dropped: list[Dropped] = []
        yield from self.some(0, len(self.paths), dropped)
        self.warn(dropped)

    def kind(self, path: str) -> Kind:
        """What lies at ``path``; of a file, it is yet to be seen whether it is executable."""
        return "symlink" if path in self.tree.links else "dir" if path in self._empty else "file"

    def some(self, start: int, end: int, dropped: list[Dropped]) -> Iterator[Entry]:
        """Those from place ``start`` to before ``end``; ``dropped`` gets the files whose executable bit is dropped.

        Raises:
            CapsuleError: files vanished, changed or cannot be read.
        """
        from capsule_builder.entries import Bytes, Directory, File, Symlink

        tree, links, empty, executables = self.tree, self.tree.links, self._empty, self._executables
        for place in range(start, end):
            path = self.paths[place]
            if path == MANIFEST_NAME:
                yield File(path, executables.match(path), Bytes(self.manifest))
            elif path in links:
                yield Symlink(path, links[path])
            elif path in empty:
                yield Directory(path)
            else:
                try:
                    opened = tree.opened(path)
                except CapsuleError as error:
                    rest = [path for path in self.paths[place + 1 : end] if path not in links and path not in empty]
                    raise CapsuleError([*error.problems, *tree.unopenable(rest)]) from error
                with opened as file:
                    executable = file.program or executables.match(path)
                    if file.executable_bit and not executable:
                        dropped.append((path, file.elf))
                    yield File(path, executable, file)

    def warn(self, dropped: Iterable[Dropped]) -> None:
        """Warns of these, in path order, when all entries have been gone through."""
        found: tuple[list[str], list[str]] = [], []
        for path, is_library in dropped:
            found[is_library].append(path)
        files, libraries = found
        if files:
            self._warnings.append(_of_files(files))
        if libraries:
            self._warnings.append(_of_libraries(libraries))


def _of_files(paths: list[str]) -> Problem:
    named = ", ".join(shown(path) for path in paths[:_MAX_SHOWN])
    more = f" and {len(paths) - _MAX_SHOWN} more" if len(paths) > _MAX_SHOWN else ""
    lines = "".join(f"\n    - {_pattern(path)}" for path in paths[:_MAX_SHOWN])
    return Problem(
        "executable-dropped",
        f"Executable bit dropped, for the content is neither a script nor a program: {named}{more}",
        f"If they are to be executable, add to the manifest:\n  executables:{lines}",
    )


def _of_libraries(paths: list[str]) -> Problem:
    """Every wheel has shared libraries: one line, however many there are."""
    named = shown(paths[0]) if len(paths) == 1 else f"{len(paths)} shared libraries ({shown(paths[0])} …)"
    return Problem(
        "executable-dropped",
        f"Executable bit dropped, for a shared library needs none: {named}",
        'If it is to be kept, add to the manifest:\n  executables:\n    - "*.so"\n    - "*.so.*"',
    )


def _pattern(path: str) -> str:
    """A path as a pattern that matches it alone, quoted for YAML."""
    escaped = "".join("\\" + char if char in "*?[ " else char for char in path)
    return json.dumps("/" + escaped, ensure_ascii=False)
