"""The values of supervisor's options: ``environment=`` and expansions such as ``%(here)s``. Pure."""

from __future__ import annotations

import re
import shlex


def parse_pairs(text: str) -> dict[str, str]:
    """The variables of ``environment=``: ``KEY="value",OTHER=value``, quoted where there is more than word characters.

    Raises:
        ValueError: it is not that; supervisor would not start.
    """
    lexer = shlex.shlex(text)
    lexer.wordchars += "/.+-():"
    tokens = list(lexer)
    found: dict[str, str] = {}
    for at in range(0, len(tokens), 4):
        pair = tokens[at : at + 3]
        if len(pair) != 3 or pair[1] != "=":
            raise ValueError(f"the variables are not written as KEY=value,… (near {' '.join(pair)[:40]!r})")
        found[pair[0]] = pair[2].strip("'\"")
    return found


def expand(text: str, known: dict[str, str | int]) -> str:
    """The text with ``%(name)s`` in place and ``%%`` as a percent sign.

    Raises:
        ValueError: it names something that is not known, or a percent sign stands alone.
    """

    def one(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        if not found[1]:
            raise ValueError("a % stands alone")
        if found[1] not in known:
            raise ValueError(f"%({found[1]})s is not known")
        value = known[found[1]]
        if found[3] == "d":
            if not isinstance(value, int):
                raise ValueError(f"%({found[1]})d is no number")
            return f"%{found[2]}d" % value
        return f"%{found[2]}s" % value

    return re.sub(r"%%|%\(([^)]*)\)([0-9]{0,2})([sd])|%", one, text)
