"""From a directory or a ZIP to a finished archive: the whole way, for the command line and for programs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from capsule_builder import capsule
from capsule_builder.agreement import entrypoints, missing_entrypoints
from capsule_builder.archive.members import DEFAULT_LEVEL
from capsule_builder.entries import Entry
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.layer import LayerFiles, Progress, write_layer
from capsule_builder.manifest import Manifest, load
from capsule_builder.metadata import UNSTAMPED, BuildFacts
from capsule_builder.output import NewFile, undisturbed
from capsule_builder.paths import MANIFEST_NAME, shown
from capsule_builder.patterns import Patterns
from capsule_builder.python.bundled import INTERPRETER_LAYER, Bundled
from capsule_builder.python.bytecode import Compiler, find_compiler
from capsule_builder.python.environment import BASE_LAYER, Environment
from capsule_builder.python.gather import Gathered, Wish, gather
from capsule_builder.python.layout import INTERPRETER, VENV
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


@dataclass(frozen=True, slots=True)
class Built:
    """A capsule that was built.

    ``id`` is 64 hex digits; ``archive`` the path it was written to, ``size`` its length in bytes, ``archive_sha256``
    its SHA-256 (None unless it was asked for); ``files`` counts files; ``warnings`` and ``notes`` are for people.
    """

    id: str
    name: str
    version: str
    archive: str
    archive_sha256: str | None
    size: int
    files: int
    warnings: tuple[Problem, ...]
    notes: tuple[str, ...] = ()


def build(
    source: Source,
    manifest_path: str | None = None,
    *,
    output: str | None = None,
    python: PythonOptions | None = None,
    level: int = DEFAULT_LEVEL,
    jobs: int = 1,
    build: BuildFacts = UNSTAMPED,
    hash_archive: bool = False,
    progress: Callable[[int], AbstractContextManager[Progress]] | None = None,
    before_commit: Callable[[], None] | None = None,
) -> Built:
    """Builds the capsule of ``source`` and puts it at ``output``.

    The manifest is the source's own ``capsule.yml`` unless one is named; ``output`` is
    ``capsule-<name>-<short id>.tar.gz`` in the current directory unless given. ``progress`` gets the number of bytes to
    read and gives what is told of each piece. ``before_commit`` is called when nothing is left to do but to put the
    archive in its place.

    Raises:
        CapsuleError: the manifest, the tree, the environment or the place of the output is refused: every reason that
            can be found, at once.
        OSError: the archive cannot be written. Nothing is left behind, and an older file of that name is as it was.
    """
    place = os.path.dirname(output or "") or "."
    options = python or PythonOptions()
    with contextlib.ExitStack() as stack:
        inputs = _inputs(source, manifest_path, options, stack)
        manifest = inputs.manifest
        _check_output(inputs.tree, source, output or capsule.archive_name(manifest.name, "<short id>"))
        stack.enter_context(_named(output or place))
        told = stack.enter_context(progress(inputs.size)) if progress else None

        layers: list[capsule.Layer] = []
        problems: list[Problem] = []
        for name, owner, entries, verified in inputs.layers():
            files = LayerFiles(*(stack.enter_context(tempfile.TemporaryFile(dir=place)) for _ in range(3)))
            try:
                write_layer(entries, files, level=level, jobs=jobs, progress=told, verified=verified)
            except CapsuleError as error:
                problems += error.problems
            layers.append(capsule.Layer(name, owner, files))
        if inputs.environment:
            problems += inputs.environment.leftovers
        if problems:
            raise CapsuleError(dict.fromkeys(problems))

        listing, index = (stack.enter_context(tempfile.TemporaryFile(dir=place)) for _ in range(2))
        merged = capsule.merge(layers, manifest, listing, verify_requirements=options.wish.verify)
        digest = hashlib.sha256() if hash_archive else None
        archive = output or capsule.archive_name(manifest.name, merged.id)
        with undisturbed():
            new = stack.enter_context(NewFile(archive))
        capsule.write_archive(new.file, index, merged, layers, manifest, level=level, build=build, digest=digest)
        if before_commit:
            before_commit()
        new.commit()
        return Built(
            id=merged.id,
            name=manifest.name,
            version=manifest.version,
            archive=archive,
            archive_sha256=digest.hexdigest() if digest else None,
            size=os.stat(archive).st_size,
            files=merged.files,
            warnings=(*inputs.warnings, *merged.warnings),
            notes=tuple(inputs.gathered.notes),
        )


@dataclass(slots=True)
class _Inputs:
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
        return self.gathered.environment

    @property
    def size(self) -> int:
        """The bytes to read, more or less."""
        return self.tree.size + (self.environment.size if self.environment else 0)

    @property
    def _has_interpreter(self) -> bool:
        """Whether the source has an environment with the interpreter beside it already, as a capsule has it."""
        target = f"../../{INTERPRETER}/bin/python"
        return any(end.startswith(target) for path, end in self.tree.links.items() if path.startswith(f"{VENV}/bin/"))

    def layers(self) -> Iterator[tuple[str, str, Iterable[Entry], list[str]]]:
        """The layers: name, owner, entries, and the requirements that were verified."""
        executables = Patterns(self.manifest.executables)
        app = self.tree.entries(self.manifest_bytes, executables, self.warnings, leave_out=self.left_out)
        yield APP_LAYER, self.source.path, app, self.gathered.verified
        environment = self.environment
        if environment:
            base = environment.layout.base_entries(bundled=self.interpreter is not None or self._has_interpreter)
            yield BASE_LAYER, f"{VENV}/", base, []
            if self.interpreter:
                yield INTERPRETER_LAYER, f"{INTERPRETER}/", self.interpreter.entries(executables), []
            for part in environment.parts:
                yield part.name, part.package.label, part.entries(environment.layout, executables, self.compiler), []


def _inputs(source: Source, manifest_path: str | None, python: PythonOptions, stack: contextlib.ExitStack) -> _Inputs:
    """Everything, read as far as it must be; or all that is wrong with any of it."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    manifest: Manifest | None = None
    manifest_bytes = b""
    tree: Tree | None = None
    try:
        tree, unfit = _scan(source, _below(source, python.wish.venv))
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
    try:
        if python.interpreter and environment:
            interpreter = Bundled(scan_plain(python.interpreter, "interpreter"), environment.layout.python)
        if python.bytecode and environment:
            compiler = stack.enter_context(find_compiler(environment.layout.python, python.compiler))
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

    return _Inputs(source, manifest, manifest_bytes, tree, gathered, interpreter, compiler, left_out, warnings)


def _scan(source: Source, venv: str) -> tuple[Tree, list[Problem]]:
    if source.is_zip:
        return ziptree.scan_zip(source.path, source.strip_components)
    return directory.scan(source.path, without=venv)


def _manifest(source: Source, path: str | None, tree: Tree | None) -> tuple[bytes, str]:
    """The manifest's bytes, and what messages call it."""
    if path is None and source.is_zip:
        if not isinstance(tree, ziptree.ZipTree):  # there is nothing to look into, which is told already
            raise CapsuleError([])
        return tree.manifest(), f"{source.path}/{MANIFEST_NAME}"
    path = path or os.path.join(source.path, MANIFEST_NAME)
    return read_manifest(path), path


def _below(source: Source, path: str | None) -> str:
    """The path of the directory ``path`` in the source, with a ``/`` at its end; empty when it lies elsewhere."""
    if not path or source.is_zip:
        return ""
    relative = os.path.relpath(os.path.realpath(path), os.path.realpath(source.path))
    outside = relative == os.curdir or relative == os.pardir or relative.startswith(os.pardir + os.sep)
    return "" if outside else relative + "/"


def _other_environments(tree: Tree) -> Iterator[Problem]:
    """A problem for each virtual environment that lies where nothing will look for it."""
    marked = (path.removesuffix("/pyvenv.cfg") for path in tree.files if path.endswith("/pyvenv.cfg"))
    for place in sorted(place for place in marked if place != VENV):
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


@contextlib.contextmanager
def _named(output: str) -> Iterator[None]:
    """Names the output in errors of the system, which know of temporary files or of nothing."""
    try:
        yield
    except OSError as error:
        error.filename = output
        raise


def _check_output(tree: Tree, source: Source, output: str) -> None:
    """Refuses a place where the archive would become part of the tree that it is built from."""
    place = os.path.dirname(output) or "."
    if os.path.basename(output) == "-":
        raise refusal("output-special", "Output cannot be standard output: -", "Name a file.")
    if os.path.islink(output):  # replacing the link, or what it leads to, could both be meant
        raise refusal("output-special", f"Output is a symbolic link: {shown(output)}", "Name the file it leads to.")
    if os.path.isdir(output):
        raise refusal("output-directory", f"Output is a directory: {shown(output)}", "Name a file in it.")
    if os.path.exists(output) and not os.path.isfile(output):
        raise refusal("output-special", f"Output is not a regular file: {shown(output)}", "Name another.")
    if not os.path.isdir(place):
        raise refusal(
            "output-missing", f"Output directory not found: {shown(place)}", "Make it first, or name another."
        )
    relative = os.path.relpath(os.path.realpath(place), os.path.realpath(tree.root))
    if not source.is_zip and relative != os.pardir and not relative.startswith(os.pardir + os.sep):
        path = os.path.normpath(os.path.join(relative, os.path.basename(output)))
        if not tree.ignored(path):
            raise refusal(
                "output-inside",
                f"Output lies inside the source directory: {shown(output)}",
                "It would become part of the next capsule. Give --output another place, or exclude it in"
                " .capsuleignore (for instance: /capsule-*.tar.gz).",
            )
