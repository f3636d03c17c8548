"""What a walk over a tree has found so far: what fits in a capsule, and what does not."""

from __future__ import annotations

import os
from array import array
from collections.abc import Collection

from capsule_builder.errors import Problem
from capsule_builder.links import links_problems
from capsule_builder.paths import MANIFEST_NAME, path_problem
from capsule_builder.sources.ignore import IgnoreRules, TreeRules

_SHORT, _SHORT_NAME = 1024, 64  # characters: no path of these is too long, whatever they are


class Survey:
    """Filled by the walk over a directory or a ZIP; ``files`` and the like are those of a ``Tree``.

    ``sizes`` are those of the files of a directory, in bytes.
    ``without`` are directories to leave out whatever the rules say; each ends in ``/``.
    """

    def __init__(self, without: Collection[str] = ()) -> None:
        self._without = without
        self.files: list[str] = []
        self.links: dict[str, str] = {}
        self.empty: list[str] = []
        self.size = 0
        self.sizes = array("Q")
        self.manifest_there = False
        self.rules = TreeRules()
        self.problems: list[Problem] = []

    def admits_all(self, base: str, names: Collection[str], rules: IgnoreRules) -> bool:
        """Whether it is plain, without a look at each, that all that the directory ``base`` holds is to be taken in.

        All but what lies at ``capsule.yml``, that is. ``base`` is empty or ends in ``/``; ``names`` are those of its
        items.
        """
        joined = "/".join(names)
        if self._without or not rules.spare(joined):
            return False
        if self.rules.exempt(base):
            return True
        if not (joined.isascii() and joined.isprintable()) or "\\" in joined or (not base and "-" in names):
            return False
        return len(base) < _SHORT and (len(joined) < _SHORT_NAME or max(map(len, names)) < _SHORT_NAME)

    def admits(self, path: str, rules: IgnoreRules, *, directory: bool) -> bool:
        """Whether ``path`` is to be taken in: not ignored by the ``rules`` where it lies, nor refused for its name.

        What lies at ``capsule.yml`` is not taken in, for the manifest takes its place.
        """
        asked = path + "/" if directory else path
        if asked in self._without or rules.ignored(asked):
            return False
        harmless = self.rules.exempt(path) or (directory and path == "-")  # sha256sum is told of files alone
        if not harmless and (problem := path_problem(path)):
            self.problems.append(problem)
            return False
        if path == MANIFEST_NAME:
            self.manifest_there = True
            return False
        return True

    def add_files(self, regular: Collection[tuple[str, os.stat_result]]) -> None:
        """Takes in regular files, each with its status."""
        self.files += [path for path, _ in regular]
        sizes = [status.st_size for _, status in regular]
        self.sizes.extend(sizes)
        self.size += sum(sizes)

    def all_problems(self) -> list[Problem]:
        """What was found, with what is wrong with the links, in the order of the messages."""
        paths = [*self.files, *self.links, *(f"{path}/" for path in self.empty), MANIFEST_NAME]
        found = links_problems(self.links, paths, judged=lambda path: not self.rules.exempt(path))
        return sorted([*self.problems, *found], key=lambda problem: problem.message)
