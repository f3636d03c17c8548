"""Reads crontabs (crontab(5)): what ``@reboot`` starts is a service, everything else is a matter of the clock."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from capsule_builder.errors import refusal
from capsule_deploy.migrate.circumstances import account
from capsule_deploy.migrate.model import Deployment, Findings, Origin, Process, Variable
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.reading import logical_lines
from capsule_deploy.migrate.sources import read_sources

_FIELD = r"(?:\*|[0-9]{1,2}|[A-Za-z]{3})(?:[-/,*0-9A-Za-z]*)"
_TIMES = re.compile(
    rf"\s*(@(?:reboot|yearly|annually|monthly|weekly|daily|midnight|hourly)|{_FIELD}(?:\s+{_FIELD}){{4}})\s+(\S.*)$"
)
_VARIABLE = re.compile(r"""\s*(["']?)([A-Za-z_][A-Za-z0-9_]*)\1\s*=(.*)$""")
_NO_USER = frozenset([
    "cd", "sh", "bash", "dash", "env", "nohup", "exec", "python", "python3", "sleep", "test", "nice", "ionice",
    "flock", "timeout", "setsid", "run-parts",
])  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A line that runs a command: when, for whom (None in a crontab of one account), and the variables up to here."""

    when: str
    user: str | None
    command: str
    line: int
    text: str
    env: dict[str, tuple[str, int, str]]


def parse_crontab(text: str, *, system: bool | None = None) -> tuple[list[Job], list[tuple[int, str]]]:
    """The jobs of a crontab, and the lines that mean nothing.

    ``system`` says whether the sixth field is an account; with None, each line is taken for what it looks like.
    """
    jobs: list[Job] = []
    wrong: list[tuple[int, str]] = []
    env: dict[str, tuple[str, int, str]] = {}
    for number, line in logical_lines(text):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _TIMES.match(line)
        variable = _VARIABLE.match(line)
        if found:
            user, command = _account(found[2], system)
            jobs.append(Job(found[1], user, _until_percent(command), number, line, dict(env)))
        elif variable:
            value = variable[3].strip()
            if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
                value = value[1:-1]
            env[variable[2]] = (value, number, line)
        else:
            wrong.append((number, line))
    return jobs, wrong


def _account(rest: str, system: bool | None) -> tuple[str | None, str]:
    first, _, command = rest.partition(" ") if " " in rest else rest.partition("\t")
    command = command.strip()
    if system is None:
        is_name = re.fullmatch("[a-z_][a-z0-9_-]*", first) and first not in _NO_USER
        system = bool(is_name and re.match(r"/|cd\s|[A-Z_]+=|(?:nohup|sh|bash|exec|env)\s", command))
    return (first, command) if system and command else (None, rest)


def _until_percent(command: str) -> str:
    r"""The command itself: what follows a ``%`` is its input, and ``\%`` is a percent sign."""
    return re.split(r"(?<!\\)%", command)[0].replace("\\%", "%").strip()


def looks_like_crontab(text: str) -> bool:
    """Whether there is a job in it, and hardly anything else."""
    jobs, wrong = parse_crontab(text)
    return bool(jobs) and len(wrong) <= len(jobs)


def read_crontabs(paths: Sequence[str], places: Places, findings: Findings) -> Deployment:
    """What the crontabs in the files ``paths`` start at boot.

    Raises:
        CapsuleError: a file cannot be read, or starts nothing.
    """
    deployment = Deployment("cron", os.path.basename(places.directory))
    for path, text in read_sources(paths, places):
        name = places.shown(path)
        deployment.sources.append(name)
        there = places.there(os.path.abspath(path))
        system = True if there == "/etc/crontab" or there.startswith("/etc/cron.d/") else None
        jobs, wrong = parse_crontab(text, system=system)
        for number, line in wrong:
            findings.left("line-invalid", "", "cron takes no notice of the line.", "", Origin(name, number, line))
        _tell_variables(jobs, name, findings)
        for job in jobs:
            origin = Origin(name, job.line, job.text)
            if job.when != "@reboot":
                message = f"It ran by the clock ({job.when}); a capsule's process is one that stays."
                remedy = (
                    "Keep a timer on the host that runs it from the active release, or let the application keep time."
                )
                findings.left("cron-timer", job.when, message, remedy, origin)
                continue
            if job.user is not None or "/spool/cron/" in there:
                account(findings, job.user or os.path.basename(path), origin, subject="account")
            else:
                message = (
                    "It ran as whose crontab it was; a capsule's service runs as an account of the application's own."
                )
                findings.changed("user", "account", message, "Give that account the state that is moved.", origin)
            findings.changed(
                "enabled", "@reboot", "What runs after a boot is what `capsdeploy activate` made active.", "", origin
            )
            env = {key: Variable(value, Origin(name, line, raw)) for key, (value, line, raw) in job.env.items()}
            env = {key: value for key, value in env.items() if key not in ("SHELL", "MAILTO", "CRON_TZ", "LOGNAME")}
            home = env["HOME"].value if "HOME" in env else None
            shell = job.env["SHELL"][0] if "SHELL" in job.env else "/bin/sh"
            number = sum(process.name.startswith(deployment.name) for process in deployment.processes)
            process_name = deployment.name if not number else f"{deployment.name}-{number + 1}"
            deployment.processes.append(Process(process_name, (shell, "-c", job.command), origin, home, env))
    if not deployment.processes:
        message = f"Nothing is started at boot (@reboot) by {places.shown(paths[0])}"
        raise refusal("unit-none", message, "Name what starts the service: a unit, a configuration, or its script.")
    return deployment


def _tell_variables(jobs: Sequence[Job], name: str, findings: Findings) -> None:
    for job in jobs:
        for key in ("SHELL", "MAILTO", "CRON_TZ", "LOGNAME"):
            if key in job.env:
                _, line, raw = job.env[key]
                message = {
                    "MAILTO": "What a service prints goes to the journal, and not by mail.",
                    "CRON_TZ": "It is for jobs that run by the clock.",
                }.get(key, "No shell and no login come between systemd and a capsule's process.")
                findings.left("cron-variable", key, message, "", Origin(name, line, raw))
