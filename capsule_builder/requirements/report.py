"""What verification found: every failure with the way that leads to it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from capsule_builder.errors import Problem
from capsule_builder.paths import shown
from capsule_builder.requirements.lines import Note

FORMAT = 1


@dataclass(frozen=True)
class Failure:
    """One reason why the distributions are not what is required.

    ``path`` leads from a requirement line to the object (``("a", "b[x]", "c")``); ``file`` and ``line`` are those of
    the line, empty and 0 when nothing requires the object.
    """

    code: str
    message: str
    path: tuple[str, ...]
    file: str = ""
    line: int = 0
    remedy: str = ""

    def problem(self) -> Problem:
        """The failure as the builder says it: ``c 2.0 does not satisfy c<2 (a -> b[x] -> c, requirements.txt:3)``."""
        way = ", ".join(part for part in (" -> ".join(self.path), shown(self.file) and self._place()) if part)
        return Problem(self.code, f"{self.message} ({way})" if way else self.message, self.remedy)

    def _place(self) -> str:
        return f"{shown(self.file)}:{self.line}"


@dataclass(frozen=True)
class Report:
    """The result. ``passengers`` are the names of what nothing requires, ``checked`` is the number of distributions."""

    failures: tuple[Failure, ...]
    notes: tuple[Note, ...]
    passengers: tuple[str, ...]
    checked: int

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    def problems(self) -> list[Problem]:
        """The failures, for a ``CapsuleError``."""
        return [failure.problem() for failure in self.failures]

    def document(self) -> dict[str, object]:
        """The report for JSON; ``format`` changes when a program that reads it would have to."""
        return {
            "format": FORMAT,
            "ok": self.ok,
            "checked": self.checked,
            "failures": [{**asdict(failure), "path": list(failure.path)} for failure in self.failures],
            "notes": [asdict(note) for note in self.notes],
            "passengers": list(self.passengers),
        }

    def text(self) -> list[str]:
        """The report for people, line by line."""
        lines = [line for problem in self.problems() for line in str(problem).splitlines()]
        lines += [f"note: {note}" for note in self.notes]
        if self.passengers:
            lines.append(f"note: required by nothing: {', '.join(self.passengers)}")
        count, failed = f"{self.checked} distribution{'' if self.checked == 1 else 's'}", len(self.failures)
        verdict = f"{failed} requirement{'' if failed == 1 else 's'} not met" if failed else "all requirements are met"
        return [*lines, f"{count}: {verdict}"]
