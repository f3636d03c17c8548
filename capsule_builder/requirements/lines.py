"""What requirements files come to: requirement lines that know where they stand, options and notes. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from capsule_builder.requirements.references import fragment_hashes


@dataclass(frozen=True)
class Line:
    """One requirement, or one constraint, of a requirements file.

    ``line`` counts from 1; continued lines count as their first. ``text`` is the requirement without options.
    ``hashes`` are those of ``--hash``, as ``algorithm:hex``.
    """

    file: str
    line: int
    text: str
    requirement: Requirement
    hashes: tuple[str, ...] = ()
    is_constraint: bool = False

    @property
    def name(self) -> str:
        """The normalised name (PEP 503)."""
        return canonicalize_name(self.requirement.name)

    @property
    def locks(self) -> tuple[str, ...]:
        """All hashes that it allows: those of ``--hash``, and the one in its URL's fragment."""
        return (*self.hashes, *fragment_hashes(self.requirement.url))

    @property
    def is_pinned(self) -> bool:
        """Whether it names one release: ``==`` without ``.*``, ``===``, or a URL."""
        return self.requirement.url is not None or any(
            item.operator == "===" or (item.operator == "==" and not item.version.endswith(".*"))
            for item in self.requirement.specifier
        )


@dataclass(frozen=True)
class Option:
    """An option line (``--pre``), or an option at the end of a requirement (``--global-option``), as pip names it."""

    file: str
    line: int
    name: str
    value: str = ""


@dataclass(frozen=True)
class Note:
    """What is no reason to refuse, and worth a line; ``file`` is empty when it is about no line."""

    code: str
    message: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.file else self.message


@dataclass(frozen=True)
class Requirements:
    """All lines of a requirements file and of those that it includes, in pip's order."""

    lines: tuple[Line, ...] = ()
    options: tuple[Option, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def roots(self) -> tuple[Line, ...]:
        """The lines that require something."""
        return tuple(line for line in self.lines if not line.is_constraint)

    @property
    def constraints(self) -> tuple[Line, ...]:
        """The lines that only limit what others require (``-c``)."""
        return tuple(line for line in self.lines if line.is_constraint)

    @property
    def is_hashed(self) -> bool:
        """Whether everything must be locked by hash: pip's rule, as soon as one line has ``--hash``."""
        return any(line.hashes for line in self.lines) or self.has("--require-hashes")

    def has(self, option: str) -> bool:
        """Whether an option stands in one of the files."""
        return any(found.name == option for found in self.options)
