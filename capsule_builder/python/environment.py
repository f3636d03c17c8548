"""The Python environment of a capsule: distributions, ready to become one layer each, and what belongs to none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from capsule_builder.entries import Entry
from capsule_builder.errors import Problem
from capsule_builder.patterns import Patterns
from capsule_builder.python.layout import Layout
from capsule_builder.python.package import Package, plan
from capsule_builder.requirements import Distribution

if TYPE_CHECKING:
    from capsule_builder.python.bytecode import Compiler

BASE_LAYER = "python"
"""The name of the layer that holds what belongs to no distribution."""


@dataclass(frozen=True, slots=True)
class Part:
    """A distribution as a layer: the layer's name, and the package that is laid out when the layer is written.

    Of a wheel, ``sha256`` gives its SHA-256 in hex.
    """

    name: str
    package: Package
    sha256: Callable[[], str] | None = None

    def entries(self, layout: Layout, executables: Patterns, compiler: Compiler | None) -> Iterator[Entry]:
        """Its entries in path order.

        Raises:
            CapsuleError: it cannot be laid out, or a file cannot be read.
        """
        yield from plan(self.package, layout, compiler).entries(executables)

    @property
    def size(self) -> int:
        """The size of its files in bytes, as far as its RECORD tells."""
        return sum(file.row.size or 0 for file in self.package.files.values())


@dataclass(slots=True)
class Environment:
    """What goes below ``venv/``: from wheels or from a finished environment, the same.

    ``source`` is where it comes from, for messages. ``leftovers`` are problems that only come to light while the parts
    are read: to be looked at after that.
    """

    source: str
    layout: Layout
    parts: list[Part]
    distributions: list[Distribution]
    warnings: list[Problem] = field(default_factory=list)
    leftovers: list[Problem] = field(default_factory=list)

    @property
    def size(self) -> int:
        """The size of the parts' files in bytes, as far as their RECORDs tell."""
        return sum(part.size for part in self.parts)
