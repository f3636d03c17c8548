"""From what goes in to what is to be written: layers made, merged and checked."""

from __future__ import annotations

import contextlib
import hashlib
from typing import BinaryIO

from capsule_builder import capsule, open_files
from capsule_builder.building.inputs import Inputs
from capsule_builder.building.writing import Work, write_layers
from capsule_builder.cache.memory import Memory
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.layer import LayerFiles, Progress
from capsule_builder.metadata import BuildFacts


class Made:
    """A capsule that needs only to be written; see :class:`~capsule_builder.building.build.Built`.

    ``document`` has the bytes of its metadata once that is done.
    """

    def __init__(
        self,
        inputs: Inputs,
        merged: capsule.Merged,
        layers: list[capsule.Layer],
        index: BinaryIO,
        level: int,
        jobs: int,
    ) -> None:
        self.inputs = inputs
        self.merged = merged
        self.layers = layers
        self.document: list[bytes] = []
        self._index = index
        self._level = level
        self._jobs = jobs

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
        document = capsule.write_archive(
            out,
            self._index,
            self.merged,
            self.layers,
            self.inputs.manifest,
            level=self._level,
            jobs=self._jobs,
            build=build,
            digest=digest,
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
        return stack.enter_context(open_files.temporary(place))

    open_files.allow(4 * inputs.layer_count)
    works = [Work(layer, LayerFiles(temporary(), temporary(), temporary())) for layer in inputs.layers()]
    write_layers(works, inputs.tree, memory, level=level, jobs=jobs, progress=progress)
    problems = [*(problem for work in works for problem in work.problems), *inputs.leftovers]
    if problems:
        raise CapsuleError(dict.fromkeys(problems))
    layers = [capsule.Layer(work.layer.name, work.layer.owner, work.files, work.spread) for work in works]
    merged = capsule.merge(layers, inputs.manifest, temporary(), verify_requirements=verify)
    return Made(inputs, merged, layers, temporary(), level, jobs)
