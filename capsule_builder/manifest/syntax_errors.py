"""Says in a person's words where and why a text is not YAML, and how to mend it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from capsule_builder.manifest.problems import START, Position, Report, quoted, shown

if TYPE_CHECKING:
    from yaml import Mark, MarkedYAMLError

CODE = "yaml-syntax"

# Pieces of PyYAML's messages, each with what a person should read in place of it ({line}: where the context begins).
_WORDS = (
    (
        "mapping values are not allowed here",
        'a ":" is not expected here',
        "put the value in quotes if the colon belongs to it, else correct the indentation",
    ),
    (
        "could not find expected ':'",
        'a key without ":"',
        'write "key: value", with a space after the colon',
    ),
    (
        "expected <block end>",
        "this line fits no level of indentation above it, or text follows a finished value",
        "indent it like its neighbours, with spaces, or put the whole value in quotes",
    ),
    (
        "expected ',' or ']'",
        'the list opened by "[" in line {line} goes on without a comma, or is never closed',
        'add the missing "," or "]"',
    ),
    (
        "expected ',' or '}'",
        'the mapping opened by "{{" in line {line} goes on without a comma, or is never closed',
        'add the missing "," or "}"',
    ),
    (
        "expected escape sequence",
        "a backslash in double quotes begins an escape that is not finished",
        "use single quotes, or double the backslash",
    ),
    (
        "found unknown escape character",
        "a backslash in double quotes begins an escape that YAML does not know",
        "use single quotes, or double the backslash",
    ),
    (
        "sequence entries are not allowed here",
        'a "- " is not expected here',
        "begin the list on a line of its own below its key",
    ),
    (
        "found undefined tag handle",
        'a value that begins with "!" is a YAML tag',
        "put the value in quotes if it is text, else remove the tag",
    ),
    (
        "expected the node content",
        "a value is missing here",
        "write the value, or remove the punctuation that announces it",
    ),
    (
        "expected '<document start>'",
        "text follows the end of the manifest",
        "indent everything evenly, beginning in column 1, or remove what follows",
    ),
    (
        "but found another document",
        "a second document begins here, and a manifest is one",
        'remove this "---" or move what follows',
    ),
)


# Where PyYAML points to the end of a thing, the person has to look at its beginning.
_AT_BEGINNING = (
    "could not find expected ':'",
    "found unexpected end of stream",
    "while scanning an alias",
    "while scanning an anchor",
)


def report_syntax_error(error: MarkedYAMLError, text: str, report: Report) -> None:
    """Report what PyYAML stumbled over (and, for tabs, every other line that has the same fault)."""
    position = _position(error.problem_mark or error.context_mark)
    problem = error.problem or "not valid YAML"
    if problem == r"found character '\t' that cannot start any token":
        _report_tabs(position, text, report)
        return
    message, remedy = _explain(problem, error, position, text)
    if error.context_mark is not None and (problem in _AT_BEGINNING or error.context in _AT_BEGINNING):
        position = _position(error.context_mark)
    report.error(position, CODE, "", message, remedy)


def _explain(problem: str, error: MarkedYAMLError, position: Position, text: str) -> tuple[str, str]:
    context = error.context or ""
    if problem == "found unexpected end of stream":
        return "the quote that opens here is never closed", "close it on the same line"
    first = re.fullmatch(r"found character '(.+)' that cannot start any token", problem)
    word = _word_at(error.context_mark or error.problem_mark, text)
    if first:
        return f"a value cannot begin with {first.group(1)} unless it is quoted", f"write {quoted(word)}"
    if context == "while scanning an alias":
        return f'{shown(word)} begins with "*", which is YAML for an alias', f"write {quoted(word)}"
    if context == "while scanning an anchor":
        return f'{shown(word)} begins with "&", which is YAML for an anchor', f"write {quoted(word)}"
    for pattern, message, remedy in _WORDS:
        if pattern in problem:
            return message.format(line=_position(error.context_mark).line), remedy
    reason = " ".join(part for part in (context, problem) if part)
    return f"not valid YAML: {shown(reason)}", f"correct line {position.line}"


def _report_tabs(position: Position, text: str, report: Report) -> None:
    """Tabs come in many lines at once: name them all, from the first that YAML stumbled over."""
    message, remedy = "a tab cannot indent or separate in YAML", "replace it with spaces"
    report.error(position, "tab", "", message, remedy)
    for number, line in enumerate(re.split("\r\n|\r|\n", text), start=1):
        # A tab inside quotes or a comment is legal.
        match = re.match(r"[^\t#'\"]*\t", line)
        if number > position.line and match and line.strip():
            report.error(Position(number, match.end()), "tab", "", message, remedy)


def _word_at(mark: Mark | None, text: str) -> str:
    """The rest of the line from the mark: what the writer most likely meant as one value."""
    if mark is None:
        return ""
    rest = re.split("[\r\n]", text[mark.index :], maxsplit=1)[0]
    return re.split(r" #|\s*[,\]}]", rest, maxsplit=1)[0].strip()


def _position(mark: Mark | None) -> Position:
    return Position(mark.line + 1, mark.column + 1) if mark else START
