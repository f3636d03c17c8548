"""A directory as a source: walked once, checked whole, then read in path order."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from capsule_builder.entries import Bytes, Directory, Entry, File, Symlink
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.links import links_problems
from capsule_builder.paths import MANIFEST_NAME, path_problem, raw, shown
from capsule_builder.patterns import Patterns
from capsule_builder.sources.files import open_regular, special_file, unreadable, vanished
from capsule_builder.sources.ignore import IGNORE_NAME, IgnoreRules

_MAX_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Tree:
    """What a directory holds, less what is ignored and what lies at ``capsule.yml``.

    ``files``, ``links`` (path to target) and ``empty`` directories, in no order; ``size`` is the sum of the files'
    sizes in bytes at the time of the walk. ``manifest_there`` tells whether something lies at ``capsule.yml``, and
    ``ignored`` whether a path below the directory would be left out (a directory's ends in ``/``).
    """

    root: str
    files: list[str]
    links: dict[str, str]
    empty: list[str]
    size: int
    manifest_there: bool
    ignored: Callable[[str], bool]

    def paths(self) -> Iterator[str]:
        """The paths of all entries, in no particular order."""
        yield from self.files
        yield from self.links
        yield from self.empty

    def entries(self, manifest: bytes, executables: Patterns, warnings: list[Problem]) -> Iterator[Entry]:
        """The entries in path order, with ``manifest`` as ``capsule.yml``.

        Files are opened and read one at a time, as the entries are asked for. Adds to ``warnings`` what the reader
        should know of executable bits.

        Raises:
            CapsuleError: files vanished, changed or cannot be read.
        """
        links, empty = self.links, frozenset(self.empty)
        dropped: list[str] = []
        libraries: list[str] = []
        paths = sorted({*self.paths(), MANIFEST_NAME})
        try:
            top = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise unreadable(self.root, error) from error
        try:
            for position, path in enumerate(paths):
                if path == MANIFEST_NAME:
                    yield File(path, executables.match(path), Bytes(manifest))
                elif path in links:
                    yield Symlink(path, links[path])
                elif path in empty:
                    yield Directory(path)
                else:
                    try:
                        file = open_regular(raw(path), path, dir_fd=top, follow=False)
                    except CapsuleError as error:
                        rest = [path for path in paths[position + 1 :] if path not in links and path not in empty]
                        raise CapsuleError([*error.problems, *_unopenable(rest, top)]) from error
                    try:
                        executable = file.program or executables.match(path)
                        if file.status.st_mode & stat.S_IXUSR and not executable:
                            (libraries if file.elf else dropped).append(path)
                        yield File(path, executable, file)
                    finally:
                        os.close(file.fd)
        finally:
            os.close(top)
        if dropped:
            warnings.append(_dropped(dropped))
        if libraries:
            warnings.append(_dropped_from_libraries(libraries))


def scan(root: str) -> tuple[Tree, list[Problem]]:
    """Walks the directory ``root`` with its ``.capsuleignore`` files; gives what fits in a capsule, and what does not.

    What lies at ``capsule.yml`` is not looked at, for the manifest takes its place.

    Raises:
        CapsuleError: ``root`` is not a directory, or cannot be read.
    """
    walk = _Walk(root)
    try:
        walk.run()
    finally:
        os.close(walk.top)
    paths = [*walk.files, *walk.links, *(f"{path}/" for path in walk.empty), MANIFEST_NAME]
    problems = walk.problems + links_problems(walk.links, paths)
    tree = Tree(root, walk.files, walk.links, walk.empty, walk.size, walk.manifest_there, walk.ignored)
    return tree, sorted(problems, key=lambda problem: problem.message)


class _Walk:
    def __init__(self, root: str) -> None:
        try:
            self.top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except NotADirectoryError:
            raise refusal("source-missing", f"Source is not a directory: {shown(root)}", "Name a directory.") from None
        except FileNotFoundError:
            raise refusal(
                "source-missing", f"Source directory not found: {shown(root)}", "Name an existing one."
            ) from None
        except OSError as error:
            raise unreadable(root, error) from error
        self.root = root
        self.files: list[str] = []
        self.links: dict[str, str] = {}
        self.empty: list[str] = []
        self.size = 0
        self.problems: list[Problem] = []
        self.manifest_there = False
        self.rules: dict[str, IgnoreRules] = {}  # of directories that have an ignore file

    def ignored(self, path: str) -> bool:
        """Whether a path would have been left out, with what it lies below."""
        rules = self.rules.get("", IgnoreRules.defaults())
        parts = path.removesuffix("/").split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth]) + "/"
            if rules.ignored(above):
                return True
            rules = self.rules.get(above, rules)
        return rules.ignored(path)

    def run(self) -> None:
        todo = [("", IgnoreRules.defaults())]
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
            self.problems += error.problems
        except FileNotFoundError:
            self.problems += vanished(path).problems
        except OSError as error:
            self.problems += unreadable(path, error).problems

    def _directory(self, base: str, rules: IgnoreRules) -> tuple[list[str], IgnoreRules]:
        """Takes in one directory; gives its subdirectories and the rules that hold there."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(raw(base) or b".", flags, dir_fd=self.top)
        try:
            with os.scandir(fd) as listing:
                items = list(listing)
            if ignore_file := next((item for item in items if item.name == IGNORE_NAME), None):
                with self._watch(base + IGNORE_NAME):
                    rules = rules.below(base, _read_ignore_file(fd, ignore_file, base + IGNORE_NAME))
                    self.rules[base] = rules
            below: list[str] = []
            for item in items:
                path = base + os.fsencode(item.name).decode("utf-8", "surrogateescape")
                with self._watch(path):
                    if self._item(fd, item, path, rules):
                        below.append(path)
            if not items and base:
                self.empty.append(base.removesuffix("/"))
        finally:
            os.close(fd)
        return below, rules

    def _item(self, fd: int, item: os.DirEntry[str], path: str, rules: IgnoreRules) -> bool:
        """Takes in one item of the directory ``fd``; whether it is a directory to go into."""
        is_dir = item.is_dir(follow_symlinks=False)
        if rules.ignored(path + "/" if is_dir else path):
            return False
        if problem := path_problem(path):
            self.problems.append(problem)
        elif path == MANIFEST_NAME:
            self.manifest_there = True
        elif is_dir:
            return True
        elif item.is_symlink():
            target = os.readlink(os.fsencode(item.name), dir_fd=fd)
            self.links[path] = target.decode("utf-8", "surrogateescape")
        elif item.is_file(follow_symlinks=False):
            self.files.append(path)
            self.size += item.stat(follow_symlinks=False).st_size
        else:
            self.problems.append(special_file(path, item.stat(follow_symlinks=False).st_mode))
        return False


def _read_ignore_file(directory: int, item: os.DirEntry[str], path: str) -> bytes:
    if item.is_symlink():  # as in git, none is followed; but to pass it over could let a secret in
        raise CapsuleError([special_file(path, stat.S_IFLNK, "Put a file in its place: a link is not followed.")])
    file = open_regular(IGNORE_NAME, path, dir_fd=directory, follow=False)
    try:
        text = b"".join(file.chunks())
    finally:
        os.close(file.fd)
    if b"\0" in text:  # UTF-16, most likely: every one of its patterns would match nothing
        raise refusal("ignore-encoding", f"Not a text file in UTF-8: {shown(path)}", "Save it as UTF-8.")
    return text


def _unopenable(paths: list[str], top: int) -> Iterator[Problem]:
    for path in paths:
        if path == MANIFEST_NAME:
            continue
        try:
            os.close(open_regular(raw(path), path, dir_fd=top, follow=False).fd)
        except CapsuleError as error:
            yield from error.problems


def _dropped(paths: list[str]) -> Problem:
    """The warning for executable bits that the content does not bear out."""
    named = ", ".join(shown(path) for path in paths[:_MAX_SHOWN])
    more = f" and {len(paths) - _MAX_SHOWN} more" if len(paths) > _MAX_SHOWN else ""
    lines = "".join(f"\n    - {_pattern(path)}" for path in paths[:_MAX_SHOWN])
    return Problem(
        "executable-dropped",
        f"Executable bit dropped, for the content is neither a script nor a program: {named}{more}",
        f"If they are to be executable, add to the manifest:\n  executables:{lines}",
    )


def _dropped_from_libraries(paths: list[str]) -> Problem:
    """The same for shared libraries, which every wheel has: one line, however many there are."""
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
