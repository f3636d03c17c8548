"""As much of the shell's syntax as scripts that start services are made of (POSIX, chapter 2.3 and 2.9). Pure.

Words, quotes, variables, substitutions, redirections, lists, pipelines and ``if``. Everything else is
:class:`NotUnderstoodError`: better to keep a script as it is than to guess what it does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_DEPTH = 20
_OPERATORS = ("&&", "||", ";;", "\n", ";", "&", "|", "(", ")")
_REDIRECTION = re.compile(r"([0-9]*)(<<<|<<-|<<|&>>|&>|>>|>\||>&|<&|<>|>|<)")
_RUN = re.compile(r"[^ \t\r\n;&|()<>'\"\\$`]+")
_RESERVED = frozenset(
    [
        "for",
        "while",
        "until",
        "case",
        "function",
        "select",
        "{",
        "}",
        "!",
        "[[",
        "time",
        "coproc",
        "do",
        "done",
        "esac",
        "in",
        "then",
        "elif",
        "else",
        "fi",
    ]
)


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


@dataclass(frozen=True)
class Simple:
    """A simple command."""

    words: tuple[Word, ...]
    redirections: tuple[Redirection, ...]
    line: int


@dataclass(frozen=True)
class If:
    """Conditions with what they guard; the last may have no condition (``else``)."""

    branches: tuple[tuple[tuple[Step, ...] | None, tuple[Step, ...]], ...]
    line: int


@dataclass(frozen=True)
class Step:
    """Pipelines joined by ``&&`` and ``||`` (the first has ""), in the background or not."""

    pipelines: tuple[tuple[str, tuple[Simple | If, ...]], ...]
    background: bool
    line: int


Token = Word | Operator | Redirection


def parse(text: str, first: int = 1) -> tuple[Step, ...]:
    """What a script does, step by step; ``first`` is the number of its first line.

    Raises:
        NotUnderstoodError: it does something else as well.
    """
    parser = _Parser(_Lexer(text.replace("\r\n", "\n"), first).tokens())
    steps = parser.steps(frozenset(), 0)
    if parser.peek() is not None:
        raise NotUnderstoodError(parser.line, "a closing word or bracket that nothing opens")
    return steps


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


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def line(self) -> int:
        """The line of what comes next, or of the end."""
        if not self._tokens:
            return 1
        token = self._tokens[min(self._at, len(self._tokens) - 1)]
        return token.target.line if isinstance(token, Redirection) else token.line

    def peek(self) -> Token | None:
        """What comes next."""
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _is(self, *texts: str) -> bool:
        token = self.peek()
        return isinstance(token, Operator) and token.text in texts

    def _reserved(self) -> str:
        token = self.peek()
        return (token.plain or "") if isinstance(token, Word) else ""

    def steps(self, ends: frozenset[str], depth: int) -> tuple[Step, ...]:
        """Steps up to one of the words ``ends``, or to the end."""
        if depth > _DEPTH:
            raise NotUnderstoodError(self.line, "commands nested too deep")
        found: list[Step] = []
        while True:
            while self._is("\n", ";"):
                self._at += 1
            if self.peek() is None or (self._reserved() in ends and ends) or self._is(")"):
                return tuple(found)
            line = self.line
            pipelines = [("", self._pipeline(depth))]
            while self._is("&&", "||"):
                token = self._tokens[self._at]
                self._at += 1
                while self._is("\n"):
                    self._at += 1
                pipelines.append((token.text if isinstance(token, Operator) else "", self._pipeline(depth)))
            background = self._is("&")
            if background:
                self._at += 1
            elif self.peek() is not None and not self._is("\n", ";"):
                raise NotUnderstoodError(self.line, "something after a command that does not belong to it")
            found.append(Step(tuple(pipelines), background, line))

    def _pipeline(self, depth: int) -> tuple[Simple | If, ...]:
        commands = [self._command(depth)]
        while self._is("|"):
            self._at += 1
            while self._is("\n"):
                self._at += 1
            commands.append(self._command(depth))
        return tuple(commands)

    def _command(self, depth: int) -> Simple | If:
        line = self.line
        reserved = self._reserved()
        if reserved == "if":
            return self._if(depth)
        if reserved in _RESERVED or reserved.endswith("()"):
            raise NotUnderstoodError(line, f"the shell's word {reserved}")
        words: list[Word] = []
        redirections: list[Redirection] = []
        while isinstance(token := self.peek(), Word | Redirection):
            self._at += 1
            if isinstance(token, Word):
                words.append(token)
            else:
                redirections.append(token)
        if (not words and not redirections) or self._is("("):
            raise NotUnderstoodError(line, "a function, a group, or an operator with nothing before it")
        return Simple(tuple(words), tuple(redirections), line)

    def _if(self, depth: int) -> If:
        line = self.line
        branches: list[tuple[tuple[Step, ...] | None, tuple[Step, ...]]] = []
        word = "if"
        while word in ("if", "elif"):
            self._at += 1
            condition = self.steps(frozenset({"then"}), depth + 1)
            self._expect("then")
            body = self.steps(frozenset({"elif", "else", "fi"}), depth + 1)
            branches.append((condition, body))
            word = self._reserved()
        if word == "else":
            self._at += 1
            branches.append((None, self.steps(frozenset({"fi"}), depth + 1)))
        self._expect("fi")
        return If(tuple(branches), line)

    def _expect(self, word: str) -> None:
        if self._reserved() != word:
            raise NotUnderstoodError(self.line, f"there is no {word}")
        self._at += 1
