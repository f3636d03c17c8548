"""A directory as a source: walked once, checked whole, then read in path order."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import MANIFEST_NAME, raw, shown
from capsule_builder.sources.files import OpenFile, open_regular, special_file, unreadable, vanished
from capsule_builder.sources.ignore import IGNORE_NAME, VENV, VENV_MARK, IgnoreRules, ignore_link, ignore_text
from capsule_builder.sources.states import Watch
from capsule_builder.sources.survey import Survey
from capsule_builder.sources.tree import Tree

__all__ = ["DirectoryTree", "Tree", "scan"]


class KnownFile(NamedTuple):
    """A file whose content is known without a look: its ``sha256`` in hex, and whether it is a program, or ELF."""

    tree: DirectoryTree
    path: str
    size: int
    sha256: str
    program: bool
    elf: bool
    executable_bit: bool

    def chunks(self) -> Iterator[bytes]:
        """The bytes, as they are now, in pieces of at most 1 MiB; raises what :meth:`OpenFile.chunks` does."""
        with self.tree.read(self.path) as file:
            yield from file.chunks()


class DirectoryTree(Tree):
    """What a directory holds; of it nothing but the directory itself is held open between two files.

    ``states`` has a line for each file, as ``watch`` makes it, in no order; None when nobody watches. Files that are
    ``known`` are not opened until they are read; ``learned`` is for whoever reads one, as :class:`OpenFile` says.
    ``sizes`` are those of ``files`` at the time of the walk, in bytes.
    """

    __slots__ = ("_top", "known", "learned", "sizes", "states", "watch")

    def __init__(self, root: str, found: Survey, watch: Watch | None, states: list[str]) -> None:
        super().__init__(root, found)
        self.watch = watch
        self.states = states
        self.sizes = found.sizes
        self.known: dict[str, KnownFile] = {}
        self.learned: dict[str, tuple[str, bool, bool]] = {}
        self._top: list[int] = []

    def opened(self, path: str) -> AbstractContextManager[OpenFile | KnownFile]:
        """The file ``path``; see :meth:`Tree.opened`."""
        known = self.known.get(path)
        return contextlib.nullcontext(known) if known else self.read(path)

    def read(self, path: str) -> OpenFile:
        """The file ``path``, known or not."""
        if not self._top:
            self._top.append(_open_top(self.root))
        file = open_regular(raw(path), path, dir_fd=self._top[0], follow=False)  # a whole path may be too long for it
        if self.watch:
            file.learned = self.learned
        return file

    def close(self) -> None:
        """Lets go of the directory itself."""
        while self._top:
            os.close(self._top.pop())


def scan(
    root: str, *, without: Collection[str] = (), watch: Watch | None = None
) -> tuple[DirectoryTree, list[Problem]]:
    """Walks the directory ``root`` with its ``.capsuleignore`` files; gives what fits in a capsule, and what does not.

    What lies at ``capsule.yml`` is not looked at, for the manifest takes its place. Below ``venv/``, if that is a
    virtual environment, no rule applies, and neither names nor links are judged. The directories ``without`` (paths
    from ``root``, ending in ``/``) are left out whatever the rules say. A ``watch`` notes the states of files.

    Raises:
        CapsuleError: ``root`` is not a directory, or cannot be read.
    """
    walk = _Walk(root, without, watch)
    try:
        walk.run()
    finally:
        os.close(walk.top)
    return DirectoryTree(root, walk.found, watch, walk.states), walk.found.all_problems()


_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MANY = 256


class _Walk:
    def __init__(self, root: str, without: Collection[str], watch: Watch | None) -> None:
        self.top = _open_top(root)
        self.root = root
        self.watch = watch
        self.states: list[str] = []
        self.found = Survey(without)
        self._regular: list[tuple[str, os.stat_result]] = []  # files that have yet to be taken in

    def run(self) -> None:
        todo = [("", self.found.rules.top)]
        while todo:
            base, rules = todo.pop()
            try:
                self._directory(base, rules, todo)
            except (CapsuleError, OSError) as error:
                self._note(base.removesuffix("/") or self.root, error)
            if len(self._regular) >= _MANY or not todo:
                self._take_in()

    def _take_in(self) -> None:
        """Takes in many files at once: most directories have few."""
        self.found.add_files(self._regular)
        if self.watch:
            self.states += self.watch.lines(self._regular)
        self._regular.clear()

    def _note(self, path: str, error: CapsuleError | OSError) -> None:
        """Notes what the system will not let us see of ``path``; the walk goes on."""
        if isinstance(error, FileNotFoundError):
            error = vanished(path)
        elif isinstance(error, OSError):
            error = unreadable(path, error)
        self.found.problems += error.problems

    def _directory(self, base: str, rules: IgnoreRules, todo: list[tuple[str, IgnoreRules]]) -> None:
        """Takes in one directory; adds its subdirectories to ``todo``, with the rules that hold there."""
        found, regular = self.found, self._regular
        fd = os.open(raw(base) or b".", _DIRECTORY, dir_fd=self.top)
        try:
            with os.scandir(fd) as listing:
                items = {item.name: item for item in listing} if _DECODES_UTF8 else {_name(i): i for i in listing}
            if base == VENV or IGNORE_NAME in items:
                rules = self._rules(fd, base, items, rules)
            all_admitted = found.admits_all(base, items, rules)
            if all_admitted and not base and MANIFEST_NAME in items:
                del items[MANIFEST_NAME]
                found.manifest_there = True
            for name, item in items.items():
                path = base + name
                try:
                    is_dir = item.is_dir(follow_symlinks=False)
                    if not (all_admitted or found.admits(path, rules, directory=is_dir)):
                        continue
                    if is_dir:
                        todo.append((path + "/", rules))
                    elif item.is_file(follow_symlinks=False):
                        regular.append((path, item.stat(follow_symlinks=False)))
                    else:
                        self._other(fd, item, path)
                except (CapsuleError, OSError) as error:
                    self._note(path, error)
            if not items and base:
                found.empty.append(base.removesuffix("/"))
        finally:
            os.close(fd)

    def _rules(self, fd: int, base: str, items: dict[str, os.DirEntry[str]], rules: IgnoreRules) -> IgnoreRules:
        """The rules in the directory ``fd``, which ``rules`` have let in."""
        mark = items.get(os.path.basename(VENV_MARK)) if base == VENV else None
        if mark and mark.is_file(follow_symlinks=False):
            return self.found.rules.exempt_venv()
        if IGNORE_NAME in items and not self.found.rules.exempt(base):
            try:
                text = _read_ignore_file(fd, items[IGNORE_NAME], base + IGNORE_NAME)
                return self.found.rules.add(base, rules, text)
            except (CapsuleError, OSError) as error:
                self._note(base + IGNORE_NAME, error)
        return rules

    def _other(self, fd: int, item: os.DirEntry[str], path: str) -> None:
        """Takes in one item of the directory ``fd`` that is neither a directory nor a regular file."""
        if item.is_symlink():
            target = os.readlink(os.fsencode(item.name), dir_fd=fd)
            self.found.links[path] = target.decode("utf-8", "surrogateescape")
        else:
            self.found.problems.append(special_file(path, item.stat(follow_symlinks=False).st_mode))


_DECODES_UTF8 = sys.getfilesystemencoding() == "utf-8"


def _name(item: os.DirEntry[str]) -> str:
    """Its name, whatever the locale says."""
    return item.name if _DECODES_UTF8 else os.fsencode(item.name).decode("utf-8", "surrogateescape")


def _read_ignore_file(directory: int, item: os.DirEntry[str], path: str) -> bytes:
    if item.is_symlink():
        raise ignore_link(path)
    file = open_regular(IGNORE_NAME, path, dir_fd=directory, follow=False)
    try:
        return ignore_text(b"".join(file.chunks()), path)
    finally:
        os.close(file.fd)


def _open_top(root: str) -> int:
    try:
        return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except NotADirectoryError:
        raise refusal("source-missing", f"Source is not a directory: {shown(root)}", "Name a directory.") from None
    except FileNotFoundError:
        raise refusal("source-missing", f"Source directory not found: {shown(root)}", "Name an existing one.") from None
    except OSError as error:
        raise unreadable(root, error) from error
