"""A list of files with their places, as a Bazel action gets it: the second source."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping

from capsule_builder.entries import Bytes, Directory, Entry, File, Symlink
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import MANIFEST_NAME, path_problem, raw, shown
from capsule_builder.patterns import Patterns
from capsule_builder.sources.files import open_regular, sha256_of


class FileList:
    """Files on disk and where they go; links and empty directories besides.

    Whether a file on disk is itself a link is not looked at: in a sandbox all of them are. A place that is named twice
    is no matter if the content is the same, and a problem if it is not.
    """

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.empty: dict[str, None] = {}
        self.problems: list[Problem] = []

    def add_file(self, path: str, file: str) -> None:
        """Puts the file on disk named ``file`` at ``path``."""
        if not self._taken(path, f"file {file}", self.links) and self._same_content(path, file):
            self.files[path] = file

    def add_link(self, path: str, target: str) -> None:
        """Puts a symbolic link at ``path``."""
        if self._taken(path, f"link to {target}", self.files):
            return
        if self.links.setdefault(path, target) != target:
            self._conflict(path, f"link to {self.links[path]}", f"link to {target}")

    def add_empty(self, path: str) -> None:
        """Makes a directory at ``path``, in case nothing else does."""
        self.empty[path] = None

    def entries(self, executables: Patterns, manifest: bytes | None = None) -> Iterator[Entry]:
        """The entries in path order; with ``manifest`` as ``capsule.yml`` if there is one.

        Raises:
            CapsuleError: a path is refused, a place is taken twice, a file cannot be read.
        """
        paths = {*self.files, *self.links, *self.empty, *([MANIFEST_NAME] if manifest is not None else [])}
        for path in self.empty:
            if path in self.files or path in self.links or (path == MANIFEST_NAME and manifest is not None):
                self._conflict(path, "an empty directory", self.files.get(path, "a link or the manifest"))
        if manifest is not None and MANIFEST_NAME in self.links:
            self._conflict(MANIFEST_NAME, "the manifest", f"link to {self.links[MANIFEST_NAME]}")
        above = {path[:end] for path in paths for end in _slashes(path)}
        bad = [problem for path in sorted(paths) if (problem := path_problem(path))]
        if self.problems or bad:
            raise CapsuleError([*self.problems, *bad])
        for path in sorted(paths):
            if path == MANIFEST_NAME and manifest is not None:
                yield File(path, executables.match(path), Bytes(manifest))
            elif path in self.links:
                yield Symlink(path, self.links[path])
            elif path in self.files:
                file = open_regular(raw(self.files[path]), path, follow=True, remedy=_NAME_FILES)
                try:
                    program = file.program
                    named = not program and executables.match(path)
                    yield File(path, program or named, file, named)
                finally:
                    os.close(file.fd)
            elif path not in above:
                yield Directory(path)

    def replaces(self, manifest: bytes) -> str | None:
        """The file whose place ``manifest`` takes as ``capsule.yml``, if there is one that differs from it."""
        file = self.files.get(MANIFEST_NAME)
        return file if file is not None and sha256_of(file, file) != hashlib.sha256(manifest).hexdigest() else None

    def _taken(self, path: str, what: str, others: Mapping[str, str]) -> bool:
        if path in others:
            self._conflict(path, others[path], what)
        return path in others

    def _same_content(self, path: str, file: str) -> bool:
        first = self.files.get(path)
        if first is None or first == file or sha256_of(first, first) == sha256_of(file, file):
            return True
        self._conflict(path, first, file)
        return False

    def _conflict(self, path: str, one: str, other: str) -> None:
        self.problems.append(
            Problem(
                "place-taken",
                f"Two sources for {shown(path)}: {shown(one)} and {shown(other)}",
                "Leave one out, or give it another place (renames, package_dir, strip_prefix).",
            )
        )


_NAME_FILES = "Name the files in it (glob), have the action that made it copy what its links lead to, or use symlinks."


def _slashes(path: str) -> Iterator[int]:
    return (position for position, char in enumerate(path) if char == "/")
