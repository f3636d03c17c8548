"""After a crash or a boot: every application runs what its ``active`` names, or none of it."""

from __future__ import annotations

import os

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import shown
from capsule_deploy.activate import Say, app_lock, await_active, settle, settle_interrupted
from capsule_deploy.layout import Layout
from capsule_deploy.locks import BusyError
from capsule_deploy.releases import MissingError


def recover(layout: Layout, say: Say, *, wait: bool = True) -> list[Problem]:
    """Finishes or undoes what was interrupted, of each application, and starts what is active.

    One whose lock is held is left to who holds it. What stands in the way of one does not keep the others from their
    turn; all of it is in the result. Without ``wait`` nothing is waited for, as when the host boots.
    """
    problems: list[Problem] = []
    for app in applications(layout):
        try:
            with app_lock(layout, app):
                settle_interrupted(layout, app, say)
                settle(layout, app, say)
                if wait:
                    await_active(layout, app, say)
        except BusyError:
            say(f"{app}: another command is at work on it")
        except CapsuleError as failed:
            problems += failed.problems
        except OSError as failed:
            reason = f"{failed.strerror or failed}: {failed.filename}" if failed.filename else str(failed)
            problems.append(Problem("system", f"{app} cannot be recovered: {reason}", "Mend that, and try again."))
    return problems


def applications(layout: Layout) -> list[str]:
    """The applications of which something is known."""
    try:
        return sorted(entry.name for entry in os.scandir(layout.apps) if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def the_application(layout: Layout, name: str | None) -> str:
    """The application that is meant: the only one there is, when none is named.

    Raises:
        MissingError: there is none of that name, or it is not plain which one is meant.
    """
    known = applications(layout)
    if name is None and len(known) == 1:
        return known[0]
    if name in known:
        return name
    there = f"Name one of these: {', '.join(known)}." if known else "None has been activated."
    message = f"No such application: {shown(name)}" if name else "It is not plain which application is meant"
    raise MissingError([Problem("app-missing", message, there)])
