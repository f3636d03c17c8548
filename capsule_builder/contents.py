"""The heart of the format: path rules, the content listing, and the ID (``docs/format.md``, sections 2 and 3).

Pure: no I/O, no clock, no environment. Paths are ``str`` here; Python orders them by code point, which is the order of
their UTF-8 bytes.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from capsule_builder.errors import CapsuleError, Problem, refusal

CONTENTS_NAME = ".capsule_contents"
INDEX_NAME = ".capsule_index"
METADATA_NAME = ".capsule_metadata.json"
MANIFEST_NAME = "capsule.yml"
RESERVED_PREFIX = ".capsule_"

LISTING_HEADER = b"# capsule-contents v1\n"
MAX_PATH_BYTES = 4096
MAX_PART_BYTES = 255

Kind = Literal["file", "executable", "symlink", "dir"]
NOUN = {"file": "a file", "executable": "an executable file", "symlink": "a symlink", "dir": "an empty directory"}
"""What a message calls each kind."""

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\\\\]")
_UNDECODABLE = re.compile("[\ud800-\udfff]")
_CONTRACT = re.compile(r"/opt/tori/python/(3\.(?:0|[1-9][0-9]*))/bin/python\1")
_FILE_LINE = re.compile(r"([0-9a-f]{64}) ([ *])(.+)")


@dataclass(frozen=True, slots=True)
class Listed:
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
    stream = iter(lines)
    if next(stream, b"") != LISTING_HEADER:
        raise refusal("listing-header", "Not a content listing: its first line is not '# capsule-contents v1'")
    return map(parse_line, stream)


def listing_digest(entries: Iterable[Listed]) -> str:
    """The SHA-256 (64 hex digits) of the listing of ``entries``: the digest of a layer, the ID of a capsule."""
    digest = hashlib.sha256(LISTING_HEADER)
    for entry in entries:
        digest.update(entry.line())
    return digest.hexdigest()


# Paths


def shown(path: str) -> str:
    r"""A path for a message: control and undecodable bytes as escapes (``caf\xe9``), the rest as it is."""
    escaped = _FORBIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), path)
    return escaped.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def path_problem(path: str) -> Problem | None:
    """Why ``path`` cannot be the path of an entry, or None when it can.

    Bytes that are not UTF-8 are surrogates in it, as ``surrogateescape`` makes them.
    """
    if _UNDECODABLE.search(path):
        return Problem("name-encoding", f"Name is not UTF-8: {shown(path)}", "Rename the file, or exclude it.")
    if found := _FORBIDDEN.search(path):
        what = "a backslash" if found[0] == "\\" else f"a control character (U+{ord(found[0]):04X})"
        return Problem("name-character", f"Name holds {what}: {shown(path)}", "Rename the file, or exclude it.")
    if len(path.encode()) > MAX_PATH_BYTES:
        return Problem(
            "path-length",
            f"Path is longer than {MAX_PATH_BYTES:,} bytes: {shown(path[:60])}…",
            "Move it further up the tree, or exclude it.",
        )
    parts = path.split("/")
    for part in parts:
        if part in {"", ".", ".."}:
            return Problem(
                "path-relative",
                f"Path is not plain and relative: {shown(path) or '(empty)'}",
                "A path has no leading or trailing '/', and no empty, '.' or '..' part.",
            )
        if len(part) > 63 and len(part.encode()) > MAX_PART_BYTES:
            return Problem(
                "name-length", f"Name is longer than {MAX_PART_BYTES} bytes: {shown(part[:60])}…", "Use a shorter name."
            )
    if parts[0].startswith(RESERVED_PREFIX):
        return Problem(
            "name-reserved",
            f"Name is reserved for the capsule's own files: {path}",
            f"Nothing at the top may begin with '{RESERVED_PREFIX}'. Rename it, or exclude it"
            " (in an unpacked capsule these files are generated: exclude '/.capsule_*').",
        )
    if path == "-":
        return Problem(
            "name-reserved", "Name cannot be checked by sha256sum: -", "Rename the file: '-' means standard input."
        )
    return None


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


# Symbolic links


def link_problem(path: str, target: str) -> Problem | None:
    """Why a symlink at ``path`` may not have ``target``, judged by its text alone; None when it may."""
    where = f"{shown(path)} -> {shown(target)}"
    if found := _FORBIDDEN.search(target):
        what = "a backslash" if found[0] == "\\" else f"a control character (U+{ord(found[0]):04X})"
        return Problem("link-character", f"Link target holds {what}: {where}", "Make the link again, or exclude it.")
    if _UNDECODABLE.search(target):
        return Problem("link-encoding", f"Link target is not UTF-8: {where}", "Make the link again, or exclude it.")
    if not target or len(target.encode()) > MAX_PATH_BYTES:
        return Problem("link-length", f"Link target is empty or longer than {MAX_PATH_BYTES:,} bytes: {where}")
    if any(len(part.encode()) > MAX_PART_BYTES for part in target.split("/")):
        return Problem("link-length", f"Link target holds a name longer than {MAX_PART_BYTES} bytes: {where}")
    if target.startswith("/") and not _CONTRACT.fullmatch(target):
        return Problem(
            "link-escape",
            f"Link leaves the tree: {where}",
            "Only relative links move with a capsule: link to a file inside the tree, or copy what it points to.",
        )
    return None


def links_problems(links: Mapping[str, str], paths: Iterable[str]) -> list[Problem]:
    """What is wrong with where ``links`` (path to target) lead, in a tree whose entries (links too) have ``paths``.

    The path of an empty directory ends in ``/``. Links are followed as the kernel follows them, through other links
    too. One pass over ``paths``.
    """
    problems: list[Problem] = []
    ends: list[tuple[str, str]] = []  # a link, and a path that must exist for it
    for path, target in links.items():
        if found := link_problem(path, target):
            problems.append(found)
        elif not target.startswith("/"):
            found, needed = _follow(path, links)
            if found:
                problems.append(found)
            else:
                ends += [(path, end) for end in needed]
    missing = {end for _, end in ends if end}
    directories: set[str] = set()
    for path in paths if missing else ():
        missing.discard(path)
        while "/" in path:
            path = path[: path.rindex("/")]
            if path in directories:
                break
            directories.add(path)
            missing -= {path, path + "/"}
    dangling = dict.fromkeys(link for link, end in ends if end in missing)
    problems += [
        Problem(
            "link-dangling",
            f"Link points to nothing in the capsule: {shown(link)} -> {shown(links[link])}",
            "Add what it points to (is it excluded?), or exclude the link.",
        )
        for link in dangling
    ]
    return problems


def _follow(path: str, links: Mapping[str, str]) -> tuple[Problem | None, list[str]]:
    """Walks a link: the problem met on the way, or the paths that must exist.

    One that must be a directory ends in ``/``; '' is the capsule's top.
    """
    where = f"{shown(path)} -> {shown(links[path])}"
    here = path.split("/")[:-1]
    todo = links[path].split("/")[::-1]
    needed: list[str] = []
    hops, end = 1, ""
    while todo:
        part = todo.pop()
        if part in {"", "."}:
            end = "/"
            continue
        if part == "..":
            if not here:
                return Problem(
                    "link-escape", f"Link leaves the tree: {where}", "Link to a file inside the tree, or exclude it."
                ), []
            needed.append("/".join(here) + "/")
            here.pop()
            continue
        here.append(part)
        end = ""
        target = links.get("/".join(here))
        if target is None:
            continue
        hops += 1
        if hops > 40:
            return Problem("link-cycle", f"Link leads to itself: {where}", "Remove the link, or exclude it."), []
        if target.startswith("/"):  # the interpreter contract, or a link that is refused in its own right
            if any(part not in {"", "."} for part in todo):
                return Problem("link-escape", f"Link leaves the tree: {where}", "Link inside the tree."), []
            return None, needed
        here.pop()
        todo += target.split("/")[::-1]
    needed.append("/".join(here) + end if here else "")
    return None, needed


# Layers


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
        "Leave it out of one of them, or make both the same.",
    )
