"""The places that an environment has lain at, and the search for them in its files. Pure.

An environment may have been moved before it is packed, and may be reached by several names: its own files tell.
"""

from __future__ import annotations

import json
import posixpath
import re
import urllib.parse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from capsule_builder.paths import raw
from capsule_builder.python.venv_config import Value

_TOO_GENERAL = frozenset(
    [
        *("/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc", "/root"),
        *("/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var"),  # noqa: S108, nothing is written there
        *("/usr/local", "/opt/tori", "/var/lib", "/usr/lib", "/usr/share", "/usr/bin"),
    ]
)
_CHILDREN = ("bin", "include", "lib", "lib64", "share")
ACTIVATE_VALUE = re.compile(rb"""VIRTUAL_ENV[= ](?:"(/[^"$\n]*)"|'(/[^'$\n]*)'|(/[^\s"'$;)]*))""")
_COMMAND = re.compile(r" -m (?:venv|virtualenv) (?:.*? )??(/.*)$")
_SHEBANG = re.compile(rb"#![ \t]*[\"']?(/[^\n]*?)/bin/python[0-9.]*t?(?![^\s\"'])")
TRAMPOLINE = re.compile(rb"#!/bin/sh\r?\n(?:#[^\n]*\n)?'''exec' [\"']?(/[^\n\"']*)/bin/[\"']?python")
_AFTER = re.compile(rb"[A-Za-z0-9_.-]")
_LONGER = re.compile(rb"/[A-Za-z0-9_.-]+\Z")
_SHORT = re.compile(rf"/[^/]+/({'|'.join(_CHILDREN)})".encode())
_INNER = re.compile(rb"[A-Za-z0-9_.~%@+*)}\]>\x80-\xff-]")  # before a short path: it is the end of another one
_LOOKBACK = 256

HEAD_SIZE = 8192
"""How much of a script it takes to see its interpreter, in bytes."""


def is_telling(prefix: str) -> bool:
    """Whether a path is particular enough that bytes which spell it mean that very place.

    >>> [is_telling(path) for path in ("/", "/opt", "/usr/local", "/venv", "/opt/app", "/srv/app/venv")]
    [False, False, False, True, True, True]
    """
    return prefix.startswith("/") and prefix.strip("/") != "" and prefix not in _TOO_GENERAL


def candidates(config: Mapping[str, Value], activates: Iterable[bytes], scripts: Iterable[bytes]) -> set[str]:
    """Where the environment has lain, by its own account.

    ``activates`` are the texts of its activate scripts, ``scripts`` the first ``HEAD_SIZE`` bytes of what lies in
    ``bin/``: what most of them name is such a place.
    """
    found: set[str] = set()
    for text in activates:
        found.update(_decoded(next(filter(None, match))) for match in ACTIVATE_VALUE.findall(text))
    if "command" in config and (made := _COMMAND.search(config["command"].text)):
        found.add(made[1])
    named = Counter(_decoded(match[1]) for head in scripts if (match := _SHEBANG.match(head) or TRAMPOLINE.match(head)))
    found.update(prefix for prefix, count in named.items() if count * 2 > named.total())
    return {prefix for prefix in map(posixpath.normpath, found) if is_telling(prefix)}


def spellings(prefixes: Iterable[str]) -> tuple[bytes, ...]:
    r"""The bytes that stand for these places: plain, in JSON (``\/``), in a URL, in UTF-16.

    ``/app`` means many things (a route, say), and the place alone with a directory of an environment: ``/app/bin``.
    """
    found: set[bytes] = set()
    for prefix in _with_children(prefixes):
        plain = raw(prefix)
        found |= {plain, plain.replace(b"/", rb"\/"), urllib.parse.quote(plain).encode()}
        text = prefix.encode("utf-8", "replace").decode()
        found |= {json.dumps(text)[1:-1].encode(), text.encode("utf-16-le")}
    return tuple(sorted(found))


def _with_children(prefixes: Iterable[str]) -> Iterator[str]:
    for prefix in prefixes:
        if prefix.count("/") > 1:
            yield prefix
        else:
            yield from (f"{prefix}/{child}" for child in _CHILDREN)


class Search:
    """Looks for any of some byte strings in content that comes piece by piece; each piece is looked at once."""

    def __init__(self, needles: tuple[bytes, ...]) -> None:
        """``needles`` are what :func:`spellings` gives."""
        self._needles = needles
        self._short = {needle for needle in needles if _SHORT.fullmatch(needle.replace(b"\\", b"").replace(b"\0", b""))}
        self._keep = max(map(len, needles), default=0) + _LOOKBACK
        self._tail = b""
        self._start = 0  # the offset of the tail
        self._done = 0  # the offset up to which everything was reported

    def feed(self, piece: bytes) -> Iterator[tuple[int, bytes]]:
        """Offset and spelling of each place that is certain with this piece."""
        window = self._tail + piece
        yield from self._found(window, len(window))
        cut = max(0, len(window) - self._keep)
        self._tail = window[cut:]
        self._start += cut

    def finish(self) -> Iterator[tuple[int, bytes]]:
        """The place at the very end, if there is one."""
        yield from self._found(self._tail, len(self._tail) + 1)

    def _found(self, window: bytes, end: int) -> Iterator[tuple[int, bytes]]:
        hits: list[tuple[int, bytes]] = []
        for needle in self._needles:
            at = window.find(needle)
            while at >= 0 and at + len(needle) < end:  # at the end, what follows must be seen first
                if self._start + at >= self._done and self._is_whole(window, at, needle):
                    hits.append((self._start + at, needle))
                at = window.find(needle, at + 1)
        for offset, needle in sorted(hits):
            if offset >= self._done:
                yield offset, needle
                self._done = offset + len(needle)

    def _is_whole(self, window: bytes, at: int, needle: bytes) -> bool:
        """Whether the path is not a part of another one: ``/a/venv`` in ``/a/venv2`` or in ``/data/a/venv``.

        A short one is not the end of any word either: ``~/venv/bin``, ``$HOME/venv/bin``.
        """
        if _AFTER.match(window, at + len(needle)):
            return False
        if at and needle in self._short and _INNER.match(window, at - 1):
            return False
        return not _LONGER.search(window[max(0, at - _LOOKBACK) : at])


def _decoded(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
