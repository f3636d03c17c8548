"""What goes into a capsule: read as far as it must be, and checked, before anything is written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from capsule_builder.agreement import entrypoints, missing_entrypoints
from capsule_builder.entries import Entry
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.found import Found
from capsule_builder.manifest import Manifest, load
from capsule_builder.paths import MANIFEST_NAME, shown
from capsule_builder.patterns import Patterns
from capsule_builder.python.bundled import INTERPRETER_LAYER, Bundled
from capsule_builder.python.bytecode import Compiler, find_compiler
from capsule_builder.python.environment import BASE_LAYER, Environment
from capsule_builder.python.gather import Gathered, gather
from capsule_builder.python.layout import INTERPRETER, VENV
from capsule_builder.request import PythonOptions, Source
from capsule_builder.requirements import Target
from capsule_builder.sources.plain import scan_plain
from capsule_builder.sources.tree import Tree

APP_LAYER = "app"
"""The name of the layer that holds the manifest and the sources of a capsule itself."""


@dataclass(frozen=True, slots=True)
class LayerInput:
    """One layer: its name, what to call it in messages, its entries, the requirements that were verified.

    The entries of a wheel come deflated. ``about`` is all that decides a layer, when that is known; otherwise None.
    """

    name: str
    owner: str
    entries: Iterable[Entry]
    verified: list[str] = field(default_factory=list)
    is_wheel: bool = False
    about: str | None = None


@dataclass(slots=True)
class Inputs:
    """All that goes into a capsule, checked as far as it can be before it is read."""

    source: Source
    manifest: Manifest
    manifest_bytes: bytes
    tree: Tree
    gathered: Gathered
    interpreter: Bundled | None
    compiler: Compiler | None
    left_out: Callable[[str], bool]
    warnings: list[Problem]

    @property
    def environment(self) -> Environment | None:
        """The Python environment, if there is one."""
        return self.gathered.environment

    @property
    def size(self) -> int:
        """The bytes to read, more or less."""
        return self.tree.size + (self.environment.size if self.environment else 0)

    @property
    def layer_count(self) -> int:
        """How many layers there are at most."""
        return 3 + (len(self.environment.parts) if self.environment else 0)

    @property
    def _has_interpreter(self) -> bool:
        """Whether the source has an environment with the interpreter beside it already, as a capsule has it."""
        target = f"../../{INTERPRETER}/bin/python"
        return any(end.startswith(target) for path, end in self.tree.links.items() if path.startswith(f"{VENV}/bin/"))

    def layers(self) -> Iterator[LayerInput]:
        """The layers, in order."""
        executables = Patterns(self.manifest.executables)
        app = self.tree.entries(self.manifest_bytes, executables, self.warnings, leave_out=self.left_out)
        yield LayerInput(APP_LAYER, self.source.path, app, self.gathered.requirements)
        environment = self.environment
        if environment:
            base = environment.layout.base_entries(bundled=self.interpreter is not None or self._has_interpreter)
            yield LayerInput(BASE_LAYER, f"{VENV}/", base)
            if self.interpreter:
                entries = self.interpreter.entries(executables, self.compiler)
                yield LayerInput(INTERPRETER_LAYER, f"{INTERPRETER}/", entries)
            for part, distribution in zip(environment.parts, environment.distributions, strict=True):
                owner, wheel = part.package.label, distribution.sha256
                entries = part.entries(environment.layout, executables, self.compiler)
                about = None
                if wheel and not self.compiler:
                    about = repr((wheel, owner, environment.layout, self.manifest.executables))
                yield LayerInput(part.name, owner, entries, [], is_wheel=bool(wheel), about=about)


def read_inputs(found: Found, python: PythonOptions, stack: contextlib.ExitStack) -> Inputs:
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
    gathered = Gathered()
    interpreter: Bundled | None = None
    compiler: Compiler | None = None
    try:
        gathered = gather(tree, manifest, python.wish, stack)
    except CapsuleError as error:
        problems += error.problems
    environment = gathered.environment
    bundled: str | None = None
    try:
        if python.interpreter and environment:
            target = Target(environment.layout.python, python.wish.platform)
            interpreter = Bundled(scan_plain(python.interpreter, "interpreter"), target)
            bundled = os.path.join(python.interpreter, "bin", f"python{target.python}")
        if python.bytecode and environment:
            compiler = stack.enter_context(find_compiler(environment.layout.python, python.compiler or bundled))
    except CapsuleError as error:
        problems += error.problems
    if not environment and not problems and (python.interpreter or python.bytecode):
        remedy = f"Make one: --wheels DIR, --venv DIR, or a finished one at {VENV}/ in the source."
        problems.append(Problem("environment-missing", "There is no Python environment to go with it", remedy))
    if problems:
        raise CapsuleError(dict.fromkeys(problems))
    warnings += environment.warnings if environment else []
    warnings += interpreter.warnings if interpreter else []
    warnings += found.remarks

    def left_out(path: str) -> bool:
        return bool(environment) and path.startswith(f"{VENV}/")

    return Inputs(source, manifest, manifest_bytes, tree, gathered, interpreter, compiler, left_out, warnings)


def _other_environments(tree: Tree) -> Iterator[Problem]:
    """A problem for each virtual environment that lies where nothing will look for it."""
    marked = {path.removesuffix("/pyvenv.cfg") for path in tree.files if path.endswith("/pyvenv.cfg")}
    programs = {path.removesuffix("/bin/python") for path in tree.paths() if path.endswith("/bin/python")}
    for place in sorted((marked & programs) - {VENV}):
        remedy = f"Name it with --venv if it is to be, or exclude it in .capsuleignore: /{shown(place)}/"
        yield Problem("venv-place", f"A virtual environment that is not the capsule's: {shown(place)}", remedy)
