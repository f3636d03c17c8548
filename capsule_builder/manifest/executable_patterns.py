"""Patterns of executables, in the notation of ``.gitignore`` (https://git-scm.com/docs/gitignore, "pattern format").

``capsule_builder.patterns`` does the matching. git is silent about a pattern that can match nothing; here it is
an error.
"""

from __future__ import annotations

import re

from capsule_builder.manifest.problems import quoted
from capsule_builder.manifest.rule import Complaint, Rule

# No control characters or line breaks, no comment, not blank.
EXECUTABLE_PATTERN = r"(?!#| *$)[^\u0000-\u001f\u007f-\u009f\u2028\u2029]{1,4096}"

# A character, an escaped one, or a closed set in brackets, whose first character may be "]".
_GLOB = re.compile(r"(?:[^\[\\]|\\.|\[(?:[!^]|(?![!^]))(?:\\.|[^\\])(?:\\.|[^\]\\])*\])+")


def _executable_complaint(text: str) -> Complaint | None:
    if not text.strip():
        return Complaint("bad-pattern", "is empty", 'write a pattern such as "bin/*", or remove it')
    if text.startswith("#"):
        message = f"{quoted(text)} is a comment and matches nothing"
        return Complaint("bad-pattern", message, f"write {quoted(chr(92) + text)} if the name begins so")
    if not re.fullmatch(EXECUTABLE_PATTERN, text):
        message = f"{quoted(text)} holds a control character, or is longer than 4,096 characters"
        return Complaint("bad-pattern", message, "write one pattern, on one line")
    glob = text.removeprefix("!")
    if not glob.strip("/") or not _GLOB.fullmatch(glob):
        message = f"{quoted(text)} matches nothing: no name, an open bracket, or a backslash at its end"
        return Complaint("bad-pattern", message, 'write a pattern such as "bin/*", "*.sh" or "tools/**/run"')
    return None


EXECUTABLE = Rule("bin/*", _executable_complaint)
