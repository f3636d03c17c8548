"""A tree as a source, wherever it lies: checked whole, then read in path order."""

from __future__ import annotations

import abc
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import MANIFEST_NAME, shown

if TYPE_CHECKING:
    from capsule_builder.entries import Entry, Opened
    from capsule_builder.patterns import Patterns
    from capsule_builder.sources.survey import Survey

_MAX_SHOWN = 10


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
    ) -> Iterator[Entry]:
        """The entries in path order, with ``manifest`` as ``capsule.yml``, without those that ``leave_out`` names.

        Files are opened and read one at a time, as the entries are asked for. Adds to ``warnings`` what the reader
        should know of executable bits.

        Raises:
            CapsuleError: files vanished, changed or cannot be read.
        """
        from capsule_builder.entries import Bytes, Directory, File, Symlink

        links, empty = self.links, frozenset(self.empty)
        bits = _Bits()
        paths = sorted({MANIFEST_NAME, *(path for path in self.paths() if not leave_out(path))})
        for position, path in enumerate(paths):
            if path == MANIFEST_NAME:
                yield File(path, executables.match(path), Bytes(manifest))
            elif path in links:
                yield Symlink(path, links[path])
            elif path in empty:
                yield Directory(path)
            else:
                try:
                    opened = self.opened(path)
                except CapsuleError as error:
                    rest = [path for path in paths[position + 1 :] if path not in links and path not in empty]
                    raise CapsuleError([*error.problems, *self._unopenable(rest)]) from error
                with opened as file:
                    executable = file.program or executables.match(path)
                    if file.executable_bit and not executable:
                        bits.dropped(path, file)
                    yield File(path, executable, file)
        warnings += bits.warnings()

    def _unopenable(self, paths: list[str]) -> Iterator[Problem]:
        for path in paths:
            if path == MANIFEST_NAME:
                continue
            try:
                with self.opened(path):
                    pass
            except CapsuleError as error:
                yield from error.problems


class _Bits:
    """The executable bits that the content does not bear out."""

    def __init__(self) -> None:
        self._files: list[str] = []
        self._libraries: list[str] = []

    def dropped(self, path: str, file: Opened) -> None:
        (self._libraries if file.elf else self._files).append(path)

    def warnings(self) -> Iterator[Problem]:
        if self._files:
            yield self._of_files()
        if self._libraries:
            yield self._of_libraries()

    def _of_files(self) -> Problem:
        paths = self._files
        named = ", ".join(shown(path) for path in paths[:_MAX_SHOWN])
        more = f" and {len(paths) - _MAX_SHOWN} more" if len(paths) > _MAX_SHOWN else ""
        lines = "".join(f"\n    - {_pattern(path)}" for path in paths[:_MAX_SHOWN])
        return Problem(
            "executable-dropped",
            f"Executable bit dropped, for the content is neither a script nor a program: {named}{more}",
            f"If they are to be executable, add to the manifest:\n  executables:{lines}",
        )

    def _of_libraries(self) -> Problem:
        """Every wheel has shared libraries: one line, however many there are."""
        paths = self._libraries
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
