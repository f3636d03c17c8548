r"""Patterns as in ``.gitignore``, for ``.capsuleignore`` and for ``executables`` (gitignore(5)).

git's own matching (``dir.c`` and ``wildmatch.c``), as regular expressions over bytes. Checked against git itself, which
is why PyPI ``pathspec`` is not used here: it raises for ``[z-a]`` and ``a\``, strips tabs, and does not know
``[[:alpha:]]``, ``[a\]]`` or ``a**/b``.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable


class Patterns:
    """Some lines of patterns; the last one that matches decides."""

    def __init__(self, lines: Iterable[str]) -> None:
        found = [rule for line in lines if (rule := _rule(line.encode("utf-8", "surrogateescape")))]
        self._rules = [(re.compile(regex, re.DOTALL), named) for regex, named in reversed(found)]
        self._any = re.compile(b"|".join(regex for regex, _ in found), re.DOTALL) if found else None

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


def _rule(line: bytes) -> tuple[bytes, bool] | None:
    """One line as a regular expression, and False for ``!``; None when it can match nothing.

    The expression is for ``d`` or ``f``, for a directory or anything else, and the whole path.
    """
    if line.startswith(b"#"):
        return None
    if trimmed := _LINE.fullmatch(line):
        line = trimmed[1]
    glob = line.removeprefix(b"!")
    kind = b"d" if glob.endswith(b"/") else b"[df]"
    glob = glob.removesuffix(b"/")
    above = b"" if b"/" in glob else b"(?:.*/)?"
    body = _translate(glob.removeprefix(b"/"))
    return (kind + above + body, not line.startswith(b"!")) if body else None


def _translate(glob: bytes) -> bytes | None:
    """A pattern's body as a regular expression; None when no path can match."""
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
                out.append(b"[^/]*")
            elif rest.startswith(b"/"):
                out.append(b"(?:.*/)?")
                after += 1
            else:
                out.append(b".*")
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
    return b"".join(out)


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
