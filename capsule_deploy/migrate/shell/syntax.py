"""As much of the shell's syntax as scripts that start services are made of (POSIX, chapter 2.3 and 2.9). Pure.

Lists, pipelines and ``if`` over words with quotes, variables and substitutions. Everything else is
:class:`NotUnderstoodError`: better to keep a script as it is than to guess what it does.
"""

from __future__ import annotations

from dataclasses import dataclass

from capsule_deploy.migrate.shell.tokens import NotUnderstoodError, Operator, Redirection, Token, Word, tokens

_DEPTH = 20
_RESERVED = frozenset([
    "for", "while", "until", "case", "function", "select", "{", "}", "!", "[[", "time", "coproc", "do", "done", "esac",
    "in", "then", "elif", "else", "fi",
])  # fmt: skip


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


def parse(text: str, first: int = 1) -> tuple[Step, ...]:
    """What a script does, step by step; ``first`` is the number of its first line.

    Raises:
        NotUnderstoodError: it does something else as well.
    """
    parser = _Parser(tokens(text.replace("\r\n", "\n"), first))
    steps = parser.steps(frozenset(), 0)
    if parser.peek() is not None:
        raise NotUnderstoodError(parser.line, "a closing word or bracket that nothing opens")
    return steps


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
