"""What a change of the active release is about, on the disk before it happens: a crash finds there how to go on.

An application's change is the file ``txn`` of its directory, in one of these states:

========== ===================================================== =============================
state      what may have happened                                after a crash
========== ===================================================== =============================
prepared   units, account and state directory are there          nothing is to be undone
started    in mode ``replace`` the old release has been stopped; undone: the old release runs,
           the new one has been started                          the new one is stopped
healthy    it has answered as the manifest wants                 undone
switched   ``active`` and ``previous`` have been changed         finished: the new release runs
observed   it went on to be healthy; the old one is stopped      finished
returning  the new release has failed, and is being undone       undone
========== ===================================================== =============================

A change that is done has no file, and a line in ``history``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, replace
from typing import Final

from capsule_builder.errors import refusal
from capsule_deploy import durable
from capsule_deploy.layout import Layout

PREPARED: Final = "prepared"
STARTED: Final = "started"
HEALTHY: Final = "healthy"
SWITCHED: Final = "switched"
OBSERVED: Final = "observed"
RETURNING: Final = "returning"
STATES: Final = (PREPARED, STARTED, HEALTHY, SWITCHED, OBSERVED, RETURNING)

BESIDE: Final = "beside"
"""The new release starts beside the old one, which is stopped when the new one has been observed."""
REPLACE: Final = "replace"
"""The old release is stopped first: both would listen on the same port."""

_ID = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Change:
    """A change of an application's active release; IDs are whole.

    ``old`` is what was active and ``old_previous`` what ``previous`` named; ``new`` is None when the application is to
    be deactivated. ``begun`` is seconds since 1970.
    """

    action: str
    app: str
    new: str | None
    old: str | None
    old_previous: str | None
    mode: str
    state: str
    begun: int

    @property
    def forward(self) -> bool:
        """Whether a crash is to be mended by finishing it."""
        return self.state in (SWITCHED, OBSERVED)


def read(layout: Layout, app: str) -> Change | None:
    """The application's change that is under way, or was when something crashed.

    Raises:
        CapsuleError: the file is damaged.
    """
    path = _path(layout, app)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return None
    try:
        change = Change(**json.loads(data))
        ids = [change.new, change.old, change.old_previous]
        if change.state not in STATES or change.app != app or any(one and not _ID.fullmatch(one) for one in ids):
            raise ValueError
    except (ValueError, TypeError):
        remedy = "Remove it; then `capsdeploy recover` starts what `active` names."
        raise refusal("txn-damaged", f"The journal of {app} is damaged: {path}", remedy) from None
    return change


def write(layout: Layout, change: Change, state: str) -> Change:
    """Brings the change to a state, on the disk first; gives it."""
    change = replace(change, state=state)
    durable.write_file(_path(layout, change.app), json.dumps(asdict(change), sort_keys=True).encode() + b"\n")
    return change


def done(layout: Layout, change: Change, result: str, now: int) -> None:
    """Ends a change, with a line in the history: ``done``, ``returned``, or ``recovered``."""
    _remember(layout, change, result, now)
    durable.remove(_path(layout, change.app))


def history(layout: Layout, app: str) -> list[dict[str, object]]:
    """What has been changed, the oldest first; each line has the SHA-256 of the one before it."""
    lines = _lines(layout, app)
    return [json.loads(line) for line in lines]


def _remember(layout: Layout, change: Change, result: str, now: int) -> None:
    lines = _lines(layout, change.app)
    before = hashlib.sha256(lines[-1]).hexdigest() if lines else None
    line = {
        "action": change.action,
        "result": result,
        "new": change.new,
        "old": change.old,
        "state": change.state,
        "begun": change.begun,
        "ended": now,
        "before": before,
    }
    path = os.path.join(layout.app(change.app), "history")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        os.ftruncate(fd, sum(len(one) + 1 for one in lines))  # a line that a crash has cut off
        os.lseek(fd, 0, os.SEEK_END)
        os.write(fd, json.dumps(line, sort_keys=True).encode() + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)
    durable.sync_directory(layout.app(change.app))


def _lines(layout: Layout, app: str) -> list[bytes]:
    try:
        with open(os.path.join(layout.app(app), "history"), "rb") as file:
            return file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


def _path(layout: Layout, app: str) -> str:
    return os.path.join(layout.app(app), "txn")
