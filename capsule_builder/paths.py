"""The names in a capsule: which are allowed, which are its own (``docs/format.md``, section 2.1). Pure."""

from __future__ import annotations

import re
import unicodedata

from capsule_builder.errors import Problem

CONTENTS_NAME = ".capsule_contents"
INDEX_NAME = ".capsule_index"
METADATA_NAME = ".capsule_metadata.json"
MANIFEST_NAME = "capsule.yml"
RESERVED_PREFIX = ".capsule_"

MAX_PATH_BYTES = 4096
MAX_PART_BYTES = 255

FORBIDDEN = re.compile(
    "[\\\\\x00-\x1f\x7f-\x9f\u2028\u2029"  # control characters, line and paragraph separators
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what changes the direction of text
    "\u200b\u2060\ufeff]"  # what cannot be seen at all
)
"""Characters that neither a path nor a link's target may hold."""

UNDECODABLE = re.compile("[\ud800-\udfff]")
"""What ``surrogateescape`` makes of bytes that are not UTF-8."""


def forbidden(text: str) -> str | None:
    """What ``text`` holds of characters that are not allowed, for a message; None when there is nothing."""
    found = FORBIDDEN.search(text)
    if not found:
        return None
    if found[0] == "\\":
        return "a backslash"
    return (
        f"{'a control' if unicodedata.category(found[0]) == 'Cc' else 'an invisible'} character (U+{ord(found[0]):04X})"
    )


def raw(path: str) -> bytes:
    """A path as the system has it, whatever the locale says."""
    return path.encode("utf-8", "surrogateescape")


def shown(path: str) -> str:
    r"""A path for a message: control and undecodable bytes as escapes (``caf\xe9``), the rest as it is."""
    escaped = FORBIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), path)
    return escaped.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


PLAIN_PART = "[A-Za-z0-9_+][A-Za-z0-9_.+-]{0,62}"
"""A pattern of parts as nearly all are."""

PLAIN = re.compile(f"(?:{PLAIN_PART}/)*{PLAIN_PART}")
"""Names as nearly all are, in which no problem can be."""


def path_problem(path: str) -> Problem | None:
    """Why ``path`` cannot be the path of an entry, or None when it can.

    Bytes that are not UTF-8 are surrogates in it, as ``surrogateescape`` makes them.
    """
    if PLAIN.fullmatch(path) and len(path) <= MAX_PATH_BYTES:
        return None
    if UNDECODABLE.search(path):
        return Problem("name-encoding", f"Name is not UTF-8: {shown(path)}", "Rename the file, or exclude it.")
    if what := forbidden(path):
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
