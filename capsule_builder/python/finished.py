"""A finished virtual environment, in a directory or in a ZIP, as an environment of a capsule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.python.environment import Environment, Part
from capsule_builder.python.layout import Layout
from capsule_builder.python.package import Opened, Origin
from capsule_builder.python.relocate import relocate
from capsule_builder.python.tree import VenvTree
from capsule_builder.requirements import Distribution
from capsule_builder.sources.tree import Tree


class Below:
    """What lies below a directory of a tree, as an environment to be relocated."""

    def __init__(self, tree: Tree, directory: str) -> None:
        prefix = f"{directory}/"
        self.label = directory
        self.files = frozenset(path[len(prefix) :] for path in tree.files if path.startswith(prefix))
        self.links: Mapping[str, str] = {
            path[len(prefix) :]: target for path, target in tree.links.items() if path.startswith(prefix)
        }
        self._tree = tree
        self._prefix = prefix

    def origin(self, path: str) -> Origin:
        """Where the content of a file comes from."""
        return _TreeOrigin(self._tree, self._prefix + path)


class _TreeOrigin:
    def __init__(self, tree: Tree, path: str) -> None:
        self._tree = tree
        self._path = path

    def opened(self) -> AbstractContextManager[Opened]:
        return self._tree.opened(self._path)


def from_finished(tree: VenvTree, python: str | None, places: Iterable[str]) -> Environment:
    """The environment that ``tree`` holds; ``places`` are the absolute paths by which it can be reached now.

    Raises:
        CapsuleError: it cannot be moved, or nobody can tell what belongs to it; all reasons at once.
    """
    found = relocate(tree, python, places)
    problems: list[Problem] = []
    distributions: list[Distribution] = []
    for info in found.distributions:
        try:
            distributions.append(
                Distribution.from_metadata(info.metadata, info.wheel, where=info.label, direct_url=info.direct_url)
            )
        except CapsuleError as error:
            problems += error.problems
    if problems:
        raise CapsuleError(problems)
    parts = [Part(package.dist_info.removesuffix(".dist-info"), package) for package in found.packages]
    return Environment(tree.label, Layout(found.python), parts, distributions, found.warnings, found.leftovers)
