"""A directory as a source: walked once, checked whole, then read in path order."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import raw, shown
from capsule_builder.sources.files import OpenFile, open_regular, special_file, unreadable, vanished
from capsule_builder.sources.ignore import IGNORE_NAME, VENV, VENV_MARK, IgnoreRules, ignore_link, ignore_text
from capsule_builder.sources.survey import Survey
from capsule_builder.sources.tree import Tree

__all__ = ["DirectoryTree", "Tree", "scan"]


@dataclass(frozen=True, slots=True)
class DirectoryTree(Tree):
    """What a directory holds; nothing is held open between two files."""

    @contextlib.contextmanager
    def opened(self, path: str) -> Iterator[OpenFile]:
        """The file ``path``; see :meth:`Tree.opened`."""
        top = _open_top(self.root)  # for the whole path could be longer than the system allows
        try:
            file = open_regular(raw(path), path, dir_fd=top, follow=False)
        finally:
            os.close(top)
        try:
            yield file
        finally:
            os.close(file.fd)

    def close(self) -> None:
        """Nothing to let go of."""


def scan(root: str, *, without: Collection[str] = ()) -> tuple[Tree, list[Problem]]:
    """Walks the directory ``root`` with its ``.capsuleignore`` files; gives what fits in a capsule, and what does not.

    What lies at ``capsule.yml`` is not looked at, for the manifest takes its place. Below ``venv/``, if that is a
    virtual environment, no rule applies, and neither names nor links are judged. The directories ``without`` (paths
    from ``root``, ending in ``/``) are left out whatever the rules say.

    Raises:
        CapsuleError: ``root`` is not a directory, or cannot be read.
    """
    walk = _Walk(root, without)
    try:
        walk.run()
    finally:
        os.close(walk.top)
    found = walk.found
    rules = found.rules
    tree = DirectoryTree(
        root, found.files, found.links, found.empty, found.size, found.manifest_there, rules.has_venv, rules.ignored
    )
    return tree, found.all_problems()


class _Walk:
    def __init__(self, root: str, without: Collection[str]) -> None:
        self.top = _open_top(root)
        self.root = root
        self.found = Survey(without)

    def run(self) -> None:
        todo = [("", self.found.rules.top)]
        while todo:
            base, rules = todo.pop()
            with self._watch(base.removesuffix("/") or self.root):
                found, rules = self._directory(base, rules)
                todo += [(f"{name}/", rules) for name in found]

    @contextlib.contextmanager
    def _watch(self, path: str) -> Iterator[None]:
        """Notes what the system will not let us see of ``path``, and lets the walk go on."""
        try:
            yield
        except CapsuleError as error:
            self.found.problems += error.problems
        except FileNotFoundError:
            self.found.problems += vanished(path).problems
        except OSError as error:
            self.found.problems += unreadable(path, error).problems

    def _directory(self, base: str, rules: IgnoreRules) -> tuple[list[str], IgnoreRules]:
        """Takes in one directory; gives its subdirectories and the rules that hold there."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(raw(base) or b".", flags, dir_fd=self.top)
        try:
            with os.scandir(fd) as listing:
                items = list(listing)
            rules = self._rules(fd, base, {item.name: item for item in items}, rules)
            below: list[str] = []
            for item in items:
                path = base + os.fsencode(item.name).decode("utf-8", "surrogateescape")
                with self._watch(path):
                    if self._item(fd, item, path, rules):
                        below.append(path)
            if not items and base:
                self.found.empty.append(base.removesuffix("/"))
        finally:
            os.close(fd)
        return below, rules

    def _rules(self, fd: int, base: str, items: dict[str, os.DirEntry[str]], rules: IgnoreRules) -> IgnoreRules:
        """The rules in the directory ``fd``, which ``rules`` have let in."""
        mark = items.get(os.path.basename(VENV_MARK)) if base == VENV else None
        if mark and mark.is_file(follow_symlinks=False):
            return self.found.rules.exempt_venv()
        if IGNORE_NAME in items and not self.found.rules.exempt(base):
            with self._watch(base + IGNORE_NAME):
                text = _read_ignore_file(fd, items[IGNORE_NAME], base + IGNORE_NAME)
                return self.found.rules.add(base, rules, text)
        return rules

    def _item(self, fd: int, item: os.DirEntry[str], path: str, rules: IgnoreRules) -> bool:
        """Takes in one item of the directory ``fd``; whether it is a directory to go into."""
        is_dir = item.is_dir(follow_symlinks=False)
        if not self.found.admits(path, rules, directory=is_dir):
            return False
        if item.is_symlink():
            target = os.readlink(os.fsencode(item.name), dir_fd=fd)
            self.found.links[path] = target.decode("utf-8", "surrogateescape")
        elif item.is_file(follow_symlinks=False):
            self.found.files.append(path)
            self.found.size += item.stat(follow_symlinks=False).st_size
        elif not is_dir:
            self.found.problems.append(special_file(path, item.stat(follow_symlinks=False).st_mode))
        return is_dir


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
