"""What goes into a capsule: read as far as it must be, and checked, before anything is written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from capsule_builder.agreement import entrypoints, missing_entrypoints
from capsule_builder.entries import Entry
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.manifest import Manifest, load
from capsule_builder.paths import MANIFEST_NAME, shown
from capsule_builder.patterns import Patterns
from capsule_builder.python.bundled import INTERPRETER_LAYER, Bundled
from capsule_builder.python.bytecode import Compiler, find_compiler
from capsule_builder.python.environment import BASE_LAYER, Environment
from capsule_builder.python.gather import Gathered, Wish, gather
from capsule_builder.python.layout import INTERPRETER, VENV
from capsule_builder.requirements import Target
from capsule_builder.sources import directory, ziptree
from capsule_builder.sources.files import read_manifest
from capsule_builder.sources.plain import scan_plain
from capsule_builder.sources.tree import Tree

APP_LAYER = "app"
"""The name of the layer that holds the manifest and the sources of a capsule itself."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the application lies: the directory ``path``, or a ZIP, whose names lose ``strip_components`` parts."""

    path: str
    is_zip: bool = False
    strip_components: int = 0


@dataclass(frozen=True, slots=True)
class PythonOptions:
    """How the Python environment is made.

    ``wish`` says of what; ``interpreter`` is a directory with a relocatable Python to bundle; with ``bytecode`` it is
    compiled, by the interpreter ``compiler`` if one is named.
    """

    wish: Wish = field(default_factory=Wish)
    interpreter: str | None = None
    bytecode: bool = False
    compiler: str | None = None


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

    def layers(self) -> Iterator[tuple[str, str, Iterable[Entry], list[str]]]:
        """The layers: name, owner, entries, and the requirements that were verified."""
        executables = Patterns(self.manifest.executables)
        app = self.tree.entries(self.manifest_bytes, executables, self.warnings, leave_out=self.left_out)
        yield APP_LAYER, self.source.path, app, self.gathered.requirements
        environment = self.environment
        if environment:
            base = environment.layout.base_entries(bundled=self.interpreter is not None or self._has_interpreter)
            yield BASE_LAYER, f"{VENV}/", base, []
            if self.interpreter:
                yield INTERPRETER_LAYER, f"{INTERPRETER}/", self.interpreter.entries(executables, self.compiler), []
            for part in environment.parts:
                yield part.name, part.package.label, part.entries(environment.layout, executables, self.compiler), []


def read_inputs(
    source: Source, manifest_path: str | None, python: PythonOptions, stack: contextlib.ExitStack
) -> Inputs:
    """Everything that goes in; what is opened stays open for as long as ``stack`` does.

    Raises:
        CapsuleError: all that is wrong with any of it.
    """
    problems: list[Problem] = []
    warnings: list[Problem] = []
    manifest: Manifest | None = None
    manifest_bytes = b""
    tree: Tree | None = None
    try:
        tree, unfit = _scan(source, [python.wish.venv, python.wish.wheels, python.interpreter])
        stack.enter_context(tree)
        problems += unfit
    except CapsuleError as error:
        problems += error.problems
    try:
        manifest_bytes, label = _manifest(source, manifest_path, tree)
        manifest, found = load(manifest_bytes, label)
        warnings += found
    except CapsuleError as error:
        problems[:0] = error.problems
    if not manifest or not tree:
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
    warnings += _replaced(source, manifest_path, tree)

    def left_out(path: str) -> bool:
        return bool(environment) and path.startswith(f"{VENV}/")

    return Inputs(source, manifest, manifest_bytes, tree, gathered, interpreter, compiler, left_out, warnings)


def _scan(source: Source, ingredients: list[str | None]) -> tuple[Tree, list[Problem]]:
    """The source's tree, without the ``ingredients`` of the environment, in case they lie in it."""
    if source.is_zip:
        return ziptree.scan_zip(source.path, source.strip_components)
    return directory.scan(source.path, without=[_below(source, path) for path in ingredients if path])


def _manifest(source: Source, path: str | None, tree: Tree | None) -> tuple[bytes, str]:
    """The manifest's bytes, and what messages call it."""
    if path is None and source.is_zip:
        if not isinstance(tree, ziptree.ZipTree):  # there is nothing to look into, which is told already
            raise CapsuleError([])
        return tree.manifest(), f"{source.path}/{MANIFEST_NAME}"
    path = path or os.path.join(source.path, MANIFEST_NAME)
    return read_manifest(path), path


def _below(source: Source, path: str) -> str:
    """The path of the directory ``path`` in the source, with a ``/`` at its end; empty when it lies elsewhere."""
    relative = os.path.relpath(os.path.realpath(path), os.path.realpath(source.path))
    outside = relative == os.curdir or relative == os.pardir or relative.startswith(os.pardir + os.sep)
    return "" if outside else relative + "/"


def _other_environments(tree: Tree) -> Iterator[Problem]:
    """A problem for each virtual environment that lies where nothing will look for it."""
    marked = {path.removesuffix("/pyvenv.cfg") for path in tree.files if path.endswith("/pyvenv.cfg")}
    programs = {path.removesuffix("/bin/python") for path in tree.paths() if path.endswith("/bin/python")}
    for place in sorted((marked & programs) - {VENV}):
        remedy = f"Name it with --venv if it is to be, or exclude it in .capsuleignore: /{shown(place)}/"
        yield Problem("venv-place", f"A virtual environment that is not the capsule's: {shown(place)}", remedy)


def _replaced(source: Source, manifest_path: str | None, tree: Tree) -> Iterator[Problem]:
    """A warning when the source has another ``capsule.yml`` than the manifest."""
    if not tree.manifest_there or manifest_path is None:
        return
    own = os.path.join(source.path, MANIFEST_NAME)
    if source.is_zip or not (os.path.exists(own) and os.path.samefile(own, manifest_path)):
        message = f"{shown(own)} is left out: {shown(manifest_path)} takes its place as {MANIFEST_NAME}"
        yield Problem("manifest-replaced", message)
