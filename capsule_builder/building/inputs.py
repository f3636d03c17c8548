"""What goes into a capsule: read as far as it must be, and checked, before anything is written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from capsule_builder.agreement import entrypoints, missing_entrypoints
from capsule_builder.building.found import Found
from capsule_builder.building.request import PythonOptions, Source
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.layer import LayerInput
from capsule_builder.manifest import Manifest, load
from capsule_builder.paths import MANIFEST_NAME, shown
from capsule_builder.patterns import Patterns
from capsule_builder.python.layout import INTERPRETER, VENV
from capsule_builder.sources.tree import Tree

if TYPE_CHECKING:
    from capsule_builder.python.ingredients import Ingredients

APP_LAYER = "app"
"""The name of the layer that holds the manifest and the sources of a capsule itself."""


class Inputs(NamedTuple):
    """All that goes into a capsule, checked as far as it can be before it is read.

    ``python`` is None when nothing asked for it.
    """

    source: Source
    manifest: Manifest
    manifest_bytes: bytes
    tree: Tree
    python: Ingredients | None
    left_out: Callable[[str], bool]
    warnings: list[Problem]

    @property
    def notes(self) -> list[str]:
        """What is worth knowing and calls for nothing."""
        return self.python.gathered.notes if self.python else []

    @property
    def leftovers(self) -> list[Problem]:
        """Problems that only come to light while the layers are read: to be looked at after that."""
        return self.python.leftovers if self.python else []

    @property
    def size(self) -> int:
        """The bytes to read, more or less."""
        return self.tree.size + (self.python.size if self.python else 0)

    @property
    def layer_count(self) -> int:
        """How many layers there are at most."""
        return 1 + (self.python.layer_count if self.python else 0)

    def layers(self) -> Iterator[LayerInput]:
        """The layers, in order."""
        executables = Patterns(self.manifest.executables)
        app = self.tree.entries(self.manifest_bytes, executables, self.warnings, leave_out=self.left_out)
        yield LayerInput(APP_LAYER, self.source.path, app, self.python.gathered.requirements if self.python else ())
        if self.python:
            yield from self.python.layers(executables)


def read_inputs(found: Found, python: PythonOptions, stack: contextlib.ExitStack, *, jobs: int = 1) -> Inputs:
    """Everything that goes in; what is opened stays open for as long as ``stack`` does.

    Raises:
        CapsuleError: all that is wrong with any of it.
    """
    source, tree = found.source, found.tree
    problems: list[Problem] = [*found.problems]
    warnings: list[Problem] = []
    manifest: Manifest | None = None
    manifest_bytes = found.manifest
    try:
        if manifest_bytes is not None:
            manifest, doubts = load(manifest_bytes, found.label)
            warnings += doubts
    except CapsuleError as error:
        problems[:0] = error.problems
    if not manifest or not tree or manifest_bytes is None:
        raise CapsuleError(problems)

    problems += _other_environments(tree)
    in_environment = [path for path in entrypoints(manifest) if path.startswith((f"{VENV}/", f"{INTERPRETER}/"))]
    problems += missing_entrypoints(manifest, tree.links, [MANIFEST_NAME, *tree.files, *in_environment])
    ingredients: Ingredients | None = None
    if tree.has_venv or manifest.pip_requirements or python != PythonOptions():
        # Reading environments takes much longer to import than a small application takes to pack.
        from capsule_builder.python.ingredients import read_ingredients

        ingredients, wrong = read_ingredients(tree, manifest, python, stack, jobs=jobs)
        problems += wrong
    environment = ingredients.environment if ingredients else None
    if not environment and not problems and (python.interpreter or python.bytecode):
        remedy = f"Make one: --wheels DIR, --venv DIR, or a finished one at {VENV}/ in the source."
        problems.append(Problem("environment-missing", "There is no Python environment to go with it", remedy))
    if problems:
        raise CapsuleError(dict.fromkeys(problems))
    warnings += ingredients.warnings if ingredients else []
    warnings += found.remarks

    def left_out(path: str) -> bool:
        return bool(environment) and path.startswith(f"{VENV}/")

    return Inputs(source, manifest, manifest_bytes, tree, ingredients, left_out, warnings)


def _other_environments(tree: Tree) -> Iterator[Problem]:
    """A problem for each virtual environment that lies where nothing will look for it."""
    marked = {path.removesuffix("/pyvenv.cfg") for path in tree.files if path.endswith("/pyvenv.cfg")}
    programs = {path.removesuffix("/bin/python") for path in tree.paths() if path.endswith("/bin/python")}
    for place in sorted((marked & programs) - {VENV}):
        remedy = f"Name it with --venv if it is to be, or exclude it in .capsuleignore: /{shown(place)}/"
        yield Problem("venv-place", f"A virtual environment that is not the capsule's: {shown(place)}", remedy)
