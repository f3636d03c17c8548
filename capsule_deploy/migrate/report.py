"""The report: what became of every line of the original, in Markdown for people and in JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from capsule_deploy.migrate.confidential import Redactor
from capsule_deploy.migrate.model import STATES, Finding, State

REPORT_FORMAT = 1
"""The version of the JSON report's shape; it changes when a reader would have to."""

_EXCERPT = 500
_ORDER: Final[tuple[State, ...]] = ("left", "suggested", "changed", "carried")


@dataclass(frozen=True)
class Move:
    """State that has to be moved: its path on the old host, on the new one, and as the service sees it there."""

    old: str
    new: str
    seen: str


@dataclass(frozen=True)
class Report:
    """Everything that is told."""

    name: str
    layout: str
    directory: str
    sources: Sequence[str]
    findings: Sequence[Finding]
    moves: Sequence[Move] = ()
    foreign: Sequence[str] = ()
    steps: Sequence[str] = ()
    manifest: str = ""

    def of(self, state: str) -> list[Finding]:
        """The findings of one chapter."""
        return [finding for finding in self.findings if finding.state == state]

    def document(self, redact: Redactor) -> dict[str, object]:
        """The report as JSON has it; secrets are hidden."""

        def plain(text: str) -> str:
            return _printable(redact.words(text))

        def entry(finding: Finding) -> dict[str, object]:
            origin = finding.origin
            return {
                "state": finding.state,
                "code": finding.code,
                "subject": plain(finding.subject),
                "message": plain(finding.message),
                "remedy": plain(finding.remedy),
                "file": None if origin is None else plain(origin.file),
                "line": None if origin is None or not origin.line else origin.line,
                "text": None if origin is None else "\n".join(map(_printable, _excerpt(redact.lines(origin.text)))),
            }

        return {
            "format": REPORT_FORMAT,
            "name": self.name,
            "layout": self.layout,
            "directory": plain(self.directory),
            "sources": [plain(source) for source in self.sources],
            "counts": {state: len(self.of(state)) for state in _ORDER},
            "findings": [entry(finding) for state in _ORDER for finding in self.of(state)],
            "moves": [
                {"from": plain(move.old), "to": plain(move.new), "seen": plain(move.seen)} for move in self.moves
            ],
            "foreign": [plain(path) for path in self.foreign],
            "steps": [plain(step) for step in self.steps],
        }

    def markdown(self, redact: Redactor) -> str:
        """The report for people; secrets are hidden."""

        def plain(text: str) -> str:
            return _printable(redact.words(text))

        lines = [f"# Migration of {self.name}", ""]
        lines += [f"Read from `{_code(plain(self.directory))}` ({self.layout}): "
                  + ", ".join(f"`{_code(plain(source))}`" for source in self.sources) + ".", ""]  # fmt: skip
        lines += ["Nothing of the original was changed. Secrets are hidden in this report.", ""]
        lines += ["| | |", "|---|---|"]
        lines += [f"| {STATES[state]} | {len(self.of(state))} |" for state in _ORDER]
        for state in _ORDER:
            lines += ["", f"## {STATES[state]}", ""]
            lines += ["Nothing."] if not self.of(state) else []
            for finding in self.of(state):
                lines += self._entry(finding, redact)
            if state == "left" and (self.moves or self.foreign):
                lines += self._places(redact)
        lines += ["", "## Next", ""]
        lines += [f"{number}. {plain(step)}" for number, step in enumerate(self.steps, 1)]
        return "\n".join(lines) + "\n"

    @staticmethod
    def _entry(finding: Finding, redact: Redactor) -> list[str]:
        subject = f"**{_text(_printable(redact.words(finding.subject)))}** " if finding.subject else ""
        remedy = f" {_text(_printable(redact.words(finding.remedy)))}" if finding.remedy else ""
        lines = [f"- {subject}(`{finding.code}`): {_text(_printable(redact.words(finding.message)))}{remedy}"]
        if finding.origin is not None:
            where = _printable(finding.origin.file) + (f":{finding.origin.line}" if finding.origin.line else "")
            lines.append(f"  `{_code(where)}`")
            excerpt = [_printable(line) for line in _excerpt(redact.lines(finding.origin.text))]
            lines += ["", *(f"      {line}" for line in excerpt), ""] if any(excerpt) else []
        return lines

    def _places(self, redact: Redactor) -> list[str]:
        lines: list[str] = []
        if self.moves:
            lines += ["", "### State to move", "", "| old host | new host | as the service sees it |", "|---|---|---|"]
            for move in self.moves:
                places = (_code(_printable(redact.words(path))) for path in (move.old, move.new, move.seen))
                lines.append("| " + " | ".join(f"`{path}`" for path in places) + " |")
        if self.foreign:
            lines += ["", "### Paths that only the old host has", ""]
            lines += [f"- `{_code(_printable(redact.words(path)))}`" for path in self.foreign]
        return lines


def _printable(text: str) -> str:
    """The text on one line of a page: what does not show, or is no character, becomes an escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _excerpt(text: str) -> list[str]:
    cut = text if len(text) <= _EXCERPT else text[:_EXCERPT] + "…"
    return cut.split("\n")


def _code(text: str) -> str:
    return text.replace("`", "'").replace("|", "\\|")


def _text(text: str) -> str:
    """Text in which Markdown finds nothing to format."""
    for char in "\\`*_<>[]|":
        text = text.replace(char, f"\\{char}")
    return text
