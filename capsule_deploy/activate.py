"""Changes what an application runs, step by step, so that it runs one release or the other whatever happens.

The new release becomes healthy first, then ``active`` names it, then it is observed, and then the old one is stopped.
Where both would listen on the same port of the host, the old one has to be stopped first. If the new one fails, the
old one runs again.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.manifest import Manifest
from capsule_deploy import accounts, durable, health, journal, ports, systemd, units
from capsule_deploy.health import UnhealthyError
from capsule_deploy.journal import BESIDE, REPLACE, Change
from capsule_deploy.layout import SHORT, Layout
from capsule_deploy.locks import BusyError, locked
from capsule_deploy.policy import PolicyError
from capsule_deploy.releases import MissingError, Release, active, find
from capsule_deploy.systemd import HostError

WATCH = 10.0
"""Seconds for which a new release is observed while the old one still runs."""

MOST_EXPOSED = 2.0
"""The exposure above which a release does not run, by the scale of `systemd-analyze security`."""

Say = Callable[[str], None]
Check = Callable[[Layout, Release], None]


def _silent(_line: str) -> None:
    """Says nothing."""


def _unchecked(_layout: Layout, _release: Release) -> None:
    """Lets every release pass."""


@dataclass(frozen=True)
class Means:
    """How to go about it.

    ``say`` is told each step, ``check`` refuses releases that may not run, ``watch`` is seconds; what is more exposed
    than ``most_exposed`` does not run. ``before_commit`` is called when the change can no longer be given up.
    """

    say: Say = _silent
    check: Check = _unchecked
    watch: float = WATCH
    most_exposed: float = MOST_EXPOSED
    before_commit: Callable[[], object] = lambda: None


@contextlib.contextmanager
def app_lock(layout: Layout, app: str) -> Iterator[None]:
    """Holds the application's lock, in which alone its links and its journal change."""
    os.makedirs(layout.app(app), mode=0o755, exist_ok=True)
    with locked(os.path.join(layout.app(app), "lock"), f"the application {app}"):
        yield


def activate(layout: Layout, release: Release, means: Means) -> Change | None:
    """Makes the release the one that runs; None when it is already.

    Raises:
        UnhealthyError: it did not become healthy, or did not stay so; what ran before runs again.
        CapsuleError: it may not run, or the host is not set up; nothing has been changed.
        OSError: the disk does not take it; what ran before runs again, or `capsdeploy recover` brings it back.
    """
    with app_lock(layout, release.app):
        _settle_first(layout, release.app, means.say)
        return _change_to(layout, release, "activate", means)


def rollback(layout: Layout, app: str, means: Means) -> Change | None:
    """Makes the release run that ran before the active one; raises what :func:`activate` does."""
    with app_lock(layout, app):
        _settle_first(layout, app, means.say)  # which may tell what ran before
        previous = active(layout, app, "previous")
        if previous is None:
            remedy = "Activate one by its ID; `capsdeploy list` tells which there are."
            raise MissingError([Problem("previous-missing", f"Nothing ran before what runs now: {app}", remedy)])
        return _change_to(layout, find(layout, previous), "rollback", means)


def deactivate(
    layout: Layout, app: str, say: Say = _silent, before_commit: Callable[[], object] = lambda: None
) -> Change | None:
    """Stops the application, and has no release of it start again; None when none is active.

    ``before_commit`` is called when the change can no longer be given up.
    """
    _require_systemd(layout)
    with app_lock(layout, app):
        settle_interrupted(layout, app, say)
        old = active(layout, app)
        if old is None:
            return None
        before_commit()
        before = active(layout, app, "previous")
        change = Change("deactivate", app, None, old, before, REPLACE, journal.SWITCHED, int(time.time()))
        change = journal.write(layout, change, journal.SWITCHED)
        _finish(layout, change, say, "done")
        return change


def settle_interrupted(layout: Layout, app: str, say: Say) -> Change | None:
    """Finishes or undoes what a crash interrupted, in the application's lock; gives what it was, if anything.

    What is to run is about to start then: it must not stand in the way of a better release if it cannot.
    """
    change = journal.read(layout, app)
    if change is None:
        return None
    say(f"{app}: {change.action} was interrupted in the state {change.state}")
    if change.forward:
        _finish(layout, change, say, "recovered")
    elif change.state == journal.PREPARED:
        journal.done(layout, change, "undone", int(time.time()))
    else:
        _undo(layout, change, say, "undone")
    return change


def settle(layout: Layout, app: str, say: Say, gone: str | None = None) -> None:
    """Stops every release of the application but the active one, ``gone`` in any case, and begins to start that one."""
    if not _live(layout):
        return
    named = active(layout, app)
    others = started(layout, app) | ({gone[:SHORT]} if gone else set())
    for short in sorted(others - {named[:SHORT] if named else ""}):
        _stop(app, short)
        say(f"stopped {short}")
    if named and not systemd.state(f"tori@{named[:SHORT]}.service").up:
        systemd.start(f"tori@{named[:SHORT]}.service", wait=False)
        say(f"starting {named[:SHORT]}")


def started(layout: Layout, app: str) -> set[str]:
    """The releases of the application of which systemd has something started, by their short IDs."""
    slices = (
        re.fullmatch(f"tori-{app}-([0-9a-f]{{{SHORT}}}).slice", name) for name in systemd.units(f"tori-{app}-*.slice")
    )
    # An application may be called as another one is, with a dash and twelve digits: that is its slice, not a release's.
    return {found[1] for found in slices if found and not os.path.isdir(layout.app(f"{app}-{found[1]}"))}


def await_active(layout: Layout, app: str, say: Say) -> None:
    """Waits until the active release, if there is one, is healthy.

    Raises:
        UnhealthyError: it is not, and does not become so.
        CapsuleError: its files cannot tell what it is.
    """
    named = active(layout, app)
    if named and _live(layout):
        release = find(layout, named)
        found = units.names(release, release.manifest())
        _start_all(found)
        health.wait(release, found.processes, say)


def _settle_first(layout: Layout, app: str, say: Say) -> None:
    if settle_interrupted(layout, app, say):
        try:
            await_active(layout, app, say)
        except (CapsuleError, OSError) as failed:
            say(f"{app} does not run as it is: {failed}")


def _change_to(layout: Layout, release: Release, action: str, means: Means) -> Change | None:
    old = active(layout, release.app)
    manifest = release.manifest()
    if old == release.id:
        _keep_up(layout, release, manifest, means)
        return None
    change = Change(
        action=action,
        app=release.app,
        new=release.id,
        old=old,
        old_previous=active(layout, release.app, "previous"),
        mode=BESIDE,
        state=journal.PREPARED,
        begun=int(time.time()),
    )
    return _activate(layout, release, manifest, change, means)


def _keep_up(layout: Layout, release: Release, manifest: Manifest, means: Means) -> None:
    """Starts what of the active release does not run, if anything."""
    named = units.names(release, manifest)
    if not _live(layout) or all(systemd.state(process.unit).up for process in named.processes):
        return
    _prepare(layout, release, manifest, means)
    _start_all(named)
    means.say(f"started {release.short}")
    health.wait(release, named.processes, means.say)


def _activate(layout: Layout, release: Release, manifest: Manifest, change: Change, means: Means) -> Change:
    with _kept(layout, change, means.say):
        _prepare(layout, release, manifest, means)
        change = journal.write(layout, change, journal.PREPARED)
    if not _live(layout):
        means.before_commit()
        change = journal.write(layout, change, journal.SWITCHED)
        _finish(layout, change, means.say, "done")
        means.say(f"{release.short} starts when that host boots")
        return change
    named = units.names(release, manifest)
    try:
        change = _start(layout, release, manifest, named, change, means)
        change = journal.write(layout, change, journal.SWITCHED)
        _switch(layout, change)
        means.say(f"switched to {release.short}")
        if means.watch:
            health.observe(release, named.processes, means.watch)
        means.before_commit()
        change = journal.write(layout, change, journal.OBSERVED)
    except BaseException as failed:  # whatever it was: the old release is known to work, and this one is not
        _return(layout, change, means, failed)
        raise
    _finish(layout, change, means.say, "done")
    return change


@contextlib.contextmanager
def _kept(layout: Layout, change: Change, say: Say) -> Iterator[None]:
    """Sees to it that the new release is not collected before the journal names it.

    What ran before is not collected anyway: the way back does not have to wait for an install that takes minutes.
    """
    if change.new in (change.old, change.old_previous):
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(layout.lock, "the store of releases", exclusive=False))
        except BusyError:
            say("waiting for an install or a collection to end")
            stack.enter_context(locked(layout.lock, "the store of releases", exclusive=False, wait=True))
        yield


def _prepare(layout: Layout, release: Release, manifest: Manifest, means: Means) -> None:
    _require_systemd(layout)
    means.check(layout, release)
    for place in (layout.units, layout.state):
        if not os.path.isdir(place):
            raise HostError([Problem("host-init", f"There is no {place}", "Call `capsdeploy host init` once.")])
    if not os.path.exists(os.path.join(layout.units, units.TEMPLATE)):
        message = f"There is no {units.TEMPLATE} on this host"
        raise HostError([Problem("host-init", message, "Call `capsdeploy host init` once.")])
    if os.path.islink(os.path.join(layout.units, f"tori@{release.short}.service")):
        message = f"An operator has masked tori@{release.short}.service"
        remedy = f"If it is to run, say `systemctl unmask tori@{release.short}.service`."
        raise HostError([Problem("unit-masked", message, remedy)])
    units.write(layout, release)
    accounts.ensure(layout, release.app)
    _check_interpreter(layout, release, manifest)
    if _live(layout):
        systemd.reload()
    _check_exposure(layout, release, means)
    means.say(f"prepared {release.short}")


def _require_systemd(layout: Layout) -> None:
    if _live(layout) and not systemd.running():
        message = "This host is not run by systemd"
        raise HostError([Problem("systemd-missing", message, "Use --root for the tree of another host.")])


def _check_exposure(layout: Layout, release: Release, means: Means) -> None:
    exposed = systemd.exposure(layout.root, f"tori@{release.short}.service")
    if exposed > means.most_exposed:
        message = f"{release.app} would be exposed by {exposed}; this host allows {means.most_exposed}"
        remedy = "Have its manifest allow less in `sandbox`, or allow more in the host's policy."
        raise PolicyError([Problem("exposed", message, remedy)])


def _check_interpreter(layout: Layout, release: Release, manifest: Manifest) -> None:
    """The one thing that a release may need of a host is Python, at its place of the contract."""
    link = os.path.join(release.path, "venv/bin/python")
    program = layout.resolved(link)
    if os.path.lexists(link) and not os.path.exists(program):
        message = f"There is no Python {manifest.python or ''} for {release.app}: {program}".replace("  ", " ")
        raise HostError([Problem("python-missing", message, "Install it, and call `capsdeploy host init`.")])


def _start(
    layout: Layout, release: Release, manifest: Manifest, named: units.Units, change: Change, means: Means
) -> Change:
    if change.old:
        change = replace(change, mode=_mode(layout, change.old, manifest))
    change = journal.write(layout, change, journal.STARTED)
    if change.mode == REPLACE and change.old:
        means.say(f"stopping {change.old[:SHORT]} first, for both listen on the same port")
        _stop(change.app, change.old[:SHORT])
    _start_all(named)
    means.say(f"started {release.short}")
    _check_limits(named, manifest)
    health.wait(release, named.processes, means.say)
    return journal.write(layout, change, journal.HEALTHY)


def _start_all(named: units.Units) -> None:
    sockets = [process.socket for process in named.processes if process.socket]
    try:
        systemd.start(*sockets, *(process.unit for process in named.processes))
    except HostError:
        for process in named.processes:
            state = systemd.state(process.unit)
            if not state.up:
                raise UnhealthyError(process.unit, str(state)) from None
        raise


def _mode(layout: Layout, old: str, manifest: Manifest) -> str:
    """Whether both releases can run at once; two of them cannot listen on one port of the host.

    What the manifests say of ports is not all: so what the old release does listen on counts.
    """
    try:
        before = find(layout, old).manifest()
    except (CapsuleError, OSError):
        return REPLACE
    if _ports(before) & _ports(manifest):
        return REPLACE
    group = systemd.state(f"tori-{manifest.name}-{old[:SHORT]}.slice").group
    return REPLACE if group and ports.listening(systemd.processes(group)) else BESIDE


def _ports(manifest: Manifest) -> set[int]:
    return {service.health.port for service in manifest.services if service.health and service.health.port}


def _check_limits(named: units.Units, manifest: Manifest) -> None:
    """Reads the limits back from the kernel: systemd accepts those silently for which there is no controller."""
    resources = manifest.resources
    if not (resources.cpu_quota or resources.memory_max or resources.tasks_max):
        return
    shown = systemd.show(named.slice, "ControlGroup", "MemoryMax")
    group = shown["ControlGroup"]
    held = systemd.limits(group)
    missing = []
    if resources.cpu_quota:
        wanted = float(resources.cpu_quota.rstrip("%")) / 100
        if held.cpu is None or abs(held.cpu - wanted) > 0.01 * wanted + 1e-4:
            missing.append(f"cpu_quota {resources.cpu_quota} (the kernel has {held.cpu})")
    if resources.memory_max and resources.memory_max != "infinity":
        page = os.sysconf("SC_PAGE_SIZE")
        bytes_wanted = int(shown["MemoryMax"]) if shown["MemoryMax"].isdigit() else 0
        if held.memory is None or abs(held.memory - bytes_wanted) > page:
            missing.append(f"memory_max {resources.memory_max} (the kernel has {held.memory})")
    if resources.tasks_max and held.tasks != resources.tasks_max:
        missing.append(f"tasks_max {resources.tasks_max} (the kernel has {held.tasks})")
    if missing:
        message = f"The kernel does not hold the limits of {named.slice}: {', '.join(missing)}"
        remedy = "Give this host the controllers (cpu, memory, pids) of cgroups."
        raise HostError([Problem("limits-missing", message, remedy)])


def _switch(layout: Layout, change: Change) -> None:
    """Has ``active`` and ``previous`` name what they do after the change."""
    if change.new is None:
        durable.remove(_link(layout, change.app, "active"))
    else:
        durable.write_link(_link(layout, change.app, "active"), f"../../releases/{change.new}")
    if change.old:
        durable.write_link(_link(layout, change.app, "previous"), f"../../releases/{change.old}")
    elif change.old_previous == change.new:  # what had been deactivated runs again: there is nothing to go back to
        durable.remove(_link(layout, change.app, "previous"))


def _return(layout: Layout, change: Change, means: Means, failed: BaseException) -> None:
    """Has the old release run again; what goes wrong with that is said beside what had failed."""
    with contextlib.suppress(OSError):  # a full disk keeps nobody from what can be done without it
        change = journal.write(layout, change, journal.RETURNING)
    try:
        _undo(layout, change, means.say, "returned")
        await_active(layout, change.app, means.say)
    except (CapsuleError, OSError) as worse:
        remedy = "Activate a release that works, or call `capsdeploy recover` when that is mended."
        told = Problem("return", f"What ran before does not run again: {worse}", remedy)
        if isinstance(failed, CapsuleError):
            failed.problems += (told,)
        else:
            raise HostError([told]) from failed


def _finish(layout: Layout, change: Change, say: Say, result: str) -> None:
    _switch(layout, change)
    settle(layout, change.app, say, change.old)
    journal.done(layout, change, result, int(time.time()))


def _undo(layout: Layout, change: Change, say: Say, result: str) -> None:
    for name, capsule_id in (("active", change.old), ("previous", change.old_previous)):
        if capsule_id is None:
            durable.remove(_link(layout, change.app, name))
        else:
            durable.write_link(_link(layout, change.app, name), f"../../releases/{capsule_id}")
    settle(layout, change.app, say, change.new)
    journal.done(layout, change, result, int(time.time()))


def _stop(app: str, short: str) -> None:
    present = systemd.units(f"tori@{short}.*", f"tori-*@{short}.*")
    systemd.stop(*present, f"tori-{app}-{short}.slice")


def _link(layout: Layout, app: str, name: str) -> str:
    return os.path.join(layout.app(app), name)


def _live(layout: Layout) -> bool:
    """Whether the tree is this host's own, and not that of another."""
    return layout.root == "/"
