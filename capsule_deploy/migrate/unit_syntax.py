"""The syntax of units, environment files and command lines: systemd.syntax(7), systemd.exec(5), systemd.service(5).

Pure. What systemd would only warn about, and go on without, is given as a complaint.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from capsule_deploy.migrate.reading import logical_lines

_SPACE = " \t\n\r"


@dataclass(frozen=True)
class Assignment:
    """A line ``key=value`` of a section; ``text`` is what stands in the file, with the lines that go on from it."""

    section: str
    key: str
    value: str
    line: int
    text: str


@dataclass(frozen=True)
class Complaint:
    """A line that means nothing: its number, what stands there, what is wrong with it."""

    line: int
    text: str
    message: str


def parse_unit(text: str) -> tuple[list[Assignment], list[Complaint]]:
    """The assignments of a unit file or a drop-in, in its order.

    A backslash at the end of a line joins the next one to it with a space in its place; comments between are left
    out. A line is a comment when ``#`` or ``;`` is its first character that is no white space.
    """
    found: list[Assignment] = []
    wrong: list[Complaint] = []
    section = ""
    for number, whole, raw in _joined(text):
        line = whole.strip(_SPACE)
        if line.startswith("["):
            if line.endswith("]") and len(line) > 2:
                section = line[1:-1]
            else:
                wrong.append(Complaint(number, raw, "a section's name has no end"))
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.strip(_SPACE):
            wrong.append(Complaint(number, raw, 'there is no "=" after a name'))
        elif not section:
            wrong.append(Complaint(number, raw, "it stands before the first section"))
        else:
            found.append(Assignment(section, key.strip(_SPACE), value.strip(_SPACE), number, raw))
    return found, wrong


def _joined(text: str) -> list[tuple[int, str, str]]:
    """Each line that says something, with its number and with what stands in the file."""
    found: list[tuple[int, str, str]] = []
    parts: list[str] = []
    raw: list[str] = []
    first = 0
    for number, line in logical_lines(text):
        if line.lstrip(_SPACE).startswith(("#", ";")) or (not parts and not line.strip(_SPACE)):
            continue
        first = number if not parts else first
        raw.append(line)
        if _continues(line):
            parts.append(line[:-1])
            continue
        found.append((first, " ".join([*parts, line]), "\n".join(raw)))
        parts, raw = [], []
    if parts:
        found.append((first, " ".join(parts), "\n".join(raw)))
    return found


def _continues(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}
_NUMBERED = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})")


class QuotingError(ValueError):
    """A quotation has no end, or an escape is none."""


def split_words(text: str, *, separators: bool = False) -> list[str]:
    r"""The words of a setting that knows quotes and C escapes; with ``separators``, a bare ``;`` is a word too.

    >>> split_words(r'"a b" c\x20d')
    ['a b', 'c d']

    Raises:
        QuotingError: as it says.
    """
    return list(iterate_words(text, separators=separators))


def iterate_words(text: str, *, separators: bool = False, strict: bool = False) -> Iterator[str]:
    """The same, one by one: what comes before a mistake is given before it is raised.

    An escape that is none stays as it is, as in commands; with ``strict`` it is a mistake, as in ``Environment=``.
    """
    word: list[str] | None = None
    quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            if separators and word is None and text[at : at + 2] == "\\;" and text[at + 2 : at + 3] in ("", *_SPACE):
                value, at = ";", at + 2
            else:
                value, at = _escape(text, at + 1, strict)
            word = _with(word, value)
        elif quote:
            run = _IN_QUOTES[quote].match(text, at)
            if run:
                word, at = _with(word, run[0]), run.end()
            else:
                quote, at = "", at + 1
        elif char in _SPACE:
            if word is not None:
                yield "".join(word)
            word, at = None, at + 1
        elif char in "'\"":
            quote, word, at = char, _with(word, ""), at + 1
        elif separators and word is None and char == ";" and text[at + 1 : at + 2] in ("", *_SPACE):
            yield SEPARATOR
            at += 1
        else:
            end = _PLAIN.match(text, at)
            stop = end.end() if end else at + 1
            word, at = _with(word, text[at:stop]), stop
    if quote:
        raise QuotingError("a quotation has no end")
    if word is not None:
        yield "".join(word)


_PLAIN = re.compile(r"""[^\\'" \t\n\r]+""")
_IN_QUOTES = {"'": re.compile(r"[^\\']+"), '"': re.compile(r'[^\\"]+')}


def _with(word: list[str] | None, piece: str) -> list[str]:
    if word is None:
        return [piece]
    word.append(piece)
    return word


def _escape(text: str, at: int, strict: bool) -> tuple[str, int]:
    """What an escape stands for whose backslash is before ``at``, and where it ends."""
    char = text[at : at + 1]
    if not char:
        return _no_escape(char, at - 1, strict)
    if char in "\\\"'":
        return char, at + 1
    if char in _ESCAPES:
        return _ESCAPES[char], at + 1
    found = _NUMBERED.match(text, at)
    if not found:
        return _no_escape(char, at, strict)
    digits = next(group for group in found.groups() if group)
    code = int(digits, 8 if found[4] else 16)
    if found[1] or found[4]:
        if not 0 < code < 256:
            return _no_escape(char, at, strict)
        return bytes([code]).decode("utf-8", "surrogateescape"), found.end()
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF or not code:
        return _no_escape(char, at, strict)
    return chr(code), found.end()


def _no_escape(char: str, at: int, strict: bool) -> tuple[str, int]:
    if strict:
        raise QuotingError(f"\\{char} is no escape")
    return f"\\{char}", at + 1


SEPARATOR = "\0;"
"""The word that :func:`split_words` gives for a ``;`` between two commands."""


def parse_environment_file(text: str) -> tuple[list[tuple[str, str, int]], list[Complaint]]:
    """Names, values and lines of an ``EnvironmentFile=``, by the states of systemd's own reader.

    It is like a shell's and yet is not: quotations may run over lines, but count at the head of a value alone; a
    backslash takes the next character as it is; comments begin at the head of a line; nothing is expanded.
    """
    found: list[tuple[str, str, int]] = []
    wrong: list[Complaint] = []
    at, number = 0, 1
    while at < len(text):
        char = text[at]
        if char in _SPACE:
            number += char == "\n"
            at += 1
            continue
        if char in "#;":
            end = _comment_end(text, at)
        else:
            end = _key_end(text, at)
            key = text[at:end]
            if text[end : end + 1] == "=":
                value, end = _environment_value(text, end + 1)
                name = key.rstrip(_SPACE)
                if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
                    found.append((name, value, number))
                else:
                    wrong.append(Complaint(number, key, "that is no name of a variable"))
            else:
                wrong.append(Complaint(number, key, 'there is no "="'))
        number += text.count("\n", at, end)
        at = end
    return found, wrong


def _key_end(text: str, at: int) -> int:
    while at < len(text) and text[at] not in "=\n\r":
        at += 1
    return at


def _comment_end(text: str, at: int) -> int:
    """Where the line after a comment begins: a backslash at its end takes the next line in as well."""
    while at < len(text) and text[at] not in "\n\r":
        at += 2 if text[at] == "\\" else 1
    return min(at + 1, len(text))


def _environment_value(text: str, at: int) -> tuple[str, int]:
    """The value that begins at ``at``, and where the next line begins."""
    value: list[str] = []
    state = "head"
    kept = 0  # how much of the value stays when white space at its end goes
    while at < len(text):
        char = text[at]
        following = text[at + 1 : at + 2]
        at += 1
        if state == "'":
            state = "head" if char == "'" else state
            value += [] if char == "'" else [char]
        elif state == '"' and char == "\\" and following:
            value += following if following in '"\\`$' else [] if following == "\n" else [char, following]
            at += 1
        elif state == '"':
            state = "head" if char == '"' else state
            value += [] if char == '"' else [char]
        elif char in "\n\r":
            break
        elif char == "\\":
            value += [] if following in "\n\r" else [following]
            at += len(following)
            state, kept = "plain", len(value)
        elif state == "head" and char in "'\"":
            state = char
        elif char in " \t":
            value += [char] if state == "plain" else []
        else:
            value.append(char)
            state, kept = "plain", len(value)
    return "".join(value[:kept] if state == "plain" else value), at


def expand_specifiers(text: str, known: Callable[[str], str | None]) -> tuple[str, list[str]]:
    """The text with ``%n`` and its kin in place, and those that ``known`` gives None for, which stay."""
    missing: list[str] = []

    def one(found: re.Match[str]) -> str:
        if found[1] == "%":
            return "%"
        value = known(found[1])
        if value is None:
            missing.append(found[0])
            return found[0]
        return value

    return re.sub("%([a-zA-Z%])", one, text), missing


_IN_WORD = re.compile(r"\$(?:\$|\{([^}]*)\})")


def expand_variables(words: list[str], env: dict[str, str]) -> tuple[list[str], list[str]]:
    """The words of a command with their variables in place, and the names of those that are not set.

    ``$NAME`` as a word of its own becomes any number of words, ``${NAME}`` stands for its value anywhere.
    """
    expanded: list[str] = []
    missing: list[str] = []
    for word in words:
        alone = re.fullmatch(r"\$([A-Za-z_][A-Za-z0-9_]*)", word)
        if alone:
            if alone[1] not in env:
                missing.append(alone[1])
            expanded += _unquoted(env.get(alone[1], ""))
            continue

        def one(found: re.Match[str]) -> str:
            if found[0] == "$$":
                return "$"
            if found[1] not in env:
                missing.append(found[1])
            return env.get(found[1], "")

        expanded.append(_IN_WORD.sub(one, word))
    return expanded, missing


def _unquoted(value: str) -> list[str]:
    try:
        return split_words(value)
    except QuotingError:
        return value.split()
