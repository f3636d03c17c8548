"""The words of a setting: quotes, C escapes, specifiers, variables (systemd.syntax(7), systemd.service(5)). Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from capsule_deploy.migrate.systemd.syntax import SPACE

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
            if separators and word is None and text[at : at + 2] == "\\;" and text[at + 2 : at + 3] in ("", *SPACE):
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
        elif char in SPACE:
            if word is not None:
                yield "".join(word)
            word, at = None, at + 1
        elif char in "'\"":
            quote, word, at = char, _with(word, ""), at + 1
        elif separators and word is None and char == ";" and text[at + 1 : at + 2] in ("", *SPACE):
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
