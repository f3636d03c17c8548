"""Symbolic links: what they may say, and where they lead (``docs/format.md``, section 2.2). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from capsule_builder.errors import Problem
from capsule_builder.paths import FORBIDDEN, MAX_PART_BYTES, MAX_PATH_BYTES, UNDECODABLE, shown

_CONTRACT = re.compile(r"/opt/tori/python/(3\.(?:0|[1-9][0-9]*))/bin/python\1")


def link_problem(path: str, target: str) -> Problem | None:
    """Why a symlink at ``path`` may not have ``target``, judged by its text alone; None when it may."""
    where = f"{shown(path)} -> {shown(target)}"
    if found := FORBIDDEN.search(target):
        what = "a backslash" if found[0] == "\\" else f"a control character (U+{ord(found[0]):04X})"
        return Problem("link-character", f"Link target holds {what}: {where}", "Make the link again, or exclude it.")
    if UNDECODABLE.search(target):
        return Problem("link-encoding", f"Link target is not UTF-8: {where}", "Make the link again, or exclude it.")
    if not target or len(target.encode()) > MAX_PATH_BYTES:
        return Problem("link-length", f"Link target is empty or longer than {MAX_PATH_BYTES:,} bytes: {where}")
    if any(len(part.encode()) > MAX_PART_BYTES for part in target.split("/")):
        return Problem("link-length", f"Link target holds a name longer than {MAX_PART_BYTES} bytes: {where}")
    if target.startswith("/") and not _CONTRACT.fullmatch(target):
        return Problem(
            "link-escape",
            f"Link leaves the tree: {where}",
            "Only relative links move with a capsule: link to a file inside the tree, or copy what it points to.",
        )
    return None


def links_problems(links: Mapping[str, str], paths: Iterable[str]) -> list[Problem]:
    """What is wrong with where ``links`` (path to target) lead, in a tree whose entries (links too) have ``paths``.

    The path of an empty directory ends in ``/``. Links are followed as the kernel follows them, through other links
    too. One pass over ``paths``.
    """
    problems: list[Problem] = []
    ends: list[tuple[str, str]] = []  # a link, and a path that must exist for it
    for path, target in links.items():
        if found := link_problem(path, target):
            problems.append(found)
        elif not target.startswith("/"):
            found, needed = _follow(path, links)
            if found:
                problems.append(found)
            else:
                ends += [(path, end) for end in needed]
    missing = {end for _, end in ends if end}
    directories: set[str] = set()
    for path in paths if missing else ():
        missing.discard(path)
        while "/" in path:
            path = path[: path.rindex("/")]
            if path in directories:
                break
            directories.add(path)
            missing -= {path, path + "/"}
    dangling = dict.fromkeys(link for link, end in ends if end in missing)
    problems += [
        Problem(
            "link-dangling",
            f"Link points to nothing in the capsule: {shown(link)} -> {shown(links[link])}",
            "Add what it points to (is it excluded?), or exclude the link.",
        )
        for link in dangling
    ]
    return problems


def _follow(path: str, links: Mapping[str, str]) -> tuple[Problem | None, list[str]]:
    """Walks a link: the problem met on the way, or the paths that must exist.

    One that must be a directory ends in ``/``; '' is the capsule's top.
    """
    where = f"{shown(path)} -> {shown(links[path])}"
    here = path.split("/")[:-1]
    todo = links[path].split("/")[::-1]
    needed: list[str] = []
    hops, end = 1, ""
    while todo:
        part = todo.pop()
        if part in {"", "."}:
            end = "/"
            continue
        if part == "..":
            if not here:
                return Problem(
                    "link-escape", f"Link leaves the tree: {where}", "Link to a file inside the tree, or exclude it."
                ), []
            needed.append("/".join(here) + "/")
            here.pop()
            continue
        here.append(part)
        end = ""
        target = links.get("/".join(here))
        if target is None:
            continue
        hops += 1
        if hops > 40:
            return Problem("link-cycle", f"Link leads to itself: {where}", "Remove the link, or exclude it."), []
        if target.startswith("/"):  # the interpreter contract, or a link that is refused in its own right
            if any(part not in {"", "."} for part in todo):
                return Problem("link-escape", f"Link leaves the tree: {where}", "Link inside the tree."), []
            return None, needed
        here.pop()
        todo += target.split("/")[::-1]
    needed.append("/".join(here) + end if here else "")
    return None, needed
