"""The words, operators and redirections of a shell's script (POSIX, chapter 2.3). Pure.

Here-documents, arithmetic and bash's own quotations are :class:`NotUnderstoodError`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_OPERATORS = ("&&", "||", ";;", "\n", ";", "&", "|", "(", ")")
_REDIRECTION = re.compile(r"([0-9]*)(<<<|<<-|<<|&>>|&>|>>|>\||>&|<&|<>|>|<)")
_RUN = re.compile(r"[^ \t\r\n;&|()<>'\"\\$`]+")


class NotUnderstoodError(Exception):
    """The script does what this module has no words for; ``line`` is from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True)
class Part:
    """A piece of a word: text as it is, a variable (``text`` is what stands in ``${…}``), or a command's output."""

    kind: Literal["text", "variable", "command"]
    text: str
    quoted: bool


@dataclass(frozen=True)
class Word:
    """A word before anything in it is expanded."""

    parts: tuple[Part, ...]
    line: int

    @property
    def plain(self) -> str | None:
        """The word when nothing in it is expanded or quoted."""
        if all(part.kind == "text" and not part.quoted for part in self.parts):
            return "".join(part.text for part in self.parts)
        return None


@dataclass(frozen=True)
class Operator:
    """What stands between commands."""

    text: str
    line: int


@dataclass(frozen=True)
class Redirection:
    """``2>file``: the descriptor as it is written, the operator, where it leads."""

    descriptor: str
    operator: str
    target: Word


Token = Word | Operator | Redirection


def tokens(text: str, first: int) -> list[Token]:
    """What a script consists of; ``first`` is the number of its first line.

    Raises:
        NotUnderstoodError: it has something that this module has no words for.
    """
    return _Lexer(text, first).tokens()


class _Lexer:
    def __init__(self, text: str, line: int) -> None:
        self._text = text
        self._at = 0
        self._line = line

    def tokens(self) -> list[Token]:
        found: list[Token] = []
        pending: tuple[str, str] | None = None
        while True:
            self._skip()
            if self._at >= len(self._text):
                break
            token = self._redirection() if pending is None else None
            if token is not None:
                pending = token
                continue
            operator = self._operator()
            if pending is not None:
                if operator is not None:
                    raise NotUnderstoodError(self._line, "a redirection that leads nowhere")
                found.append(Redirection(*pending, self._word()))
                pending = None
            else:
                found.append(operator or self._word())
        if pending is not None:
            raise NotUnderstoodError(self._line, "a redirection that leads nowhere")
        return found

    def _skip(self) -> None:
        while self._at < len(self._text):
            if self._text[self._at] in " \t\r":
                self._at += 1
            elif self._text.startswith("\\\n", self._at):
                self._at += 2
                self._line += 1
            elif self._text[self._at] == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            else:
                return

    def _redirection(self) -> tuple[str, str] | None:
        found = _REDIRECTION.match(self._text, self._at)
        if not found:
            return None
        if found[2].startswith("<<"):
            raise NotUnderstoodError(self._line, "a here-document")
        self._at = found.end()
        return found[1], found[2]

    def _operator(self) -> Operator | None:
        for text in _OPERATORS:
            if self._text.startswith(text, self._at):
                token = Operator(text, self._line)
                self._at += len(text)
                self._line += text == "\n"
                return token
        return None

    def _word(self) -> Word:
        line = self._line
        parts: list[Part] = []
        while self._at < len(self._text) and self._text[self._at] not in " \t\r\n;&|()<>":
            char = self._text[self._at]
            if char == "'":
                end = self._text.find("'", self._at + 1)
                if end < 0:
                    raise NotUnderstoodError(line, "a quotation has no end")
                parts.append(Part("text", self._text[self._at + 1 : end], True))
                self._line += self._text.count("\n", self._at, end)
                self._at = end + 1
            elif char == '"':
                self._at += 1
                self._quoted(parts, line)
            elif char == "\\":
                escaped = self._text[self._at + 1 : self._at + 2]
                self._at += 1 + len(escaped)
                if escaped == "\n":
                    self._line += 1
                else:
                    parts.append(Part("text", escaped or "\\", True))
            elif char in "$`":
                parts.append(self._expansion(False))
            else:
                run = _RUN.match(self._text, self._at)
                end = run.end() if run else self._at + 1
                parts.append(Part("text", self._text[self._at : end], False))
                self._at = end
        if not parts:
            raise NotUnderstoodError(line, "an operator where a word must be")
        return Word(tuple(_joined(parts)), line)

    def _quoted(self, parts: list[Part], line: int) -> None:
        parts.append(Part("text", "", True))
        while True:
            char = self._text[self._at : self._at + 1]
            if not char:
                raise NotUnderstoodError(line, "a quotation has no end")
            if char == '"':
                self._at += 1
                return
            if char in "$`":
                parts.append(self._expansion(True))
                continue
            if char == "\\" and self._text[self._at + 1 : self._at + 2] in ("$", "`", '"', "\\", "\n"):
                self._at += 1
                char = self._text[self._at].replace("\n", "")
            self._line += self._text[self._at] == "\n"
            self._at += 1
            parts.append(Part("text", char, True))

    def _expansion(self, quoted: bool) -> Part:
        if self._text[self._at] == "`":
            end = self._text.find("`", self._at + 1)
            if end < 0:
                raise NotUnderstoodError(self._line, "a substitution has no end")
            inner = self._text[self._at + 1 : end]
            self._at = end + 1
            return Part("command", inner, quoted)
        if self._text.startswith("$((", self._at):
            raise NotUnderstoodError(self._line, "arithmetic")
        if self._text.startswith("$(", self._at):
            return Part("command", self._until("(", ")"), quoted)
        if self._text.startswith("${", self._at):
            return Part("variable", self._until("{", "}"), quoted)
        name = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]").match(self._text, self._at + 1)
        if name:
            self._at = name.end()
            return Part("variable", name[0], quoted)
        if self._text[self._at + 1 : self._at + 2] == "'":
            raise NotUnderstoodError(self._line, "a quotation of bash's own ($'…')")
        self._at += 1
        return Part("text", "$", quoted)

    def _until(self, opening: str, closing: str) -> str:
        """What is in brackets that begin at the second character, where they may be nested or quoted."""
        start = self._at + 2
        at, depth, quote = start, 1, ""
        while at < len(self._text):
            char = self._text[at]
            if char == "\\" and quote != "'":
                at += 1
            elif quote:
                quote = "" if char == quote else quote
            elif char in "'\"" and not (char == "'" and opening == "{"):
                quote = char
            elif char == opening:
                depth += 1
            elif char == closing:
                depth -= 1
                if not depth:
                    self._line += self._text.count("\n", start, at)
                    self._at = at + 1
                    return self._text[start:at]
            at += 1
        raise NotUnderstoodError(self._line, "a substitution has no end")


def _joined(parts: list[Part]) -> list[Part]:
    found: list[Part] = []
    texts: list[str] = []
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        if part.kind != "text":
            found.append(part)
            continue
        texts.append(part.text)
        if following is None or following.kind != "text" or following.quoted != part.quoted:
            found.append(Part("text", "".join(texts), part.quoted))
            texts = []
    return found
