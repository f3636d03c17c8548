"""Symbolic links: what they may say, and where they lead (``docs/format.md``, section 2.2). Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from capsule_builder.errors import Problem
from capsule_builder.paths import MAX_PART_BYTES, MAX_PATH_BYTES, UNDECODABLE, forbidden, shown

_CONTRACT = re.compile(r"/opt/tori/python/(3\.(?:0|[1-9][0-9]*))/bin/python\1")
_MAX_HOPS = 40  # as many as Linux follows


def link_problem(path: str, target: str) -> Problem | None:
    """Why a symlink at ``path`` may not have ``target``, judged by its text alone; None when it may."""
    where = f"{shown(path)} -> {shown(target)}"
    if what := forbidden(target):
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


def links_problems(
    links: Mapping[str, str], paths: Iterable[str], *, judged: Callable[[str], bool] = lambda _: True
) -> list[Problem]:
    """What is wrong with where ``links`` (path to target) lead, in a tree whose entries (links too) have ``paths``.

    The path of an empty directory ends in ``/``. Links are followed as the kernel follows them, through other links
    too; only the ``judged`` ones are reported. One pass over ``paths``.
    """
    problems: list[Problem] = []
    ends: list[tuple[str, str]] = []  # a link, and a path that must exist for it
    for path, target in links.items():
        if not judged(path):
            continue
        if found := link_problem(path, target):
            problems.append(found)
        elif not target.startswith("/"):
            found, needed, _ = _follow(path, links)
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


def destination(path: str, links: Mapping[str, str]) -> str | None:
    """Where ``path`` leads in a capsule with these ``links`` (path to target).

    A directory ends in ``/`` where the links say that it must be one; the interpreter contract is the one absolute
    path. None when it leads out of the capsule or in a circle.
    """
    if not links:
        return path
    problem, _, end = _follow("", {**links, "": path})
    return None if problem else end


def _follow(path: str, links: Mapping[str, str]) -> tuple[Problem | None, list[str], str]:
    """Walks a link: the problem met on the way, or the paths that must exist, and the end.

    One that must be a directory ends in ``/``; '' is the capsule's top, and an absolute end the interpreter contract.
    """
    where = f"{shown(path)} -> {shown(links[path])}"
    here = path.split("/")[:-1]
    todo = links[path].split("/")[::-1]
    needed: list[str] = []
    hops, end = 0 if path == "" else 1, ""  # a path that is asked about is no link itself
    while todo:
        part = todo.pop()
        if part in {"", "."}:
            end = "/"
            continue
        if part == "..":
            if not here:
                remedy = "Link to a file inside the tree, or exclude it."
                return Problem("link-escape", f"Link leaves the tree: {where}", remedy), [], ""
            needed.append("/".join(here) + "/")
            here.pop()
            continue
        here.append(part)
        end = ""
        target = links.get("/".join(here))
        if target is None:
            continue
        hops += 1
        if hops > _MAX_HOPS:
            message = f"Link leads to itself, or through more than {_MAX_HOPS} links: {where}"
            return Problem("link-cycle", message, "Remove the link, or exclude it."), [], ""
        if target.startswith("/"):  # the interpreter contract, or a link that is refused in its own right
            if todo:  # it is a file, which has nothing below it
                return Problem("link-escape", f"Link leaves the tree: {where}", "Link inside the tree."), [], ""
            return None, needed, target
        here.pop()
        todo += target.split("/")[::-1]
    last = "/".join(here) + end if here else ""
    return None, [*needed, last], last
