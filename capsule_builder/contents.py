"""The heart of the format: the content listing, the ID, and how layers merge (``docs/format.md``, sections 3 and 6).

Pure: no I/O, no clock, no environment. Paths are ``str`` here; Python orders them by code point, which is the order of
their UTF-8 bytes.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import shown

LISTING_HEADER = b"# capsule-contents v1\n"

Kind = Literal["file", "executable", "symlink", "dir"]
NOUN = {"file": "a file", "executable": "an executable file", "symlink": "a symlink", "dir": "an empty directory"}
"""What a message calls each kind."""

_FILE_BYTES = re.compile(rb"[0-9a-f]{64} [ *][!-~]+\n")
_FILE_LINE = re.compile(r"([0-9a-f]{64}) ([ *])(.+)")


class Listed(NamedTuple):
    """One line of a listing: ``detail`` is a file's SHA-256 (64 hex digits), a symlink's target, or empty."""

    path: str
    kind: Kind
    detail: str = ""

    def line(self) -> bytes:
        """The line of the listing, in UTF-8 with its line end."""
        if self.kind == "symlink":
            return f"# symlink\t{self.path}\t{self.detail}\n".encode()
        if self.kind == "dir":
            return f"# dir\t{self.path}\n".encode()
        return f"{self.detail} {'*' if self.kind == 'executable' else ' '}{self.path}\n".encode()


def parse_line(line: bytes) -> Listed:
    """The entry that one listing line stands for.

    Raises:
        CapsuleError: the line is not one that :meth:`Listed.line` writes.
    """
    text = line.decode("utf-8", "strict").removesuffix("\n")
    if match := _FILE_LINE.fullmatch(text):
        return Listed(match[3], "executable" if match[2] == "*" else "file", match[1])
    fields = text.split("\t")
    if fields[0] == "# symlink" and len(fields) == 3:
        return Listed(fields[1], "symlink", fields[2])
    if fields[0] == "# dir" and len(fields) == 2:
        return Listed(fields[1], "dir")
    raise refusal("listing-line", f"Not a line of a content listing: {text!r}")


def read_listing(lines: Iterable[bytes]) -> Iterator[Listed]:
    """The entries of a listing, given as its lines.

    Raises:
        CapsuleError: the header or a line is not as the format says.
    """
    return map(parse_line, _after_header(lines))


def checked_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines below the header; raises what :func:`read_listing` does."""
    for line in _after_header(lines):
        yield line if _FILE_BYTES.fullmatch(line) else parse_line(line).line()


def _after_header(lines: Iterable[bytes]) -> Iterator[bytes]:
    stream = iter(lines)
    if next(stream, b"") != LISTING_HEADER:
        raise refusal("listing-header", "Not a content listing: its first line is not '# capsule-contents v1'")
    return stream


class Nesting:
    """Watches paths in listing order and finds those that lie below an earlier one.

    In byte order ``a`` and ``a/b`` need not be neighbours (``a-c`` comes between), so every earlier path that is still
    a prefix of the present one is kept; there are as many as a name has prefixes that are names too.
    """

    def __init__(self) -> None:
        self._open: list[tuple[Listed, str]] = []

    def parent(self, entry: Listed, owner: str = "") -> tuple[Listed, str] | None:
        """The nearest earlier entry that ``entry`` lies below, with its owner, if there is one."""
        path, kept = entry.path, self._open
        while kept and not path.startswith(kept[-1][0].path):
            kept.pop()
        found = next((pair for pair in reversed(kept) if path[len(pair[0].path)] == "/"), None)
        kept.append((entry, owner))
        return found


def new_directories(path: str, last: str) -> int:
    """How many of the directories above ``path`` are not above ``last``, the path before it."""
    above = path.rfind("/") + 1
    if last.startswith(path[:above]):
        return 0
    same, other = 0, above  # halved each time: paths may be long, and hold nothing but slashes
    while same < other:
        middle = (same + other + 1) // 2
        same, other = (middle, other) if last.startswith(path[:middle]) else (same, middle - 1)
    return path.count("/", path.rfind("/", 0, same) + 1)


def merge(listings: Iterable[Iterable[tuple[Listed, str]]], crowded: set[str]) -> Iterator[tuple[Listed, str]]:
    """Several sorted listings as one, each entry with its owner (any text that names the layer in messages).

    The same entry in several layers comes once. A ``dir`` entry below which another layer has something is added to
    ``crowded``: it is not empty, and so not part of the capsule's listing. Every conflict is reported at the end, in
    one error.

    Raises:
        CapsuleError: two layers disagree about a path, or one puts a file where the other has a directory.
    """
    problems: list[Problem] = []
    nesting = Nesting()
    last: tuple[Listed, str] | None = None
    for entry, owner in heapq.merge(*listings, key=lambda pair: pair[0].path):
        if last and entry.path == last[0].path:
            if entry != last[0]:
                problems.append(_conflict(entry.path, last[1], owner, _difference(last[0], entry)))
            continue
        parent = nesting.parent(entry, owner)
        if parent and parent[0].kind == "dir":
            crowded.add(parent[0].path)
        elif parent:
            difference = f"{NOUN[parent[0].kind]}, and a directory with {shown(entry.path)}"
            problems.append(_conflict(parent[0].path, parent[1], owner, difference))
        last = entry, owner
        yield last
    if problems:
        raise CapsuleError(problems)


def _difference(one: Listed, other: Listed) -> str:
    if one.detail == other.detail:
        return "the same bytes, but only one of them is executable"
    if one.kind == other.kind:
        return f"{one.detail} and {other.detail}" if one.kind == "symlink" else "different bytes"
    return f"{NOUN[one.kind]} and {NOUN[other.kind]}"


def _conflict(path: str, one: str, other: str, difference: str) -> Problem:
    return Problem(
        "layer-conflict",
        f"Two layers disagree about {shown(path)}: {one} and {other} ({difference})",
        "Leave it out of one of them, or make both the same; of two wheels, keep one.",
    )
