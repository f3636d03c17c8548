"""Sources to compile: one with every kind of constant, those that do not compile, and real ones."""

from __future__ import annotations

import random
from pathlib import Path

REAL_TREE = Path(__file__).resolve().parents[2] / ".dev" / "real_tree"

EVERYTHING = (
    '''\
"""A docstring, with spaces; Größe \U0001f40d."""
from __future__ import annotations
import os.path as where, sys

NUMBERS = (0, 1, -1, 255, 256, 257, 2**31 - 1, -2**31, 2**31, 2**63, -2**200, 0.0, -0.0, 1e999, 1e999 - 1e999, 5e-324,
           0j, -0j, -0.0 + 1j, True, 1, 1.0, False, None, ...)
TEXTS = ("", "a", "name_like", "with space", "with space", "\\xe9", "\\ud800", "\\U0001f40d", "/" * 300, "n" * 300,
         b"", b"a", b"name_like", b"\\xff" * 300, "é" * 300)
NESTED = ((1, (2, (3, ()))), (1, (2, (3, ()))), ((1.0, 2), (1, 2)), ("a b", ("a b",)), (-0.0, 0.0))
LONG = ('''
    + ", ".join(map(str, range(300)))
    + ''')
größe = 1


def sets(value, /, other: int = 3, *more, größe=2, **rest) -> "Größe":
    """Its own."""
    if value in {1, 2, 3, "a", "b", "with space", b"a", None, (1, "b", (2.5, "c")), 1j, 2**70, -7.5, "größe"}:
        return value in {"one", "two", "three", "four", "five", "six", "seven"}
    if value in {frozenset, value} or value in {"c", "b", "a"}:
        return sets(1, größe=3) or sets(2, other=4)
    return value in ("c", "b", "a")


class Outer:
    __slots__ = ("mine", "with space")
    mine: int

    class Inner:
        def method(self, __private=1):
            def closure():
                nonlocal __private
                __private += 1
                return lambda: (self, __private, __class__)
            return closure

    @property
    def size(self):
        return [x for x in range(3) if x], {x: y for x, y in ()}, {x for x in ()}, (x async for x in self)


async def coroutine(it):
    async with it as a, it as b:
        async for x in it:
            yield await x
    try:
        raise ValueError("with space") from None
    except (ValueError, KeyError) as error:
        return
    finally:
        print(f"{it!r:>{10}} {größe=} %s" % (a,), file=sys.stderr, end="")


def matched(command):
    match command:
        case {"a": 1, **rest} if (n := 10) > 5:
            return rest
        case [Outer(mine=1), *_] | (1, "b"):
            return -0.0, 0.0, 0, False, ""
        case None:
            return where.join("a", "with space")
'''
)

BROKEN = {
    "python2.py": b"print 'hello'\n",
    "template.py": b"import {{ name }}\n",
    "nul.py": b"x = 1\0\n",
    "cookie.py": b"# coding: no-such-thing\n",
    "latin.py": b"x = '\xe9'\n",
    "indent.py": b"def f():\nreturn 1\n",
    "deep.py": b"f = " + b"lambda: " * 600 + b"0\n",
    "deeper.py": b"-" * 200_000 + b"1\n",
}


def real(count: int) -> list[tuple[str, bytes]]:
    """So many files of django, numpy, pandas and scipy, always the same; with names as in an environment."""
    files = sorted(str(path.relative_to(REAL_TREE)) for path in REAL_TREE.rglob("*.py"))
    chosen = random.Random(3).sample(files, min(count, len(files)))
    return [(f"lib/python3/site-packages/{path}", (REAL_TREE / path).read_bytes()) for path in chosen]


def all_of(count: int) -> list[tuple[str, bytes]]:
    """The one with everything, what is small or odd, and ``count`` real files."""
    odd = {
        "everything.py": EVERYTHING.encode(),
        "again.py": EVERYTHING.encode(),
        "empty.py": b"",
        "cookie.py": b"# -*- coding: latin-1 -*-\nx = '\xe9'\n",
        "bom.py": b"\xef\xbb\xbfx = 1\r\n",
        "warned.py": b"x = '\\d' is 'a b'\nassert (x, 'always')\n",
        "gr\u00f6\u00dfe/\u65e5\u672c.py": b"def f(): pass\n",
    }
    return [*odd.items(), *real(count)]
