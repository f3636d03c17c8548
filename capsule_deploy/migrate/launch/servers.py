"""Servers of applications, and those of their options that a capsule's service has no use for."""

from __future__ import annotations

from collections.abc import Iterator

from capsule_deploy.migrate.model import Findings, Process

SERVERS = frozenset([
    "gunicorn", "uvicorn", "hypercorn", "daphne", "waitress-serve", "celery", "uwsgi", "flask", "rq", "huey_consumer",
    "granian",
])  # fmt: skip
"""Modules and programs that are servers."""

CHANGES_DIRECTORY = {"gunicorn": "--chdir", "uvicorn": "--app-dir", "celery": "--workdir"}
"""Servers that can be told where the application's modules are."""

_LOGS = ("--access-logfile", "--error-logfile", "--log-file", "--access-log", "--logfile")


def without_background(name: str, words: list[str], process: Process, findings: Findings) -> list[str]:
    """The arguments of a server without those that put it into the background."""
    if name not in ("gunicorn", "celery", "uwsgi", "hypercorn"):
        return words
    kept: list[str] = []
    drop = {
        "--daemon": "forking",
        "--detach": "forking",
        "--pid": "pid-file",
        "--pidfile": "pid-file",
        "--daemonize": "forking",
    }
    if name == "gunicorn":
        drop |= {"-D": "forking", "-p": "pid-file", "-u": "user", "--user": "user", "-g": "user", "--group": "user"}
    if name == "celery":
        drop |= {"-D": "forking", "--uid": "user", "--gid": "user"}
    flags = {"--daemon", "--detach", "-D"}
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        code = drop.get(option)
        if code is None:
            kept += _log_option(name, word, rest, process, findings)
            continue
        if not equals and option not in flags:
            value = next(rest, "")
        message = {
            "forking": "The server stays in the foreground, where systemd sees it.",
            "pid-file": "systemd knows the process; there is no PID file.",
            "user": "The service runs as an account of the application's own.",
        }[code]
        findings.changed(code, f"{option} {value}".strip(), message, "", process.origin)
    return kept


def _log_option(name: str, word: str, rest: Iterator[str], process: Process, findings: Findings) -> list[str]:
    option, equals, value = word.partition("=")
    if name not in ("gunicorn", "hypercorn") or option not in _LOGS:
        return [word]
    if not equals:
        value = next(rest, "-")
    if value == "-":
        return [f"{option}={value}"] if equals else [option, value]
    message = f"Its log went to {value}; it goes to the journal now: `capsdeploy logs`."
    findings.changed("log-output", option, message, "", process.origin)
    return [f"{option}=-"] if equals else [option, "-"]
