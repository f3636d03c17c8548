"""Patterns of executables, in the notation of ``.gitignore`` (https://git-scm.com/docs/gitignore, "pattern format")."""

from __future__ import annotations

import re

from capsule_builder.manifest.problems import quoted
from capsule_builder.manifest.rule import Complaint, Rule

# No line breaks or control characters; not a comment; at least one character that is not a space.
EXECUTABLE_PATTERN = r"(?![\s#])[^\u0000-\u001f\u007f-\u009f\u2028\u2029]{1,4096}"


def _executable_complaint(text: str) -> Complaint | None:
    if not text.strip():
        return Complaint("bad-pattern", "is empty", 'write a pattern such as "bin/*", or remove it')
    if text.startswith("#"):
        remedy = f"write {quoted(chr(92) + text)} if the name begins so"
        return Complaint("bad-pattern", f"{quoted(text)} is a comment and matches nothing", remedy)
    if not re.fullmatch(EXECUTABLE_PATTERN, text):
        message = f"{quoted(text)} begins with a space, holds a control character, or is longer than 4,096 characters"
        return Complaint("bad-pattern", message, "write one pattern, on one line")
    if not _matches_something(text):
        message = f"{quoted(text)} is not a gitignore pattern"
        return Complaint("bad-pattern", message, 'write one such as "bin/*", "*.sh" or "tools/**/run"')
    return None


def _matches_something(pattern: str) -> bool:
    import pathspec

    try:
        parsed = pathspec.GitIgnoreSpec.from_lines([pattern])
    except (ValueError, re.error):
        return False
    return any(one.include is not None for one in parsed.patterns)


EXECUTABLE = Rule("bin/*", _executable_complaint)
