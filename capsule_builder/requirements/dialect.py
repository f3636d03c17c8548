"""The text of a requirements file: bytes, logical lines, options. pip's "Requirements File Format", nothing of ours.

The order is pip's and matters: lines are joined before comments are stripped, and options begin at the first word with
a hyphen, because markers would not survive the shell's quoting rules that options follow.
"""

from __future__ import annotations

import codecs
import optparse
import re
import shlex
from collections.abc import Iterator
from typing import NoReturn

_MARKS = (  # UTF-32's before UTF-16's, whose little-endian one begins like it
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CODING = re.compile(rb"coding[:=]\s*([-\w.]+)")
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$")
_BARE = re.compile(r"[ \t!#-&(-\[\]-~]*")
"""Text that a shell has nothing to say of but where its words end: ASCII without quotes and backslashes."""

VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")

_WHERE = (
    ("-i", "--index-url", "--pypi-url"),
    ("--extra-index-url",),
    ("-f", "--find-links"),
    ("--trusted-host",),
)
_VALUES = (
    *_WHERE,
    ("-r", "--requirement"),
    ("-c", "--constraint"),
    ("-e", "--editable"),
    ("--no-binary",),
    ("--only-binary",),
    ("--use-feature",),
    ("--hash",),
    ("-C", "--config-settings", "--config-setting"),
    ("--global-option",),
    ("--install-option",),
)
_FLAGS = ("--no-index", "--pre", "--prefer-binary", "--require-hashes")
SOURCES = frozenset(["--no-index", *(next(name for name in names if name.startswith("--")) for names in _WHERE)])
"""Options that say where distributions are to be looked for, by their long names."""

OF_A_LINE = ("--hash", "--config-settings", "--global-option", "--install-option")
"""Options that belong to a requirement; all others stand on lines of their own."""


def decode(data: bytes) -> str:
    """The text: by its byte order mark, by a PEP 263 comment in its first two lines, or else UTF-8.

    pip asks the locale at last, and a build must not.

    Raises:
        ValueError: the bytes are not in that encoding, or nobody knows it.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding)
    encoding = "utf-8"
    for line in data.split(b"\n")[:2]:
        if line.startswith(b"#") and (found := _CODING.search(line)):
            encoding = found[1].decode("ascii", "replace")
            break
    try:
        return data.decode(encoding)
    except LookupError as error:
        raise ValueError(f"unknown encoding: {encoding}") from error


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    r"""Number and text of each line that says something, joined at ``\`` and without comments."""
    for number, line in _joined(text):
        if stripped := _COMMENT.sub("", line).strip():
            yield number, stripped


def _joined(text: str) -> Iterator[tuple[int, str]]:
    first, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        first = first if parts else number
        is_comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not is_comment:
            parts.append(line.strip("\\"))
            continue
        yield first, "".join([*parts, f" {line}" if is_comment else line])
        parts = []
    if parts:
        yield first, "".join(parts)


def split_options(line: str) -> tuple[str, list[tuple[str, str]]]:
    """The requirement of a line (may be empty), and its options by their long name, a flag's value being empty.

    Raises:
        ValueError: pip has no such option, or it is not used like this.
    """
    words = line.split(" ")
    start = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    requirement, rest = " ".join(words[:start]).strip(), " ".join(words[start:])
    if not rest:
        return requirement, []
    parser, found = _Parser(add_help_option=False), list[tuple[str, str]]()

    def record(option: optparse.Option, _text: str, value: str | None, _parser: object) -> None:
        found.append((option._long_opts[0], value or ""))

    for names in _VALUES:
        parser.add_option(*names, type="string", action="callback", callback=record)
    for name in _FLAGS:
        parser.add_option(name, action="callback", callback=record)
    _, left = parser.parse_args(rest.split() if _BARE.fullmatch(rest) else shlex.split(rest))
    if left:
        raise ValueError(f"there is text after the options: {left[0]}")
    return requirement, found


class _Parser(optparse.OptionParser):
    def error(self, msg: str) -> NoReturn:
        raise ValueError(msg)
