"""The tree of a release: made of verified files, and held against its listing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence

from capsule_builder.archive.listing_reader import Listing
from capsule_builder.contents import Listed
from capsule_builder.errors import Problem
from capsule_builder.paths import CONTENTS_NAME, METADATA_NAME, shown
from capsule_deploy.objects import FILE_MODE, mode_of

DIRECTORY_MODE = 0o555
GENERATED = (CONTENTS_NAME, METADATA_NAME)
"""Files that stand in a release beside its content; the receipts have other names of the same inodes."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST = 100  # problems of one tree


def make_tree(top: int, entries: Sequence[Listed], place: Callable[[int, int, str], None]) -> None:
    """Makes directories and links in the empty directory ``top``; ``place(number, directory, name)`` each file.

    Nothing is ever followed: each directory is opened in the one above, which is held open.

    Raises:
        OSError: something cannot be made.
    """
    held: list[tuple[str, int]] = []
    prefix, here = "", top
    try:
        for number, entry in enumerate(entries):
            above, _, name = entry.path.rpartition("/")
            if above != prefix:
                here = _enter(top, held, above)
                prefix = above
            if entry.kind == "symlink":
                os.symlink(entry.detail, name, dir_fd=here)
            elif entry.kind == "dir":
                os.mkdir(name, DIRECTORY_MODE, dir_fd=here)
            else:
                place(number, here, name)
    finally:
        _leave(held, 0)


def _enter(top: int, held: list[tuple[str, int]], path: str) -> int:
    parts = path.split("/") if path else []
    same = 0
    while same < min(len(parts), len(held)) and held[same][0] == parts[same]:
        same += 1
    _leave(held, same)
    for part in parts[same:]:
        above = held[-1][1] if held else top
        os.mkdir(part, 0o700, dir_fd=above)
        held.append((part, os.open(part, _DIRECTORY, dir_fd=above)))
    return held[-1][1] if held else top


def _leave(held: list[tuple[str, int]], depth: int) -> None:
    while len(held) > depth:
        fd = held.pop()[1]
        os.fchmod(fd, DIRECTORY_MODE)
        os.close(fd)


def check_tree(top: int, listing: Listing) -> tuple[dict[int, os.stat_result], list[Problem]]:
    """Holds all that lies below ``top`` against the listing, but for the content of files.

    Gives what the system says of each file, by the number of its line, and every problem (the first hundred).
    """
    wanted = _directories(listing)
    found: dict[int, os.stat_result] = {}
    problems: list[Problem] = []
    todo = [("", os.dup(top))]
    while todo:
        path, fd = todo.pop()
        try:
            _check_mode(os.fstat(fd), DIRECTORY_MODE, path or ".", problems)
            names = wanted.pop(path)
            prefix = f"{path}/" if path else ""
            for name in os.listdir(fd):
                number = names.pop(name, None)
                if number is None:
                    if path or name not in GENERATED:
                        problems.append(_bad("release-extra", "Not part of the release", prefix + name))
                    continue
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if number < 0:
                    if stat.S_ISDIR(status.st_mode):
                        todo.append((prefix + name, os.open(name, _DIRECTORY, dir_fd=fd)))
                    else:
                        problems.append(_bad("release-kind", "Not a directory any more", prefix + name))
                    continue
                if stat.S_ISREG(status.st_mode):
                    found[number] = status
                _check_entry(listing[number], status, fd, name, problems)
            problems += [_bad("release-missing", "Missing", prefix + name) for name in sorted(names)]
        finally:
            os.close(fd)
    return found, problems[:_MOST]


def check_generated(place: str, listing: bytes, metadata: bytes) -> list[Problem]:
    """What is wrong with the files beside the content of the release at ``place``."""
    problems = []
    for name, wanted in zip(GENERATED, (listing, metadata), strict=True):
        path = os.path.join(place, name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            problems.append(_bad("release-missing", "Missing", name))
            continue
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or file.read(len(wanted) + 1) != wanted:
                problems.append(_bad("release-content", "Not what it was", name))
            _check_mode(status, FILE_MODE, name, problems)
    return problems


def _directories(listing: Listing) -> dict[str, dict[str, int]]:
    """Each directory's names, with the numbers of their lines; -1 for directories."""
    names: dict[str, dict[str, int]] = {"": {}}
    for number, entry in enumerate(listing):
        path, inner = entry.path, number
        if entry.kind == "dir":
            names.setdefault(path, {})
            inner = -1
        while True:
            above, _, name = path.rpartition("/")
            if (known := names.get(above)) is not None:
                known[name] = inner
                break
            names[above] = {name: inner}
            path, inner = above, -1
    return names


def _check_entry(entry: Listed, status: os.stat_result, fd: int, name: str, problems: list[Problem]) -> None:
    if entry.kind == "symlink":
        if not stat.S_ISLNK(status.st_mode):
            problems.append(_bad("release-kind", "Not a link any more", entry.path))
        elif os.readlink(name, dir_fd=fd) != entry.detail:
            problems.append(_bad("release-link", "Leads elsewhere", entry.path))
    elif not stat.S_ISREG(status.st_mode):
        problems.append(_bad("release-kind", "Not a file any more", entry.path))
    else:
        _check_mode(status, mode_of(entry), entry.path, problems)


def _check_mode(status: os.stat_result, mode: int, path: str, problems: list[Problem]) -> None:
    if stat.S_IMODE(status.st_mode) != mode:
        what = f"Has the mode {stat.S_IMODE(status.st_mode):04o} and not {mode:04o}"
        problems.append(_bad("release-mode", what, path))
    if status.st_uid not in {0, os.geteuid()}:
        problems.append(_bad("release-owner", f"Belongs to the account {status.st_uid}", path))


def _bad(code: str, what: str, path: str) -> Problem:
    return Problem(code, f"{what}: {shown(path)}")
