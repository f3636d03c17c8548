"""Writes ``.capsuleignore``: what does not come along into the capsule."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase


def pattern_of(path: str) -> str:
    """A pattern that matches one path from the top and nothing else."""
    escaped = re.sub(r"([\\*?\[])", r"\\\1", path)
    escaped = re.sub("[\x00-\x1f\x7f]", "?", escaped)
    if escaped.endswith(" "):
        escaped = f"{escaped[:-1]}\\ "
    return f"/{escaped}"


def ignore_text(entries: Mapping[str, str], kept: bytes, protected: Iterable[str]) -> tuple[bytes, list[str]]:
    """The ignore file, and those of ``entries`` that were not written as a path in ``protected`` would go with them.

    ``entries`` are paths that begin with ``/`` (a directory ends with one), or patterns, each with its reason; ``kept``
    is what the directory's own ignore file has.
    """
    paths = set(protected)
    spared: list[str] = []
    by_reason: dict[str, list[str]] = {}
    for entry, reason in entries.items():
        inner = entry.strip("/")
        if entry.startswith("/") and any(path == inner or path.startswith(f"{inner}/") for path in paths):
            spared.append(inner)
            continue
        line = entry
        if entry.startswith("/"):
            line = pattern_of(inner) + ("/" if entry.endswith("/") else "")
        elif any(fnmatchcase(posixpath.basename(path), entry) for path in paths):
            spared.append(entry)
            continue
        by_reason.setdefault(reason, []).append(line)
    parts = [kept.rstrip(b"\n") + b"\n" if kept.strip() else b""]
    parts.append(b"# Drafted by caps_migrate.\n")
    for reason, lines in by_reason.items():
        parts.append(f"\n# {reason}\n".encode())
        parts += [line.encode("utf-8", "surrogateescape") + b"\n" for line in lines]
    return b"".join(parts), spared
