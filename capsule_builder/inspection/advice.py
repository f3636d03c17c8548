"""What a capsule could do without: lines for ``.capsuleignore``, and what packages carry beside their code. Pure."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

from capsule_builder.inspection.content import Content, Item
from capsule_builder.inspection.figures import Sum, sums
from capsule_builder.inspection.owners import APPLICATION, Owners
from capsule_builder.paths import MANIFEST_NAME

LARGE = 1_000_000
"""From how many bytes on a file of data is worth a question."""

_APP_LAYER = "app"
_DIRECTORIES = {
    "test": "tests",
    "tests": "tests",
    "__tests__": "tests",
    "doc": "documentation",
    "docs": "documentation",
    "node_modules": "what a front end is built from",
    "__pycache__": "bytecode",
}
_SUFFIXES = {
    ".pyi": "type stubs",
    ".pyc": "bytecode",
    ".map": "source maps",
    ".ipynb": "notebooks",
    ".log": "logs",
}
_CODE = {".py", ".so", ".js", ".mjs", ".css", ".html"}
_IN_PACKAGES = {
    **dict.fromkeys([".pyi"], "type stubs"),
    **dict.fromkeys([".pyc"], "bytecode"),
    **dict.fromkeys([".h", ".hpp", ".c", ".cc", ".cpp", ".pxd", ".pyx"], "C and Cython sources"),
    **dict.fromkeys([".a", ".lib"], "static libraries"),
}


@dataclass
class Suggestion:
    """A line for the application's ``.capsuleignore``, what it would leave out, and what that is."""

    line: str
    what: str
    sum: Sum = field(default_factory=Sum)


def suggestions(content: Content, owners: Owners) -> list[Suggestion]:
    """What of the application itself may not be needed where it runs; the largest first.

    They are guesses by name and size. Nothing is suggested that the manifest starts.
    """
    found: dict[str, Suggestion] = {}
    needed = _needed(content)
    for item in content.items:
        if item.layer != _APP_LAYER or item.path in needed or owners.of(item.path) != APPLICATION:
            continue
        if item.kind in {"file", "executable"} and (line := _line(item, needed)):
            found.setdefault(line[0], Suggestion(*line)).sum.add(item)
    return sorted(found.values(), key=lambda suggestion: (-suggestion.sum.total_size, suggestion.line))


def in_packages(content: Content, owners: Owners) -> dict[str, Sum]:
    """What packages carry that is seldom needed where they run. Figures alone: a package is what its RECORD says."""

    def what(item: Item) -> str | None:
        if owners.of(item.path).kind not in {"distribution", "package"}:
            return None
        if {"test", "tests"} & set(item.path.split("/")[:-1]):
            return "tests"
        return _IN_PACKAGES.get(posixpath.splitext(item.path)[1])

    return sums(content.items, what)


def _needed(content: Content) -> set[str]:
    if not content.manifest:
        return set()
    services = (service.entrypoint for service in content.manifest.services)
    return {MANIFEST_NAME, content.manifest.entrypoint, *filter(None, services)}


def _line(item: Item, needed: set[str]) -> tuple[str, str] | None:
    parts = item.path.split("/")
    for depth, part in enumerate(parts[:-1], 1):
        if part in _DIRECTORIES:
            directory = "/".join(parts[:depth]) + "/"
            if not any(path.startswith(directory) for path in needed):
                return _anchored(directory), _DIRECTORIES[part]
    suffix = posixpath.splitext(item.path)[1]
    if suffix in _SUFFIXES and not any(path.endswith(suffix) for path in needed):
        return f"*{suffix}", _SUFFIXES[suffix]
    if (item.size or 0) >= LARGE and item.kind == "file" and suffix not in _CODE:
        return _anchored(item.path), "data, if it is not read from here"
    return None


def _anchored(path: str) -> str:
    """The pattern that names ``path`` and nothing else; a path holds no backslash."""
    escaped = re.sub(r"[*?\[]", r"\\\g<0>", path)
    return "/" + re.sub(r" +$", lambda spaces: r"\ " * len(spaces[0]), escaped)
