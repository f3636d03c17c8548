"""All that is Python in a capsule: its environment, the interpreter beside it, and what compiles both."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from capsule_builder.building.request import PythonOptions
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.layer import LayerInput
from capsule_builder.manifest.model import Manifest
from capsule_builder.patterns import Patterns
from capsule_builder.python.bundled import INTERPRETER_LAYER, Bundled
from capsule_builder.python.bytecode import Compiler, find_compiler
from capsule_builder.python.environment import BASE_LAYER, Environment, Part
from capsule_builder.python.gather import Gathered, gather
from capsule_builder.python.layout import INTERPRETER, VENV, Layout
from capsule_builder.requirements.target import Target
from capsule_builder.sources.plain import scan_plain
from capsule_builder.sources.tree import Tree


@dataclass(frozen=True, slots=True)
class Ingredients:
    """What was gathered, the interpreter to bundle, and what compiles; ``manifest`` names what is executable.

    ``has_interpreter`` tells that the source has one beside its environment already, as a capsule has it.
    """

    manifest: Manifest
    gathered: Gathered
    interpreter: Bundled | None
    compiler: Compiler | None
    has_interpreter: bool

    @property
    def environment(self) -> Environment | None:
        """The Python environment, if there is one."""
        return self.gathered.environment

    @property
    def warnings(self) -> list[Problem]:
        """For people."""
        found = [*self.environment.warnings] if self.environment else []
        return [*found, *self.interpreter.warnings] if self.interpreter else found

    @property
    def leftovers(self) -> list[Problem]:
        """Problems that only come to light while the layers are read: to be looked at after that."""
        return self.environment.leftovers if self.environment else []

    @property
    def size(self) -> int:
        """The bytes of the environment, more or less."""
        return self.environment.size if self.environment else 0

    @property
    def layer_count(self) -> int:
        """How many layers there are at most."""
        return 2 + len(self.environment.parts) if self.environment else 0

    def layers(self, executables: Patterns) -> Iterator[LayerInput]:
        """The layers, in order."""
        environment = self.environment
        if not environment:
            return
        base = environment.layout.base_entries(bundled=self.interpreter is not None or self.has_interpreter)
        yield LayerInput(BASE_LAYER, f"{VENV}/", base)
        if self.interpreter:
            entries = self.interpreter.entries(executables, self.compiler)
            yield LayerInput(INTERPRETER_LAYER, f"{INTERPRETER}/", entries)
        for part in environment.parts:
            owner = part.package.label
            entries = part.entries(environment.layout, executables, self.compiler)
            alone = part.sha256 and not self.compiler
            about = partial(self._about, part, environment.layout) if alone else None
            size = part.size if alone else 0
            yield LayerInput(part.name, owner, entries, (), is_wheel=part.sha256 is not None, size=size, about=about)

    def _about(self, part: Part, layout: Layout) -> str:
        sha256 = part.sha256() if part.sha256 else ""
        return repr((sha256, part.package.label, layout.python, self.manifest.executables))


def read_ingredients(
    tree: Tree, manifest: Manifest, python: PythonOptions, stack: contextlib.ExitStack, *, jobs: int = 1
) -> tuple[Ingredients, list[Problem]]:
    """Everything that is Python, and all that is wrong with it; wheels stay open for as long as ``stack`` does."""
    problems: list[Problem] = []
    gathered = Gathered()
    interpreter: Bundled | None = None
    compiler: Compiler | None = None
    bundled: str | None = None
    try:
        gathered = gather(tree, manifest, python.wish, stack, jobs=jobs)
    except CapsuleError as error:
        problems += error.problems
    environment = gathered.environment
    try:
        if python.interpreter and environment:
            target = Target(environment.layout.python, python.wish.platform)
            interpreter = Bundled(scan_plain(python.interpreter, "interpreter"), target)
            bundled = os.path.join(python.interpreter, "bin", f"python{target.python}")
        if python.bytecode and environment:
            compiler = stack.enter_context(find_compiler(environment.layout.python, python.compiler or bundled))
    except CapsuleError as error:
        problems += error.problems
    return Ingredients(manifest, gathered, interpreter, compiler, _has_interpreter(tree)), problems


def _has_interpreter(tree: Tree) -> bool:
    target = f"../../{INTERPRETER}/bin/python"
    return any(end.startswith(target) for path, end in tree.links.items() if path.startswith(f"{VENV}/bin/"))
