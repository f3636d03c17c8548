r"""Patterns as in ``.gitignore``, for ``.capsuleignore`` and for ``executables`` (gitignore(5)).

git's own matching (``dir.c`` and ``wildmatch.c``), as regular expressions over bytes. Checked against git itself, which
is why PyPI ``pathspec`` is not used here: it raises for ``[z-a]`` and ``a\``, strips tabs, and does not know
``[[:alpha:]]``, ``[a\]]`` or ``a**/b``.
"""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Iterable, Iterator
from functools import cached_property


class Patterns:
    """Some lines of patterns; the last one that matches decides."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = tuple(lines)

    def __bool__(self) -> bool:
        """Whether there is any that could match."""
        return bool(self._found)

    # Nothing is compiled before it is asked for: the defaults of an ignore file seldom are.

    @cached_property
    def _found(self) -> list[tuple[bytes, bool]]:
        names = itertools.count()
        return [rule for line in self._lines if (rule := _rule(line.encode("utf-8", "surrogateescape"), names))]

    @cached_property
    def _any(self) -> re.Pattern[bytes] | None:
        return re.compile(b"|".join(regex for regex, _ in self._found), re.DOTALL) if self._found else None

    @cached_property
    def _rules(self) -> list[tuple[re.Pattern[bytes], bool]]:
        return [(re.compile(regex, re.DOTALL), named) for regex, named in reversed(self._found)]

    def decide(self, path: str) -> bool | None:
        """True when the patterns name ``path`` (a directory's ends in ``/``), False for ``!``, None for neither.

        What lies above ``path`` is not asked: see :meth:`match`.
        """
        kind = "d" if path.endswith("/") else "f"
        raw = (kind + path.removesuffix("/")).encode("utf-8", "surrogateescape")
        if self._any is None or not self._any.fullmatch(raw):
            return None
        return next(named for regex, named in self._rules if regex.fullmatch(raw))

    def match(self, path: str) -> bool:
        """Whether the patterns name ``path``, or a directory that it lies below."""
        if self._any is None:
            return False
        above = (path[: at + 1] for at, char in enumerate(path) if char == "/")
        return any(self.decide(directory) for directory in above) or self.decide(path) is True


_LINE = re.compile(rb"((?:\\.|[^\\])*?) *", re.DOTALL)


def _rule(line: bytes, names: Iterator[int]) -> tuple[bytes, bool] | None:
    """One line as a regular expression, and False for ``!``; None when it can match nothing.

    The expression is for ``d`` or ``f``, for a directory or anything else, and the whole path. ``names`` gives numbers
    that no other line's expression has.
    """
    if line.startswith(b"#"):
        return None
    if trimmed := _LINE.fullmatch(line):
        line = trimmed[1]
    glob = line.removeprefix(b"!")
    kind = b"d" if glob.endswith(b"/") else b"[df]"
    glob = glob.removesuffix(b"/")
    anywhere = b"/" not in glob
    tokens = _tokens(glob.removeprefix(b"/"))
    if not tokens:
        return None
    body = _expression([_ABOVE, *tokens] if anywhere else tokens, names)
    return kind + body, not line.startswith(b"!")


# What a pattern is made of, beside the expressions of single characters.
_STAR, _ABOVE, _BELOW = b"*", b"**/", b".*?"


def _expression(tokens: list[bytes], names: Iterator[int]) -> bytes:
    """Tokens as one regular expression that takes no more than quadratic time.

    What follows a star may be taken where it is found first, if another star comes after it: whatever that choice
    leaves over, the later star takes. So nothing but the last star of a part, and the last ``**/``, ever tries again.
    """

    def first(expression: bytes) -> bytes:
        name = b"g%d" % next(names)
        return b"(?=(?P<%s>%s))(?P=%s)" % (name, expression, name)  # an atomic group, which Python has from 3.11 on

    def parts(group: list[bytes]) -> bytes:
        out: list[bytes] = []
        part: list[list[bytes]] = [[]]
        for token in [*group, b"/"]:
            if token == _STAR:
                part.append([])
            elif token == b"/":
                beginning, *chunks = (b"".join(chunk) for chunk in part)
                chunks = [chunk for chunk in chunks[:-1] if chunk] + chunks[-1:]
                out.append(beginning + b"".join(first(b"[^/]*?" + chunk) for chunk in chunks[:-1]))
                out.append(b"[^/]*" + chunks[-1] if chunks else b"")
                out.append(b"/")
                part = [[]]
            else:
                part[-1].append(token)
        return b"".join(out[:-1])

    groups: list[list[bytes]] = [[]]
    for token in tokens:
        if token == _ABOVE:
            groups.append([])
        else:
            groups[-1].append(token)
    beginning, *above = groups
    above = [group for group in above[:-1] if group] + above[-1:]
    done = parts(beginning) + b"".join(first(b"(?:.*?/)??" + parts(group)) for group in above[:-1])
    return done + (b"(?:.*/)?" + parts(above[-1]) if above else b"")


def _tokens(glob: bytes) -> list[bytes] | None:
    """A pattern's body in tokens; None when no path can match."""
    special = re.search(rb"[*?[\\]", glob)
    beginning = special.start() if special else 0  # git matches what comes before by itself
    out: list[bytes] = []
    at = 0
    while at < len(glob):
        char = glob[at : at + 1]
        if char == b"*":
            after = at + len(glob[at:]) - len(glob[at:].lstrip(b"*"))
            rest = glob[after:]
            alone = (at == beginning or glob[at - 1 : at] == b"/") and (not rest or rest.startswith((b"/", b"\\/")))
            if after - at == 1 or not alone:
                out.append(_STAR)
            elif rest.startswith(b"/"):
                out.append(_ABOVE)
                after += 1
            else:
                out.append(_BELOW)
            at = after
        elif char == b"?":
            out.append(b"[^/]")
            at += 1
        elif char == b"[":
            found = _bracket(glob, at)
            if not found:
                return None
            out.append(found[0])
            at = found[1]
        else:
            at += char == b"\\"
            if at == len(glob):
                return None
            out.append(re.escape(glob[at : at + 1]))
            at += 1
    return out


_CLASSES = {
    b"alnum": string.ascii_letters + string.digits,
    b"alpha": string.ascii_letters,
    b"blank": " \t",
    b"cntrl": "".join(map(chr, [*range(32), 127])),
    b"digit": string.digits,
    b"graph": "".join(map(chr, range(33, 127))),
    b"lower": string.ascii_lowercase,
    b"print": "".join(map(chr, range(32, 127))),
    b"punct": string.punctuation,
    b"space": " \t\n\r",
    b"upper": string.ascii_uppercase,
    b"xdigit": string.hexdigits,
}


def _bracket(glob: bytes, at: int) -> tuple[bytes, int] | None:
    """The bracket expression at ``at``, as a regular expression, and where it ends; None when it can match nothing."""
    at += 1
    negated = glob[at : at + 1] in {b"!", b"^"}
    at += negated
    members: set[int] = set()
    before: int | None = None  # what a range may begin with
    first = at
    while at == first or glob[at : at + 1] != b"]":
        char = glob[at : at + 1]
        named = re.compile(rb"\[:([^\]]*):\]").match(glob, at)
        if char == b"-" and before is not None and glob[at + 1 : at + 2] not in {b"", b"]"}:
            at += 1 + (glob[at + 1 : at + 2] == b"\\")
            members |= set(range(before, ord(glob[at : at + 1]) + 1)) if at < len(glob) else set()
            before = None
        elif named:
            if named[1] not in _CLASSES:
                return None
            members |= set(_CLASSES[named[1]].encode())
            at = named.end() - 1
            before = None
        else:
            at += char == b"\\"
            if at >= len(glob):
                return None
            before = glob[at]
            members.add(before)
        at += 1
    chosen = (set(range(256)) - members if negated else members) - {ord("/")}
    return (b"[" + b"".join(re.escape(bytes([one])) for one in sorted(chosen)) + b"]", at + 1) if chosen else None
