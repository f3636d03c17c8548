"""Releases that processes need, whatever anybody says of them: by where they work, what they map, their cgroup."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from capsule_deploy.layout import SHORT, Layout

_UNIT = re.compile(rb"tori[-a-z0-9_]*[@-]([0-9a-f]{%d})[.](?:service|slice)" % SHORT)
_LINKS = ("cwd", "exe", "root")


def live(layout: Layout, ids: Iterable[str]) -> dict[str, int]:
    """Those of the releases ``ids`` that a process needs, each with the number of one.

    A process that ends meanwhile needs nothing.
    """
    ids = list(ids)
    place = os.fsencode(os.path.realpath(layout.releases)) + b"/"
    path = re.compile(re.escape(place) + rb"([0-9a-f]{64})")
    by_short = {id_[:SHORT].encode(): id_ for id_ in ids} if layout.root == "/" else {}
    found: dict[str, int] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        needed = {match.decode() for match in _paths(pid, path)}
        needed |= {by_short[short] for short in _units(pid) if short in by_short}
        for id_ in needed.intersection(ids):
            found.setdefault(id_, int(pid))
    return found


def _paths(pid: str, path: re.Pattern[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for name in _LINKS:
        try:
            match = path.match(os.readlink(f"/proc/{pid}/{name}".encode()))
        except OSError:
            continue
        if match:
            found.add(match[1])
    return found | set(path.findall(_read(f"/proc/{pid}/maps")))


def _units(pid: str) -> set[bytes]:
    return set(_UNIT.findall(_read(f"/proc/{pid}/cgroup")))


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
