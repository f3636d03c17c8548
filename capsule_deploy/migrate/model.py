"""What is known of the old service: where something stands, what became of it, which processes there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

State = Literal["carried", "changed", "left", "suggested"]

STATES: Final[dict[State, str]] = {
    "carried": "Carried over as it was",
    "changed": "Carried over in another form",
    "left": "Not carried over",
    "suggested": "To decide",
}
"""What may become of a line of the original, with the title of its chapter in the report."""


@dataclass(frozen=True)
class Origin:
    """A place in the original: the file as it is called there, the line from 1, and what stands there."""

    file: str
    line: int
    text: str


@dataclass(frozen=True)
class Finding:
    """What became of one thing of the original; ``subject`` is its name there, or the key of the manifest."""

    state: State
    code: str
    subject: str
    message: str
    remedy: str = ""
    origin: Origin | None = None


class Findings:
    """Gathers them, each once, in the order in which they are found."""

    def __init__(self) -> None:
        self._found: dict[Finding, None] = {}
        self.scripts: dict[str, None] = {}
        """Scripts that were followed, and are not needed any more, as the report calls them."""

    def carried(self, subject: str, message: str, origin: Origin | None = None, *, code: str = "carried") -> None:
        """It means in the capsule what it meant before."""
        self._add(Finding("carried", code, subject, message, "", origin))

    def changed(self, code: str, subject: str, message: str, remedy: str = "", origin: Origin | None = None) -> None:
        """It is there in another form, or the host's part does it now."""
        self._add(Finding("changed", code, subject, message, remedy, origin))

    def left(self, code: str, subject: str, message: str, remedy: str = "", origin: Origin | None = None) -> None:
        """It is not there, or not all of it."""
        self._add(Finding("left", code, subject, message, remedy, origin))

    def suggested(self, code: str, subject: str, message: str, remedy: str = "", origin: Origin | None = None) -> None:
        """It is for a person to decide."""
        self._add(Finding("suggested", code, subject, message, remedy, origin))

    def again(self, finding: Finding) -> None:
        """One that was found by somebody else."""
        self._add(finding)

    def _add(self, finding: Finding) -> None:
        self._found.setdefault(finding)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


@dataclass(frozen=True)
class Variable:
    """The value of an environment variable, and where it is set."""

    value: str
    origin: Origin


@dataclass
class Walls:
    """Words of the manifest's ``sandbox``, each with the name and the place of what speaks for it."""

    opened: list[tuple[str, str, Origin]] = field(default_factory=list)
    closed: list[tuple[str, str, Origin]] = field(default_factory=list)

    def open(self, word: str, subject: str, origin: Origin) -> None:
        """The process cannot live behind this wall."""
        self.opened.append((word, subject, origin))

    def close(self, word: str, subject: str, origin: Origin) -> None:
        """The process lived behind this wall."""
        self.closed.append((word, subject, origin))

    def copy(self) -> Walls:
        """The same, to be added to."""
        return Walls(list(self.opened), list(self.closed))


@dataclass(frozen=True)
class Process:
    """One program that the old service keeps running.

    ``argv`` is what the system got to execute, with no shell between. ``cwd`` is its working directory on the old
    host, None when that is not known. ``limits`` are by the manifest's keys of ``resources``.
    """

    name: str
    argv: tuple[str, ...]
    origin: Origin
    cwd: str | None = None
    env: dict[str, Variable] = field(default_factory=dict)
    limits: dict[str, Variable] = field(default_factory=dict)
    venv: str | None = None
    """The environment that a script has activated, on the old host."""
    walls: Walls = field(default_factory=Walls)


@dataclass
class Deployment:
    """The old service: how it was started, and by which files."""

    layout: str
    name: str
    processes: list[Process] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    stop: list[str] = field(default_factory=list)
    """The command that stops it on the old host; none where there is none."""
    disable: list[str] = field(default_factory=list)
    """The command after which it does not start at boot any more."""
