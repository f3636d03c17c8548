"""Reads ``.service`` units with their drop-ins and environment files, and gives the processes that they start."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence

from capsule_deploy.migrate.circumstances import working_directory
from capsule_deploy.migrate.model import Deployment, Findings, Origin, Process
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.sources import read_sources
from capsule_deploy.migrate.systemd.commands import commands
from capsule_deploy.migrate.systemd.environment import Environment
from capsule_deploy.migrate.systemd.limits import limits
from capsule_deploy.migrate.systemd.specifiers import Specifiers
from capsule_deploy.migrate.systemd.telling import Teller
from capsule_deploy.migrate.systemd.unit import Unit, load, stem_of


def read_units(paths: Sequence[str], places: Places, findings: Findings) -> Deployment:
    """The service that the units in the files ``paths`` are.

    Raises:
        CapsuleError: a file cannot be read, or is no unit.
    """
    deployment = Deployment("systemd", stem_of(os.path.basename(paths[0])))
    for path, text in read_sources(paths, places):
        unit = load(path, text, places, findings)
        deployment.processes += _processes(unit, places, findings)
        deployment.sources += unit.files
    names = [os.path.basename(path) for path in paths]
    deployment.stop = ["systemctl", "stop", *(name.replace("@.", "@*.") for name in names)]
    deployment.disable = ["systemctl", "disable", *names]
    return deployment


def _processes(unit: Unit, places: Places, findings: Findings) -> list[Process]:
    """The processes of the unit; what became of each line is told on the way."""
    if not unit.all("ExecStart"):
        origin = Origin(unit.files[0], 0, "")
        findings.left("no-command", unit.name, "The unit has no ExecStart; it starts nothing.", "", origin)
    specifiers = Specifiers(unit, places, findings)
    walls = Teller(unit, specifiers, places, findings).tell()
    env = Environment(unit, specifiers, places, findings).read()
    cwd = _working_directory(unit, specifiers, places, findings)
    bounds = limits(unit, findings)
    started = commands(unit, env, specifiers, findings)
    oneshot = (unit.last("Type") or ("simple",))[0] == "oneshot"
    found: list[Process] = []
    for number, (argv, origin) in enumerate(started, 1):
        if not argv:
            continue
        name = unit.stem if len(started) == 1 else f"{unit.stem}-{number}"
        if oneshot:
            message = "It was run once, to its end; a capsule's process is one that stays."
            remedy = "Keep it only if what it starts stays in the foreground."
            findings.left("oneshot", name, message, remedy, origin)
        found.append(Process(name.replace("@", "-"), argv, origin, cwd, dict(env), dict(bounds), walls=walls))
    _neighbours(unit, places, findings)
    return found


def _working_directory(unit: Unit, specifiers: Specifiers, places: Places, findings: Findings) -> str | None:
    found = unit.last("WorkingDirectory")
    if found is None:
        return "/"
    value, origin = found
    path = specifiers.expanded(value.removeprefix("-"), "WorkingDirectory", origin)
    if path == "~" or not path.startswith("/"):
        message = "The working directory was the account's home."
        findings.left("working-directory", "WorkingDirectory", message, "Name files by the capsule's root.", origin)
        return None
    cwd = posixpath.normpath(path)
    working_directory(findings, places, cwd, origin, subject="WorkingDirectory")
    return cwd


_NEIGHBOURS = {
    "socket": ("socket-activation", "systemd listened for it and handed the socket over; nobody does now.",
               "Let the application bind its own port, above 1023."),
    "timer": ("timer", "A timer started it; a capsule's process is one that stays.",
              "Keep a timer on the host, or let the application keep the time."),
    "path": ("path-unit", "A change of a file started it.", "Let the application watch the file."),
}  # fmt: skip


def _neighbours(unit: Unit, places: Places, findings: Findings) -> None:
    """Tells of the units beside this one that start it."""
    directory = os.path.dirname(os.path.abspath(unit.path))
    for suffix, (code, message, remedy) in _NEIGHBOURS.items():
        beside = os.path.join(directory, f"{unit.stem}.{suffix}")
        if os.path.isfile(beside):
            name = places.shown(beside)
            findings.left(code, f"{unit.stem}.{suffix}", message, remedy, Origin(name, 0, ""))
