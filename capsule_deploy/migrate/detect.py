"""Finds what starts the old service, when nobody has named it, and tells which kind of thing a file is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Literal

from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import shown
from capsule_deploy.migrate.cron import looks_like_crontab
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.reading import AbsentError, UnreadableError, listed, read_text
from capsule_deploy.migrate.systemd.unit import DIRECTORIES

Kind = Literal["systemd", "supervisor", "cron", "script"]

_DEPTH = 4
_ENTRIES = 20_000
_SKIPPED = frozenset(["node_modules", "site-packages", "__pycache__", ".git", ".hg", ".svn"])
_ON_THE_HOST = (
    "/etc/supervisor/conf.d",
    "/etc/supervisord.d",
    "/etc/cron.d",
    "/var/spool/cron/crontabs",
    "/var/spool/cron",
)
_SCRIPTS = re.compile(r"(?:start|run|launch|serve|entrypoint)[\w.-]*(?:\.sh|\.bash)?")
_REMEDY = (
    "Name with --unit what starts the service: a .service unit, a supervisor configuration, a crontab or a script."
)


def kind_of(path: str, text: str) -> Kind | None:
    """What a file is, by its name and what stands in it."""
    name = os.path.basename(path)
    if name.endswith(".service") or re.search(r"(?m)^\s*\[Service\]\s*$", text):
        return "systemd"
    if re.search(r"(?m)^\s*\[(?:program:.+|supervisord|include)\]", text):
        return "supervisor"
    if re.match(r"#!\s*\S*(?:sh|env\s+\S*sh)(?:\s|$)", text):
        return "script"
    if looks_like_crontab(text):
        return "cron"
    return "script" if name.endswith((".sh", ".bash")) else None


def named(paths: list[str], places: Places) -> dict[Kind, list[str]]:
    """The files that were named, by their kind; a path that is not here is one of the old host.

    Raises:
        CapsuleError: one is not there, or is nothing that starts a service; or they are of several kinds.
    """
    found: dict[Kind, list[str]] = {}
    problems: list[Problem] = []
    seen: set[str] = set()
    for path in paths:
        here = _meant(path, places)
        if os.path.realpath(here) in seen:
            continue
        seen.add(os.path.realpath(here))
        try:
            text = read_text(here, path, places.root)
        except CapsuleError as error:
            problems += error.problems
            if isinstance(error, AbsentError) and len(paths) == 1:
                raise
            continue
        kind = kind_of(here, text)
        if kind is None:
            message = f"Neither a unit nor a supervisor configuration, crontab or script: {shown(path)}"
            problems.append(Problem("unit-unknown", message, _REMEDY))
        else:
            found.setdefault(kind, []).append(here)
    if problems:
        raise UnreadableError(problems)
    if len(found) > 1:
        message = f"The files are of several kinds: {', '.join(found)}"
        raise refusal("unit-mixed", message, "Name files of one kind; run caps_migrate for each.")
    return found


def _meant(path: str, places: Places) -> str:
    """The file that somebody names: on the old host before this one, when that is a copy; or in the directory."""
    on_host = [places.here(path)] if path.startswith("/") else []
    known = [*on_host, path] if places.root != "/" else [path, *on_host]
    return next((one for one in [*known, places.in_tree(path)] if os.path.lexists(one)), path)


def detected(places: Places) -> dict[Kind, list[str]]:
    """What starts the service, found in the directory, or on the host where its files name the directory.

    Raises:
        CapsuleError: nothing was found, or more than one thing.
    """
    candidates: dict[Kind, list[str]] = {"systemd": [], "supervisor": [], "cron": [], "script": []}
    unreadable: list[Problem] = []
    others: list[Problem] = []
    for path in [*_in_tree(places), *_on_host(places)]:
        try:
            text = places.text(path)
        except CapsuleError as error:
            (unreadable if path.endswith(".service") else others).extend(error.problems)
            continue
        kind = kind_of(path, text)
        if kind == "systemd" and not path.endswith(".service"):
            continue  # a drop-in: systemd starts what is called so, and nothing else
        if kind == "script" and not _SCRIPTS.fullmatch(os.path.basename(path)):
            continue
        if kind == "systemd" and not re.search(r"(?m)^\s*ExecStart\s*=", text):
            continue
        if kind == "supervisor" and "[program:" not in text:
            continue
        if kind is not None:
            candidates[kind].append(path)
    for sort, found in candidates.items():
        if sort != "systemd" and unreadable:
            raise UnreadableError(unreadable)  # what is weaker than a unit may not be what runs
        paths = _each_once(found)
        if len(paths) == 1 or (paths and sort == "supervisor"):
            return {sort: paths}
        if paths:
            names = ", ".join(shown(places.shown(path)) for path in paths[:10])
            message = f"More than one thing starts a service: {names}"
            remedy = "Name with --unit each that belongs to the application: --unit FILE --unit FILE."
            raise refusal("unit-ambiguous", message, remedy)
    nothing = Problem("unit-missing", f"Nothing starts a service in {shown(places.directory)}", _REMEDY)
    raise UnreadableError([*others, nothing]) if others else AbsentError([nothing])


def _each_once(paths: list[str]) -> list[str]:
    """A unit may lie in the directory and, the same, on the host: the host's is the one that runs."""
    by_name = {os.path.basename(path): path for path in paths}
    return list(by_name.values())


def _in_tree(places: Places) -> Iterator[str]:
    seen = 0
    todo = [(places.directory, 0)]
    while todo:
        directory, depth = todo.pop()
        for item in listed(directory):
            seen += 1
            path = os.path.join(directory, item.name)
            if seen > _ENTRIES:
                return
            if os.path.islink(path):
                continue
            if os.path.isdir(path):
                if (
                    depth < _DEPTH
                    and item.name not in _SKIPPED
                    and not os.path.exists(os.path.join(path, "pyvenv.cfg"))
                ):
                    todo.append((path, depth + 1))
            elif item.name.endswith((".service", ".conf", ".ini", ".sh", ".cron", ".crontab")) or (
                "cron" in item.name or _SCRIPTS.fullmatch(item.name)
            ):
                yield path


def _on_host(places: Places) -> Iterator[str]:
    """Files of the host that name the directory."""
    for directory in (*DIRECTORIES, *_ON_THE_HOST):
        here = os.path.join(places.root, directory.lstrip("/"))
        for item in listed(here):
            path = os.path.join(here, item.name)
            if directory in DIRECTORIES and not item.name.endswith(".service"):
                continue
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            try:
                text = places.text(path)
            except CapsuleError:
                continue
            if any(re.search(rf"{re.escape(home)}(?![\w.-])", text) for home in places.homes):
                yield path
