"""The dialect of INI in which supervisor is configured. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from capsule_deploy.migrate.reading import logical_lines


@dataclass(frozen=True)
class Option:
    """An option's value and its place."""

    value: str
    line: int
    text: str


@dataclass
class _Lines:
    """An option while it is read."""

    line: int
    values: list[str]
    raw: list[str]

    def joined(self) -> Option:
        return Option("\n".join(self.values).rstrip(), self.line, "\n".join(self.raw))


def parse_ini(text: str) -> tuple[list[tuple[str, int, dict[str, Option]]], list[tuple[int, str]]]:
    """Sections with their first lines and options, and the lines that mean nothing.

    The dialect is that of ``RawConfigParser`` with inline comments: ``;`` and ``#`` begin one at the head of a line and
    after white space; a line that is indented deeper goes on from the last; of two equal options the last counts.
    """
    sections: dict[str, tuple[int, dict[str, _Lines]]] = {}
    wrong: list[tuple[int, str]] = []
    options: dict[str, _Lines] | None = None
    key: str | None = None
    indent = 0
    for number, raw in logical_lines(text):
        line = _without_comment(raw)
        value = line.strip()
        if not value:
            if not raw.strip() and key and options is not None:  # a blank line belongs to the value, if it goes on
                options[key].values.append("")
            continue
        deep = len(line) - len(line.lstrip())
        if key and options is not None and deep > indent:
            options[key].values.append(value)
            options[key].raw.append(raw)
            continue
        indent = deep
        header = re.match(r"\[(.+)\]", value)
        if header:
            options = sections.setdefault(header[1], (number, {}))[1]
            key = None
            continue
        found = re.search("[=:]", value)
        if options is None or not found or not value[: found.start()].strip():
            wrong.append((number, raw))
            key = None
            continue
        key = value[: found.start()].rstrip().lower()
        options[key] = _Lines(number, [value[found.end() :].strip()], [raw])
    cleaned = [
        (name, line, {key: option.joined() for key, option in found.items()})
        for name, (line, found) in sections.items()
    ]
    return cleaned, wrong


def _without_comment(line: str) -> str:
    if line.strip().startswith((";", "#")):
        return ""
    for found in re.finditer("[;#]", line):
        if found.start() == 0 or line[found.start() - 1].isspace():
            return line[: found.start()]
    return line
