"""What an application runs, and how it is."""

from __future__ import annotations

from dataclasses import dataclass

from capsule_builder.errors import CapsuleError
from capsule_builder.manifest import Manifest
from capsule_deploy import journal, systemd, units
from capsule_deploy.activate import started
from capsule_deploy.journal import Change
from capsule_deploy.layout import SHORT, Layout
from capsule_deploy.releases import Release, active, find
from capsule_deploy.systemd import Limits, State


@dataclass(frozen=True)
class Status:
    """An application; ``services`` are units with what systemd knows of them, which is None where it is not asked.

    ``damage`` says why the active release's own files cannot tell; ``others`` are the short IDs of releases of it that
    run as well, though they are not active.
    """

    app: str
    release: Release | None
    manifest: Manifest | None
    previous: str | None
    interrupted: Change | None
    services: tuple[tuple[str, State | None], ...]
    limits: Limits | None
    damage: str | None = None
    others: tuple[str, ...] = ()

    @property
    def up(self) -> bool:
        """Whether all that is active runs."""
        return self.damage is None and all(state is None or state.up for _, state in self.services)


def status(layout: Layout, app: str) -> Status:
    """How an application is.

    Raises:
        CapsuleError: systemd does not answer.
    """
    named, previous = active(layout, app), active(layout, app, "previous")
    live = layout.root == "/" and systemd.running()
    others = tuple(sorted(started(layout, app) - {named[:SHORT] if named else ""})) if live else ()
    try:
        change = journal.read(layout, app)
    except CapsuleError as damaged:
        return Status(app, None, None, previous, None, (), None, str(damaged), others)
    if named is None:
        return Status(app, None, None, previous, change, (), None, None, others)
    try:
        release = find(layout, named)
        manifest = release.manifest()
    except (CapsuleError, OSError) as damaged:
        return Status(app, None, None, previous, change, (), None, f"{named}: {damaged}", others)
    found = units.names(release, manifest)
    services = tuple((one.unit, systemd.state(one.unit) if live else None) for one in found.processes)
    group = systemd.state(found.slice).group if live else ""
    held = systemd.limits(group) if group else None
    return Status(app, release, manifest, previous, change, services, held, None, others)
