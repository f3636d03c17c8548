"""What is said alike of every layout: a process's account, its directory, how it was asked to stop."""

from __future__ import annotations

from capsule_deploy.migrate.model import Findings, Origin
from capsule_deploy.migrate.places import Places


def account(findings: Findings, user: str | None, origin: Origin, *, subject: str) -> None:
    """Tells of the account; ``user`` is None when none was named, which is root."""
    if user is None or user in ("root", "0"):
        message = "It ran as root. A capsule's service runs as an account of the application's own, without rights."
        remedy = (
            "Check what needs root: files of others and devices are the host's part; for ports below 1024 the manifest"
            " has sandbox: { allow: [low-ports] }."
        )
        findings.left("root-user", subject, message, remedy, origin)
        return
    message = f"It ran as {user}; a capsule's service runs as an account of the application's own, tori-<name>."
    remedy = f"Give that account what {user} owns and the service needs, above all the state that is moved."
    findings.changed("user", subject, message, remedy, origin)


def stop_signal(findings: Findings, signal: str, origin: Origin, *, subject: str) -> None:
    """Tells of the signal that ended a process."""
    if signal.strip().upper().removeprefix("SIG") in ("TERM", "15"):
        findings.carried(subject, "A capsule's process is asked to stop by SIGTERM.", origin)
        return
    message = f"It was asked to stop by {signal}; a capsule's process is asked by SIGTERM."
    findings.left("stop-signal", subject, message, "Let the application stop cleanly on SIGTERM.", origin)


def working_directory(findings: Findings, places: Places, cwd: str, origin: Origin, *, subject: str) -> None:
    """Tells of the directory on the old host in which a process ran; those below the root are told where it matters."""
    inner = places.relative(cwd)
    if inner == "":
        message = "A capsule's processes run in the root of the release, which is read-only."
        findings.carried(subject, message, origin)
    elif inner is None:
        message = f"Processes run in the root of the release, not in {cwd}."
        remedy = "Name files by the capsule's root, or by an environment variable."
        findings.left("working-directory", subject, message, remedy, origin)
