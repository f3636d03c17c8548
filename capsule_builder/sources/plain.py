"""A directory with all that it holds, and no rules: an environment or an interpreter that is named on its own."""

from __future__ import annotations

import os
from dataclasses import dataclass

from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import raw, shown
from capsule_builder.sources.files import OpenFile, open_regular, special_file, unreadable


@dataclass(frozen=True, slots=True)
class PlainTree:
    """The files and links (path to target) below ``root``, by their paths from there; ``label`` is for messages."""

    root: str
    label: str
    files: frozenset[str]
    links: dict[str, str]

    def origin(self, path: str) -> FileOrigin:
        """Where the content of a file comes from."""
        return FileOrigin(self.root, path)


@dataclass(frozen=True, slots=True)
class FileOrigin:
    """A file on disk that is opened when it is wanted: ``path`` below ``root``."""

    root: str
    path: str

    def opened(self) -> OpenFile:
        """Opens it.

        Raises:
            CapsuleError: it is gone, cannot be read, or is no regular file.
        """
        return open_regular(os.path.join(os.fsencode(self.root), raw(self.path)), self.path, follow=False)


def scan_plain(root: str, what: str) -> PlainTree:
    """Walks the directory ``root``; ``what`` says for messages what it is to be ("virtual environment").

    Raises:
        CapsuleError: it is no directory, cannot be read, or holds what is no file, link or directory.
    """
    if not os.path.isdir(root):
        raise refusal("source-missing", f"No such directory ({what}): {shown(root)}", "Name an existing one.")
    files: set[str] = set()
    links: dict[str, str] = {}
    problems: list[Problem] = []
    todo = [""]
    while todo:
        base = todo.pop()
        try:
            with os.scandir(os.path.join(os.fsencode(root), raw(base))) as listing:
                items = list(listing)
        except OSError as error:
            problems += unreadable(base or root, error).problems
            continue
        for item in items:
            path = base + item.name.decode("utf-8", "surrogateescape")
            try:
                if item.is_symlink():
                    links[path] = os.readlink(item.path).decode("utf-8", "surrogateescape")
                elif item.is_dir():
                    todo.append(f"{path}/")
                elif item.is_file():
                    files.add(path)
                else:
                    problems.append(special_file(path, item.stat(follow_symlinks=False).st_mode))
            except OSError as error:
                problems += unreadable(path, error).problems
    if problems:
        raise CapsuleError(problems)
    return PlainTree(root, root, frozenset(files), links)
