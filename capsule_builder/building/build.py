"""From a directory or a ZIP to a finished archive: the whole way, for the command line and for programs."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from capsule_builder.archive.effort import DEFAULT_LEVEL
from capsule_builder.building.found import find
from capsule_builder.building.request import PythonOptions, Source
from capsule_builder.cache.memory import Memory, Recalled
from capsule_builder.cache.place import PARTS, Unusable, unusable
from capsule_builder.cache.store import Lost, Store
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.metadata import UNSTAMPED, BuildFacts, archive_name
from capsule_builder.output import NewFile, check_output, commit_together
from capsule_builder.signals import undisturbed

if TYPE_CHECKING:
    from capsule_builder.building.make import Made
    from capsule_builder.layer import Progress
    from capsule_builder.statements.kinds import Statement

__all__ = ["Built", "PythonOptions", "Source", "build"]


Signer = Callable[[BinaryIO, str, str, str], bytes]
"""Gets an archive, and its capsule's name, version and ID; gives what goes into the ``.minisig`` beside it."""


class Built(NamedTuple):
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
    cache: str | None = None,
) -> Built:
    """Builds the capsule of ``source`` and puts it at ``output``.

    The manifest is the source's own ``capsule.yml`` unless one is named; ``output`` is
    ``capsule-<name>-<short id>.tar.gz`` in the current directory unless given. ``progress`` gets the number of bytes to
    read and gives what is told of each piece. ``sign`` signs the archive, and ``statements`` are made of it, before
    anybody sees it; all of these appear together or not at all. ``before_commit`` is called when nothing is left to do
    but to put them in their places. ``cache`` is a directory that remembers; the archive does not depend on it.

    Raises:
        CapsuleError: the manifest, the tree, the environment or the place of the output is refused: every reason that
            can be found, at once.
        OSError: the archive cannot be written. Nothing is left behind, and an older file of that name is as it was.
    """
    job = partial(
        _build,
        source,
        manifest_path,
        output=output,
        options=python or PythonOptions(),
        level=level,
        jobs=jobs,
        build=build,
        hash_archive=hash_archive,
        sign=sign,
        statements=statements,
        progress=progress,
        before_commit=before_commit,
    )
    if cache is None:
        return job(None)
    try:
        _check_outside(cache, source)
        with Store(cache) as store:
            built = _through_cache(job, store)
            trouble = store.trouble
            if store.written:
                from capsule_builder.cache.prune import prune_after

                prune_after(store)
    except Unusable as unusable:
        built, trouble = job(None), unusable
    return built._replace(warnings=(*built.warnings, trouble.problem)) if trouble else built


def _check_outside(cache: str, source: Source) -> None:
    """Refuses a cache that would become part of what is built, and so change it with every build.

    Raises:
        Unusable: it lies in the source, whose rules do not leave it out.
    """
    place = os.path.relpath(os.path.realpath(cache), os.path.realpath(source.path))
    if source.is_zip or place == os.pardir or place.startswith(os.pardir + os.sep):
        return
    from capsule_builder.sources.directory import scan

    with contextlib.suppress(CapsuleError):  # whoever looks at the source will say so
        tree, _ = scan(source.path)
        if not all(tree.ignored(os.path.normpath(os.path.join(place, name)) + end) for name, end in PARTS):
            remedy = "Give --cache-dir another place, or exclude it in .capsuleignore."
            raise unusable(cache, "it lies inside the source directory", remedy)


def _through_cache(job: Callable[..., Built], store: Store) -> Built:
    """Does without what turns out to be lost or wrong when it is wanted: first without the records, then the rest."""
    with contextlib.suppress(Lost):
        return job(store)
    with contextlib.suppress(Lost):
        return job(store, fresh=True)
    return job(None)


def _build(
    source: Source,
    manifest_path: str | None,
    store: Store | None,
    *,
    output: str | None,
    options: PythonOptions,
    level: int,
    jobs: int,
    build: BuildFacts,
    hash_archive: bool,
    sign: Signer | None,
    statements: Sequence[Statement],
    progress: Callable[[int], AbstractContextManager[Progress]] | None,
    before_commit: Callable[[], None] | None,
    fresh: bool = False,
) -> Built:
    place = os.path.dirname(output or "") or "."
    with contextlib.ExitStack() as stack:
        memory: Memory | None = None
        if store:
            with contextlib.suppress(OSError, CapsuleError):  # whoever looks at the source will say so
                stamped = build != UNSTAMPED
                memory = Memory(store, source, manifest_path, options, level, stamped=stamped, fresh=fresh)
                stack.callback(memory.settle)
        found = find(source, manifest_path, options, stack, watch=memory.watch if memory else None)
        suffixes = [*([".minisig"] if sign else []), *(statement.suffix for statement in statements)]

        def check_places(name: str) -> None:
            planned = output or archive_name(name, "<short id>")
            for suffix in ["", *suffixes]:
                check_output(f"{planned}{suffix}", None if source.is_zip else found.tree)
            stack.enter_context(_named(output or place))

        recalled = memory.recall(found, jobs) if memory else None
        if recalled:
            check_places(recalled.name)
            made: Made | Recalled = recalled
        else:
            from capsule_builder.building.inputs import read_inputs
            from capsule_builder.building.make import make

            inputs = read_inputs(found, options, stack, jobs=jobs)
            check_places(inputs.manifest.name)
            told = stack.enter_context(progress(inputs.size)) if progress else None
            verify = options.wish.verify
            made = make(inputs, stack, memory, place=place, level=level, jobs=jobs, verify=verify, progress=told)
        digest = hashlib.sha256() if hash_archive and not (recalled and recalled.sha256) else None
        archive = output or archive_name(made.name, made.id)
        with undisturbed():
            new = stack.enter_context(NewFile(archive))
        made.write(new.file, build, digest)
        with undisturbed():
            beside = {suffix: stack.enter_context(NewFile(f"{archive}{suffix}")) for suffix in suffixes}
        sha256 = digest.hexdigest() if digest else recalled.sha256 if recalled and hash_archive else None
        if memory and not isinstance(made, Recalled):
            memory.keep(made, new.file, sha256)
        if statements:
            _write_statements(statements, new.file, archive, beside)
        if sign:
            beside[".minisig"].file.write(sign(new.file, made.name, made.version, made.id))
        if before_commit:
            before_commit()
        commit_together(*beside.values(), new)
        return Built(
            id=made.id,
            name=made.name,
            version=made.version,
            archive=archive,
            archive_sha256=sha256,
            signature=beside[".minisig"].path if sign else None,
            size=os.stat(archive).st_size,
            files=made.files,
            warnings=made.warnings,
            notes=made.notes,
            statements=tuple(beside[statement.suffix].path for statement in statements),
        )


def _write_statements(
    statements: Sequence[Statement], archive: BinaryIO, path: str, beside: Mapping[str, NewFile]
) -> None:
    """Says what was packed: the archive is read for it as a stranger's is."""
    from capsule_builder.statements.packed import read_packed_stream

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
