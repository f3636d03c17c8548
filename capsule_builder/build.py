"""From a directory to a finished archive: the whole way, for the command line and for programs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from capsule_builder import capsule
from capsule_builder.agreement import missing_entrypoints
from capsule_builder.archive.members import DEFAULT_LEVEL
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.layer import LayerFiles, Progress, write_layer
from capsule_builder.manifest import Manifest, load
from capsule_builder.metadata import UNSTAMPED, BuildFacts
from capsule_builder.output import NewFile, undisturbed
from capsule_builder.paths import MANIFEST_NAME, shown
from capsule_builder.patterns import Patterns
from capsule_builder.sources import directory
from capsule_builder.sources.files import read_manifest

APP_LAYER = "app"
"""The name of the layer that holds the manifest and the sources of a capsule itself."""


@dataclass(frozen=True, slots=True)
class Built:
    """A capsule that was built.

    ``id`` is 64 hex digits; ``archive`` the path it was written to, ``size`` its length in bytes, ``archive_sha256``
    its SHA-256 (None unless it was asked for); ``files`` counts files; ``warnings`` are for people.
    """

    id: str
    name: str
    version: str
    archive: str
    archive_sha256: str | None
    size: int
    files: int
    warnings: tuple[Problem, ...]


def build_from_directory(
    source: str,
    manifest_path: str,
    *,
    output: str | None = None,
    level: int = DEFAULT_LEVEL,
    jobs: int = 1,
    build: BuildFacts = UNSTAMPED,
    hash_archive: bool = False,
    progress: Callable[[int], AbstractContextManager[Progress]] | None = None,
    before_commit: Callable[[], None] | None = None,
) -> Built:
    """Builds the capsule of the directory ``source`` and puts it at ``output``.

    ``output`` is ``capsule-<name>-<short id>.tar.gz`` in the current directory unless given. ``progress`` gets the
    number of bytes to read and gives what is told of each piece. ``before_commit`` is called when nothing is left to do
    but to put the archive in its place.

    Raises:
        CapsuleError: the manifest, the tree or the place of the output is refused: every reason, at once.
        OSError: the archive cannot be written. Nothing is left behind, and an older file of that name is as it was.
    """
    manifest, manifest_bytes, warnings, tree = _inputs(source, manifest_path)
    place = os.path.dirname(output or "") or "."
    _check_output(tree, output or capsule.archive_name(manifest.name, "<short id>"))

    with contextlib.ExitStack() as stack:
        stack.enter_context(_named(output or place))
        fragment, contents, layer_index, listing, index = (
            stack.enter_context(tempfile.TemporaryFile(dir=place)) for _ in range(5)
        )
        files = LayerFiles(fragment, contents, layer_index)
        told = stack.enter_context(progress(tree.size)) if progress else None
        entries = tree.entries(manifest_bytes, Patterns(manifest.executables), warnings)
        write_layer(entries, files, level=level, jobs=jobs, progress=told)

        layers = [capsule.Layer(APP_LAYER, source, files)]
        merged = capsule.merge(layers, manifest, listing)
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
        warnings=(*warnings, *merged.warnings),
    )


def _inputs(source: str, manifest_path: str) -> tuple[Manifest, bytes, list[Problem], directory.Tree]:
    """The checked manifest, its bytes, the warnings so far, and the tree; or all that is wrong with any of them."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    manifest: Manifest | None = None
    tree: directory.Tree | None = None
    manifest_bytes = b""
    try:
        manifest_bytes = read_manifest(manifest_path)
        manifest, found = load(manifest_bytes, manifest_path)
        warnings += found
    except CapsuleError as error:
        problems += error.problems
    try:
        tree, unfit = directory.scan(source)
        problems += unfit
    except CapsuleError as error:
        problems += error.problems
    if manifest and tree:
        problems += missing_entrypoints(manifest, tree.links, [MANIFEST_NAME, *tree.files])
    if problems or not manifest or not tree:
        raise CapsuleError(problems)
    replaced = os.path.join(source, MANIFEST_NAME)
    if tree.manifest_there and not (os.path.exists(replaced) and os.path.samefile(replaced, manifest_path)):
        message = f"{shown(replaced)} is left out: {shown(manifest_path)} takes its place as {MANIFEST_NAME}"
        warnings.append(Problem("manifest-replaced", message))
    return manifest, manifest_bytes, warnings, tree


@contextlib.contextmanager
def _named(output: str) -> Iterator[None]:
    """Names the output in errors of the system, which know of temporary files or of nothing."""
    try:
        yield
    except OSError as error:
        error.filename = output
        raise


def _check_output(tree: directory.Tree, output: str) -> None:
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
    if relative != os.pardir and not relative.startswith(os.pardir + os.sep):
        path = os.path.normpath(os.path.join(relative, os.path.basename(output)))
        if not tree.ignored(path):
            raise refusal(
                "output-inside",
                f"Output lies inside the source directory: {shown(output)}",
                "It would become part of the next capsule. Give --output another place, or exclude it in"
                " .capsuleignore (for instance: /capsule-*.tar.gz).",
            )
