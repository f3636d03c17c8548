"""The lines of unit files and drop-ins (systemd.syntax(7)).

Pure. What systemd would only warn about, and go on without, is given as a complaint.
"""

from __future__ import annotations

from dataclasses import dataclass

from capsule_deploy.migrate.reading import logical_lines

SPACE = " \t\n\r"
"""What is white space to systemd."""


@dataclass(frozen=True)
class Assignment:
    """A line ``key=value`` of a section; ``text`` is what stands in the file, with the lines that go on from it."""

    section: str
    key: str
    value: str
    line: int
    text: str


@dataclass(frozen=True)
class Complaint:
    """A line that means nothing: its number, what stands there, what is wrong with it."""

    line: int
    text: str
    message: str


def parse_unit(text: str) -> tuple[list[Assignment], list[Complaint]]:
    """The assignments of a unit file or a drop-in, in its order.

    A backslash at the end of a line joins the next one to it with a space in its place; comments between are left
    out. A line is a comment when ``#`` or ``;`` is its first character that is no white space.
    """
    found: list[Assignment] = []
    wrong: list[Complaint] = []
    section = ""
    for number, whole, raw in _joined(text):
        line = whole.strip(SPACE)
        if line.startswith("["):
            if line.endswith("]") and len(line) > 2:
                section = line[1:-1]
            else:
                wrong.append(Complaint(number, raw, "a section's name has no end"))
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.strip(SPACE):
            wrong.append(Complaint(number, raw, 'there is no "=" after a name'))
        elif not section:
            wrong.append(Complaint(number, raw, "it stands before the first section"))
        else:
            found.append(Assignment(section, key.strip(SPACE), value.strip(SPACE), number, raw))
    return found, wrong


def _joined(text: str) -> list[tuple[int, str, str]]:
    """Each line that says something, with its number and with what stands in the file."""
    found: list[tuple[int, str, str]] = []
    parts: list[str] = []
    raw: list[str] = []
    first = 0
    for number, line in logical_lines(text):
        if line.lstrip(SPACE).startswith(("#", ";")) or (not parts and not line.strip(SPACE)):
            continue
        first = number if not parts else first
        raw.append(line)
        if _continues(line):
            parts.append(line[:-1])
            continue
        found.append((first, " ".join([*parts, line]), "\n".join(raw)))
        parts, raw = [], []
    if parts:
        found.append((first, " ".join(parts), "\n".join(raw)))
    return found


def _continues(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1
