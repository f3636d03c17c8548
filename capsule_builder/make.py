"""From what goes in to what is to be written: layers made, merged and checked."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from dataclasses import dataclass, field
from typing import BinaryIO

from capsule_builder import capsule, open_files
from capsule_builder.cache.fragment import CachedFragment
from capsule_builder.cache.layers import write_through
from capsule_builder.cache.memory import Memory
from capsule_builder.cache.whole import write_whole
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.inputs import Inputs
from capsule_builder.layer import LayerFiles, Progress, write_layer
from capsule_builder.metadata import BuildFacts
from capsule_builder.sources.directory import DirectoryTree


@dataclass(frozen=True, slots=True)
class Made:
    """A capsule that needs only to be written; see :class:`~capsule_builder.build.Built`.

    ``document`` has the bytes of its metadata once that is done.
    """

    inputs: Inputs
    merged: capsule.Merged
    layers: list[capsule.Layer]
    index: BinaryIO
    level: int
    document: list[bytes] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The capsule's ID."""
        return self.merged.id

    @property
    def name(self) -> str:
        """The manifest's name."""
        return self.inputs.manifest.name

    @property
    def version(self) -> str:
        """The manifest's version."""
        return self.inputs.manifest.version

    @property
    def files(self) -> int:
        """How many files there are."""
        return self.merged.files

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """For people."""
        return (*self.inputs.warnings, *self.merged.warnings)

    @property
    def notes(self) -> tuple[str, ...]:
        """For people."""
        return tuple(self.inputs.notes)

    def write(self, out: BinaryIO, build: BuildFacts, digest: hashlib._Hash | None) -> None:
        """Writes the archive; ``digest`` is fed with all of it.

        Raises:
            OSError: it cannot be written.
        """
        level, manifest = self.level, self.inputs.manifest
        document = capsule.write_archive(
            out, self.index, self.merged, self.layers, manifest, level=level, build=build, digest=digest
        )
        self.document.append(document)


def make(
    inputs: Inputs,
    stack: contextlib.ExitStack,
    memory: Memory | None,
    *,
    place: str,
    level: int,
    jobs: int,
    verify: bool,
    progress: Progress | None,
) -> Made:
    """Makes the layers in temporary files in the directory ``place``, which stay for as long as ``stack`` does.

    Raises:
        CapsuleError: what goes in is refused: every reason that can be found, at once.
        OSError: a file cannot be written.
    """

    def temporary() -> BinaryIO:
        return stack.enter_context(tempfile.TemporaryFile(dir=place))

    if memory and isinstance(inputs.tree, DirectoryTree):
        memory.known(inputs.tree)
    known = memory.groups() if memory else {}
    open_files.allow(4 * inputs.layer_count)
    layers: list[capsule.Layer] = []
    problems: list[Problem] = []
    for layer in inputs.layers():
        files = LayerFiles(temporary(), temporary(), temporary())
        spread: CachedFragment | None = None
        try:
            about = (layer.about() if layer.about else memory.zip) if memory else None
            if memory and about:
                spread = write_whole(
                    layer, about, files, memory.store, maker=memory.maker, level=level, jobs=jobs, progress=progress
                )
            elif memory and not layer.is_wheel and not inputs.source.is_zip:
                spread = write_through(
                    layer.entries,
                    files,
                    memory.store,
                    maker=memory.maker,
                    level=level,
                    jobs=jobs,
                    known=known,
                    progress=progress,
                    verified=layer.verified,
                )
            else:
                write_layer(layer.entries, files, level=level, jobs=jobs, progress=progress, verified=layer.verified)
        except CapsuleError as error:
            problems += error.problems
        layers.append(capsule.Layer(layer.name, layer.owner, files, spread))
    problems += inputs.leftovers
    if problems:
        raise CapsuleError(dict.fromkeys(problems))
    merged = capsule.merge(layers, inputs.manifest, temporary(), verify_requirements=verify)
    return Made(inputs, merged, layers, temporary(), level)
