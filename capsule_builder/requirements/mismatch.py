"""Why a wheel does not run on the target, in words, and which target it would run on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.tags import Tag

from capsule_builder.paths import shown
from capsule_builder.requirements.target import Platform, Target, parsed

_SYSTEMS = {"macosx": "macOS", "win": "Windows", "ios": "iOS", "android": "Android", "emscripten": "WebAssembly"}


@dataclass(frozen=True)
class Mismatch:
    """``reason`` goes on after "it": ``is for CPython 3.10``; ``remedy`` says what to do."""

    reason: str
    remedy: str


def mismatch(tags: Iterable[str], target: Target) -> Mismatch | None:
    """Why no tag of a wheel fits ``target``, told of the tag that comes nearest; None when one fits."""
    listed = list(tags)
    if target.fits(listed):
        return None
    single = sorted(parsed(listed), key=str)
    if not single:
        return Mismatch(f"has no valid tag ({shown(', '.join(listed)) or 'none'})", "Build the wheel anew.")
    return min((_of(tag, target) for tag in single), key=lambda found: found[0])[1]


def _of(tag: Tag, target: Target) -> tuple[int, Mismatch]:
    """How far ``tag`` is off (fewer and nearer reasons are less), and why."""
    python, platform, level = _python(tag, target), _platform(tag.platform, target), _level(tag.platform, target)
    reasons = [reason for reason in (python, platform) if reason]
    if level and not python:
        return 0, Mismatch(level[0], level[1])
    if level:
        reasons.append(level[0])
    remedy = f"Get a wheel for CPython {target.python} on {target.platform}, or build one on such a machine."
    return len(reasons) * 2 + bool(platform), Mismatch(" and ".join(reasons), remedy)


def _python(tag: Tag, target: Target) -> str | None:
    found = re.fullmatch(r"(cp|py|pp)([0-9])([0-9]{0,3})", tag.interpreter)
    if not found:
        return f"is for another Python ({tag.interpreter})"
    kind, major, minor = found[1], int(found[2]), int(found[3] or 0)
    version = f"{major}.{found[3]}" if found[3] else f"{major}"
    if kind == "pp":
        return f"is for PyPy {version} ({tag.interpreter})"
    if re.fullmatch(r"cp\d+[a-z]*t[a-z]*|abi3t", tag.abi):
        return f"is for the free-threaded build of CPython {version} ({tag.abi})"
    if (kind == "py" and tag.abi == "none") or tag.abi == "abi3":
        if major != 3:
            return f"is for Python {major} ({tag.interpreter})"
        return f"needs Python {version} or later ({tag.interpreter})" if minor > target.minor else None
    if version != target.python:
        return f"is for CPython {version} ({tag.interpreter})"
    return None if tag.abi in {f"cp3{target.minor}", "none"} else f"is for another build of CPython ({tag.abi})"


def _platform(name: str, target: Target) -> str | None:
    wanted = Platform.parse(target.platform)
    if name == "any" or wanted is None:
        return None
    found = Platform.parse(name)
    if found is None:
        system = next((text for prefix, text in _SYSTEMS.items() if name.startswith(prefix)), "another platform")
        return f"is for {system} ({name})"
    if found.arch != wanted.arch:
        return f"is for {found.arch}"
    if found.minor is not None and found.libc != wanted.libc:
        return f"is for {found.libc} ({name}), and the target has {wanted.libc}"
    return None


def _level(name: str, target: Target) -> tuple[str, str] | None:
    """A C library that is newer than the target's is the one thing that another ``--platform`` mends."""
    wanted, found = Platform.parse(target.platform), Platform.parse(name)
    if wanted is None or found is None or (found.arch, found.libc) != (wanted.arch, wanted.libc):
        return None
    if found.minor is None or wanted.minor is None or found.minor <= wanted.minor:
        return None
    major = 1 if found.libc == "musl" else 2
    needed = f"{found.libc} {major}.{found.minor}"
    return (
        f"needs {needed}, and the target is {target.platform}",
        f"Use --platform {name} if every host has {needed} or later, or get a wheel for an older one.",
    )
