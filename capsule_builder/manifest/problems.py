"""Problems of a manifest: where they are, how they are written, how they are gathered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from capsule_builder.errors import CapsuleError, Problem

Severity = Literal["error", "warning"]

MAX_PROBLEMS = 100
"""Problems reported of one file: far more than a person mends in one go, and a bound on hostile input."""

SHOWN_LENGTH = 60
"""Characters of a value that a message repeats."""


class Position(NamedTuple):
    """A place in a file: line and column, both from 1, the column in characters."""

    line: int
    column: int


START = Position(1, 1)


def printable(text: str) -> str:
    """The text on one line, with escapes that YAML's double quotes understand for what would not show."""
    return "".join(char if char.isprintable() else _escape(ord(char)) for char in text)


def _escape(code: int) -> str:
    short = {0: "\\0", 9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    if short:
        return short
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shown(text: str) -> str:
    """The text as a message repeats it: on one line, and cut when it is long."""
    return printable(text if len(text) <= SHOWN_LENGTH else text[:SHOWN_LENGTH] + "…")


def quoted(text: str) -> str:
    """The text in YAML double quotes, as a message repeats it (cut when it is long)."""
    escaped = shown(text.replace("\\", "\\\\").replace('"', '\\"'))
    return f'"{escaped}"'


class ManifestProblem(Problem):
    """One fault of one manifest, with its exact place.

    ``line`` and ``column`` are None when the fault has no place in the text (a file that cannot be read).
    ``field`` is the path of the key, such as ``services[1].health.http``; empty when the whole file is meant.
    """

    __slots__ = ("column", "field", "file", "line", "severity")

    def __init__(
        self,
        code: str,
        message: str,
        remedy: str = "",
        file: str = "",
        line: int | None = None,
        column: int | None = None,
        severity: Severity = "error",
        field: str = "",
    ) -> None:
        super().__init__(code, message, remedy)
        self.file = file
        self.line = line
        self.column = column
        self.severity = severity
        self.field = field

    def _said(self) -> tuple[object, ...]:
        return (*super()._said(), self.file, self.line, self.column, self.severity, self.field)

    def __str__(self) -> str:
        """The line a compiler would write: ``file:line:column: severity: field: message; remedy``."""
        place = printable(self.file)
        if self.line is not None:
            place += f":{self.line}:{self.column}"
        what = f"{self.field}: {self.message}" if self.field else self.message
        return f"{place}: {self.severity}: {what}" + (f"; {self.remedy}" if self.remedy else "")


class ManifestError(CapsuleError):
    """A manifest that was refused; ``problems`` are all its errors and warnings, in the order of the file."""

    problems: tuple[ManifestProblem, ...]

    def __init__(self, problems: Iterable[ManifestProblem]) -> None:
        super().__init__(problems)


class TooManyProblemsError(Exception):
    """The report is full; reading on would only cost time."""


class Report:
    """Gathers the problems of one file.

    Raises:
        TooManyProblemsError: from ``error`` and ``warning`` when ``MAX_PROBLEMS`` are there already.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[ManifestProblem] = []

    def error(self, position: Position, code: str, field: str, message: str, remedy: str) -> None:
        """Add a fault for which the manifest is refused."""
        self._add(position, "error", code, field, message, remedy)

    def warning(self, position: Position, code: str, field: str, message: str, remedy: str) -> None:
        """Add a fault that is legal and yet most likely a mistake."""
        self._add(position, "warning", code, field, message, remedy)

    def problems(self) -> tuple[ManifestProblem, ...]:
        """All problems, in the order of the file."""
        return tuple(sorted(self._problems, key=lambda problem: (problem.line or 0, problem.column or 0)))

    def _add(self, position: Position, severity: Severity, code: str, field: str, message: str, remedy: str) -> None:
        line, column = position
        if len(self._problems) < MAX_PROBLEMS:
            problem = ManifestProblem(code, message, remedy, self._file, line, column, severity, field)
            self._problems.append(problem)
            return
        message = f"more than {MAX_PROBLEMS} problems; only the first {MAX_PROBLEMS} found are listed"
        remedy = "mend these, then check again"
        last = max((problem.line or 0, problem.column or 0) for problem in self._problems)
        self._problems.append(
            ManifestProblem("too-many-problems", message, remedy, self._file, last[0], last[1], "error", "")
        )
        raise TooManyProblemsError
