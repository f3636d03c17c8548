"""From a directory or a ZIP to a finished archive: the whole way, for the command line and for programs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from capsule_builder import capsule, open_files
from capsule_builder.archive.members import DEFAULT_LEVEL
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.inputs import PythonOptions, Source, read_inputs
from capsule_builder.layer import LayerFiles, Progress, write_layer
from capsule_builder.metadata import UNSTAMPED, BuildFacts
from capsule_builder.output import NewFile, check_output, commit_together, undisturbed

if TYPE_CHECKING:
    from capsule_builder.statements import Statement

__all__ = ["Built", "PythonOptions", "Source", "build"]


Signer = Callable[[BinaryIO, str, str, str], bytes]
"""Gets an archive, and its capsule's name, version and ID; gives what goes into the ``.minisig`` beside it."""


@dataclass(frozen=True, slots=True)
class Built:
    """A capsule that was built.

    ``id`` is 64 hex digits; ``archive`` the path it was written to, ``size`` its length in bytes, ``archive_sha256``
    its SHA-256 (None unless it was asked for), ``signature`` the path of its signature (None unless it was signed),
    ``statements`` those of its statements, in the order in which they were asked for; ``files`` counts files;
    ``warnings`` and ``notes`` are for people.
    """

    id: str
    name: str
    version: str
    archive: str
    archive_sha256: str | None
    signature: str | None
    size: int
    files: int
    warnings: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()


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
    sign: Signer | None = None,
    statements: Sequence[Statement] = (),
    progress: Callable[[int], AbstractContextManager[Progress]] | None = None,
    before_commit: Callable[[], None] | None = None,
) -> Built:
    """Builds the capsule of ``source`` and puts it at ``output``.

    The manifest is the source's own ``capsule.yml`` unless one is named; ``output`` is
    ``capsule-<name>-<short id>.tar.gz`` in the current directory unless given. ``progress`` gets the number of bytes to
    read and gives what is told of each piece. ``sign`` signs the archive, and ``statements`` are made of it, before
    anybody sees it; all of these appear together or not at all. ``before_commit`` is called when nothing is left to do
    but to put them in their places.

    Raises:
        CapsuleError: the manifest, the tree, the environment or the place of the output is refused: every reason that
            can be found, at once.
        OSError: the archive cannot be written. Nothing is left behind, and an older file of that name is as it was.
    """
    place = os.path.dirname(output or "") or "."
    options = python or PythonOptions()
    with contextlib.ExitStack() as stack:
        inputs = read_inputs(source, manifest_path, options, stack)
        manifest = inputs.manifest
        tree = None if source.is_zip else inputs.tree
        planned = output or capsule.archive_name(manifest.name, "<short id>")
        suffixes = [*([".minisig"] if sign else []), *(statement.suffix for statement in statements)]
        for suffix in ["", *suffixes]:
            check_output(f"{planned}{suffix}", tree)
        stack.enter_context(_named(output or place))
        told = stack.enter_context(progress(inputs.size)) if progress else None

        open_files.allow(4 * inputs.layer_count)
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
        with undisturbed():
            beside = {suffix: stack.enter_context(NewFile(f"{archive}{suffix}")) for suffix in suffixes}
        if statements:
            _write_statements(statements, new.file, archive, beside)
        if sign:
            beside[".minisig"].file.write(sign(new.file, manifest.name, manifest.version, merged.id))
        if before_commit:
            before_commit()
        commit_together(*beside.values(), new)
        return Built(
            id=merged.id,
            name=manifest.name,
            version=manifest.version,
            archive=archive,
            archive_sha256=digest.hexdigest() if digest else None,
            signature=beside[".minisig"].path if sign else None,
            size=os.stat(archive).st_size,
            files=merged.files,
            warnings=(*inputs.warnings, *merged.warnings),
            notes=tuple(inputs.gathered.notes),
            statements=tuple(beside[statement.suffix].path for statement in statements),
        )


def _write_statements(
    statements: Sequence[Statement], archive: BinaryIO, path: str, beside: Mapping[str, NewFile]
) -> None:
    """Says what was packed: the archive is read for it as a stranger's is."""
    from capsule_builder.packed import read_packed_stream

    archive.seek(0)
    packed = read_packed_stream(archive, path)
    for statement in statements:
        beside[statement.suffix].file.write(statement.make(packed))


@contextlib.contextmanager
def _named(output: str) -> Iterator[None]:
    """Names the output in errors of the system, which know of temporary files or of nothing."""
    try:
        yield
    except OSError as error:
        error.filename = output
        raise
