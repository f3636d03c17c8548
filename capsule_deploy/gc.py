"""Removes releases that nothing needs, and the files that only they had."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from capsule_builder.archive.listing_reader import Listing
from capsule_builder.contents import Listed
from capsule_builder.errors import CapsuleError
from capsule_builder.paths import CONTENTS_NAME
from capsule_deploy import durable, staging, units
from capsule_deploy.known import STATE_NAME, Known, encode_states, state_of
from capsule_deploy.layout import Layout
from capsule_deploy.live import live
from capsule_deploy.locks import locked
from capsule_deploy.objects import Objects
from capsule_deploy.pins import is_pinned
from capsule_deploy.policy import read_policy
from capsule_deploy.releases import Release, active, installed
from capsule_deploy.staging import Cleared, Workspace
from capsule_deploy.trees import check_tree

_ID = re.compile("[0-9a-f]{64}")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Judged:
    """A release, and why it is kept; nothing when it goes."""

    release: Release
    reasons: Sequence[str]


@dataclass(frozen=True)
class Collected:
    """What became of each release; how many objects went with them, and their bytes; none of it in a dry run."""

    judged: Sequence[Judged]
    objects: int
    freed: int


def collect(
    layout: Layout,
    *,
    keep: int | None = None,
    dry_run: bool = False,
    wait: bool = False,
) -> Collected:
    """Removes the releases that nothing needs; ``keep`` is how many of each application stay (default: the policy's).

    Raises:
        PolicyError: the policy cannot be read.
        BusyError: another command is at work, and it is not to be waited for.
        OSError: something cannot be removed; the rest goes with the next run.
    """
    policy = read_policy(layout)
    if not os.path.isdir(layout.tori):
        return Collected([], 0, 0)
    with locked(layout.lock, "the releases of this host", wait=wait):
        judged = judge(layout, policy.keep if keep is None else keep, policy.minimum_age)
        if dry_run:
            return Collected(judged, 0, 0)
        if os.path.isdir(layout.staging):
            staging.sweep(layout)
        units.sweep(layout)
        victims = [one.release for one in judged if not one.reasons]
        cleared = []
        if victims:
            kept = [one.release for one in judged if one.reasons]
            before = [_states(layout, release) for release in kept]
            cleared = [_remove(layout, release) for release in victims]
            for release, states in zip(kept, before, strict=True):
                _remember(layout, release, states)
        with Objects(layout) as objects:
            cleared.append(staging.remove_unused(objects, objects.all_keys()))  # what crashes have left
        return Collected(judged, sum(one.objects for one in cleared), sum(one.freed for one in cleared))


def judge(layout: Layout, keep: int, minimum_age: int) -> list[Judged]:
    """Every release, the oldest first, and why it is kept."""
    releases = installed(layout)
    running = live(layout, [release.id for release in releases])
    newest: dict[str, list[str]] = {}
    for release in reversed(releases):
        newest.setdefault(release.app, []).append(release.id)
    now = time.time()
    judged = []
    for release in releases:
        reasons = [link for link in ("active", "previous") if active(layout, release.app, link) == release.id]
        if is_pinned(layout, release):
            reasons.append("pinned")
        if release.id in _in_transaction(layout, release.app):
            reasons.append("part of an activation that has not ended")
        if release.id in running:
            reasons.append(f"needed by process {running[release.id]}")
        if release.id in newest[release.app][:keep]:
            reasons.append(f"one of the newest {keep} of {release.app}")
        if now - release.receipt.installed < minimum_age:
            reasons.append(f"installed less than {minimum_age:,} seconds ago")
        judged.append(Judged(release, reasons))
    return judged


def _in_transaction(layout: Layout, app: str) -> set[str]:
    """The IDs that the journal of an activation names, whatever else it says."""
    try:
        with open(os.path.join(layout.app(app), "txn"), encoding="utf-8", errors="replace") as file:
            return set(_ID.findall(file.read()))
    except FileNotFoundError:
        return set()


def _remove(layout: Layout, release: Release) -> Cleared:
    """Moves a release aside, which is one step, and then takes it apart."""
    units.remove(layout, release.id)
    with Workspace(layout) as workspace:
        os.rename(release.path, workspace.inner(staging.TREE))
        durable.sync_directory(layout.releases)
        os.rename(layout.receipt(release.id), workspace.inner(staging.RECEIPT))
        durable.sync_directory(layout.receipts)
    return workspace.cleared


def _states(layout: Layout, release: Release) -> list[os.stat_result]:
    """What the system says of a release's files, in the order of its listing, if all are known to be sound."""
    found, entries = _look(layout, release)
    known = Known(layout)
    sound = all(known.holds(state_of(status), entries[number].detail.encode()) for number, status in found.items())
    return [found[number] for number in sorted(found)] if sound else []


def _remember(layout: Layout, release: Release, before: Sequence[os.stat_result]) -> None:
    """Keeps what is known of a release: that links of its files went has changed their times, and nothing else."""
    found, _ = _look(layout, release)
    after = [found[number] for number in sorted(found)]
    if not before or len(before) != len(after):
        return
    same = all(
        (old.st_ino, old.st_size, old.st_mtime_ns) == (new.st_ino, new.st_size, new.st_mtime_ns)
        for old, new in zip(before, after, strict=True)
    )
    if same and any(old.st_ctime_ns != new.st_ctime_ns for old, new in zip(before, after, strict=True)):
        state = os.path.join(layout.receipt(release.id), STATE_NAME)
        durable.write_file(state, encode_states([state_of(status) for status in after]))


def _look(layout: Layout, release: Release) -> tuple[dict[int, os.stat_result], Sequence[Listed]]:
    with contextlib.suppress(OSError, CapsuleError):
        with open(os.path.join(layout.receipt(release.id), CONTENTS_NAME), "rb") as file:
            entries = list(Listing(file.read()))
        top = os.open(release.path, _DIRECTORY)
        try:
            found, problems = check_tree(top, entries)
        finally:
            os.close(top)
        if not problems:
            return found, entries
    return {}, []
