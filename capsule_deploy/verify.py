"""Whether a release is what was installed: quickly, by what the system says of its files, or by reading all of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from capsule_builder.archive.listing_reader import Listing
from capsule_builder.contents import Listed
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import CONTENTS_NAME, METADATA_NAME, shown
from capsule_deploy import durable
from capsule_deploy.at_once import for_all
from capsule_deploy.known import STATE_NAME, Known, State, encode_states, state_of
from capsule_deploy.layout import Layout
from capsule_deploy.releases import Release
from capsule_deploy.trees import check_generated, check_tree

BAD_NAME = "bad"
"""The file beside the receipt that says since when, and why, a release is not to be activated."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_REMEDY = "Install its archive again under another version, or remove it with `capsdeploy gc`; find out who changed it."
_MOST = 100


class DamagedError(CapsuleError):
    """An installed release is not what it was."""


@dataclass(frozen=True)
class Verdict:
    """What was found: every problem (the first hundred); how many files were looked at, and how many read."""

    release: Release
    problems: Sequence[Problem]
    files: int
    read: int


def verify_release(
    layout: Layout, release: Release, *, full: bool, progress: Callable[[int], object] = lambda _files: None
) -> Verdict:
    """Holds a release against its listing, and remembers the verdict.

    Without ``full`` those files alone are read that were touched since somebody last read them. A release that is
    found damaged is marked as bad; only a full look that finds nothing takes the mark away. ``progress`` is told of
    files.

    Raises:
        OSError: something cannot be read.
    """
    verdict = _look(layout, release, full, progress)
    mark = os.path.join(layout.receipt(release.id), BAD_NAME)
    if verdict.problems:
        document = {"found": int(time.time()), "problems": [str(problem) for problem in verdict.problems]}
        with contextlib.suppress(PermissionError):
            durable.write_file(mark, json.dumps(document, indent=2).encode() + b"\n")
    elif full and os.path.lexists(mark):
        durable.remove(mark)
    return verdict


def marked_bad(layout: Layout, release: Release) -> list[str]:
    """Why the release is marked as bad; nothing when it is not."""
    try:
        with open(os.path.join(layout.receipt(release.id), BAD_NAME), encoding="utf-8") as file:
            return [str(problem) for problem in json.load(file)["problems"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        return ["(its mark cannot be read)"]


def require_sound(layout: Layout, release: Release) -> None:
    """Refuses a release that is marked as bad, or that a quick look finds damaged.

    Raises:
        DamagedError: it is one.
        OSError: something cannot be read.
    """
    told = marked_bad(layout, release)
    if told:
        raise DamagedError([_summary(release, f"it was found damaged before ({told[0]})")])
    verdict = verify_release(layout, release, full=False)
    if verdict.problems:
        raise damage(verdict)


def damage(verdict: Verdict) -> DamagedError:
    """The refusal that a verdict calls for."""
    found = len(verdict.problems)
    many = f"{found} problems" if found < _MOST else f"{found} problems or more"
    what = many if found > 1 else "one problem"
    return DamagedError([_summary(verdict.release, what), *verdict.problems])


def _summary(release: Release, what: str) -> Problem:
    message = f"Release {release.short} ({release.app} {release.receipt.version}) is not what was installed: {what}"
    return Problem("release-damaged", message, _REMEDY)


def _look(layout: Layout, release: Release, full: bool, progress: Callable[[int], object]) -> Verdict:
    receipts = layout.receipt(release.id)
    problems: list[Problem] = []
    listing, metadata = _beside(receipts, CONTENTS_NAME), _beside(receipts, METADATA_NAME)
    if hashlib.sha256(listing).hexdigest() != release.id:
        what = "Its listing is not the one that its ID is the SHA-256 of"
        return Verdict(release, [Problem("release-listing", what)], 0, 0)
    parsed = Listing(listing)
    try:
        top = os.open(release.path, _DIRECTORY)
    except OSError as failed:
        return Verdict(release, [Problem("release-kind", f"Not a directory: {failed.strerror}")], 0, 0)
    try:
        found, problems = check_tree(top, parsed)
        entries = list(parsed)
        read = _read_files(layout, top, entries, found, full, problems, progress)
        again, _ = check_tree(top, parsed) if read else (found, [])
    finally:
        os.close(top)
    problems += check_generated(release.path, listing, metadata)
    if not problems and read:
        states = [state_of(again[number]) for number in sorted(again)]
        if {number: state_of(found[number]) for number in found} == dict(zip(sorted(again), states, strict=True)):
            with contextlib.suppress(PermissionError):
                durable.write_file(os.path.join(receipts, STATE_NAME), encode_states(states))
    return Verdict(release, problems[:_MOST], len(found), read)


def _read_files(
    layout: Layout,
    top: int,
    entries: Sequence[Listed],
    found: dict[int, os.stat_result],
    full: bool,
    problems: list[Problem],
    progress: Callable[[int], object],
) -> int:
    """Reads the files that have to be read, each inode once, and adds what is wrong with them; gives their number."""
    known = None if full else Known(layout)
    todo: dict[tuple[State, str], list[int]] = {}
    for number, status in found.items():
        state, digest = state_of(status), entries[number].detail
        if known is None or not known.holds(state, digest.encode()):
            todo.setdefault((state, digest), []).append(number)
        else:
            progress(1)
    work = list(todo.items())
    bad: list[int] = []

    def check(item: tuple[tuple[State, str], list[int]]) -> None:
        (_, digest), numbers = item
        if _content(top, entries[numbers[0]].path) != digest:
            bad.extend(numbers)
        progress(len(numbers))

    for_all(work, check)
    for number in sorted(bad):
        problems.append(Problem("release-content", f"Not what it was: {shown(entries[number].path)}"))
    return len(work)


def _content(top: int, path: str) -> str:
    """The SHA-256 of a file, opened step by step without following any link; empty when it is none."""
    here = top
    *above, name = path.split("/")
    opened = []
    try:
        for part in above:
            here = os.open(part, _DIRECTORY, dir_fd=here)
            opened.append(here)
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
        opened.append(fd)
        digest = hashlib.sha256()
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        while piece := os.read(fd, 1 << 20):
            digest.update(piece)
        return digest.hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    finally:
        for fd in opened:
            os.close(fd)


def _beside(receipts: str, name: str) -> bytes:
    try:
        with open(os.path.join(receipts, name), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
