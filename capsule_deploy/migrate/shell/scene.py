"""What a script has come to: where it is, what it has set, what it has started."""

from __future__ import annotations

from dataclasses import dataclass, field

from capsule_deploy.migrate.model import Finding, Origin, Variable

MAX_NESTED = 10
"""How deep scripts and substitutions may be in one another."""


@dataclass
class Started:
    """A program that the script runs."""

    argv: tuple[str, ...]
    env: dict[str, Variable]
    cwd: str | None
    venv: str | None
    stays: bool
    """Whether it goes on in the background, or takes the script's place."""
    origin: Origin


@dataclass
class Scene:
    """What a script has changed so far."""

    file: str
    lines: list[str]
    arguments: tuple[str, ...]
    script: str | None
    """The script's path on the old host."""
    cwd: str | None
    exported: dict[str, Variable]
    own: dict[str, Variable | None] = field(default_factory=dict)
    """Variables that are not exported; None is a value that nobody knows before the script runs."""
    venv: str | None = None
    export_all: bool = False
    reading: tuple[str, ...] = ()
    """The scripts that are being read, one in another."""

    def knows(self, name: str) -> bool:
        """Whether a variable is set."""
        return name in self.own or name in self.exported

    def origin(self, line: int) -> Origin:
        """A line of the script as a place."""
        text = self.lines[line - 1].strip() if 0 < line <= len(self.lines) else ""
        return Origin(self.file, line, text)


class Trace:
    """What came of following a script, told only when all of it was understood."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.started: list[Started] = []
        self.read: dict[str, None] = {}
        """The scripts that were read in, as the report calls them."""

    def left(self, code: str, subject: str, message: str, remedy: str, origin: Origin) -> None:
        """It does not come along."""
        self.findings.append(Finding("left", code, subject, message, remedy, origin))

    def changed(self, code: str, subject: str, message: str, origin: Origin) -> None:
        """It is there in another form."""
        self.findings.append(Finding("changed", code, subject, message, "", origin))
