"""Reads an archive with the strict reader, whole."""

from __future__ import annotations

import io

from capsule_builder.archive.reader import CapsuleReader
from capsule_builder.errors import CapsuleError

Content = list[tuple[str, str, str, bytes]]


def read(archive: bytes) -> Content:
    """What is in it, entry by entry: layer, path, kind, and content or target."""
    found: Content = []
    with CapsuleReader(io.BytesIO(archive), label="forged") as reader:
        for entry in reader.entries():
            found.append((entry.layer, entry.path, entry.kind, entry.target.encode() + b"".join(entry.chunks())))
        reader.finish()
    return found


def code_of(archive: bytes) -> str:
    """The code of the refusal; "sound" when there is none."""
    try:
        read(archive)
    except CapsuleError as error:
        assert all(str(problem).isprintable() or "\n  " in str(problem) for problem in error.problems)
        return error.problems[0].code
    return "sound"
