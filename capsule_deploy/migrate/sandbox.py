"""The sandbox of a release, out of the walls that the old processes had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from capsule_builder.manifest.sandbox import ALLOWED, DENIED
from capsule_deploy.migrate.launch.launch import Launch
from capsule_deploy.migrate.model import Findings


@dataclass(frozen=True)
class Sandbox:
    """What the manifest's ``sandbox`` opens and closes, for all services of the release."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


def sandbox(launches: Sequence[Launch], findings: Findings) -> Sandbox:
    """Open is what any of the processes needs, closed what none of them had open; both are told."""
    for launch in launches:
        for word, subject, origin in launch.walls.opened:
            message = f"It needs what sandbox.allow has as {word}; whoever installs the capsule sees that."
            findings.changed("sandbox", subject, message, "Take it out if the application does without.", origin)
    allow = {word for launch in launches for word, _, _ in launch.walls.opened}
    closed = [{word for word, _, _ in launch.walls.closed} for launch in launches]
    deny = set.intersection(*closed)
    for launch in launches:
        for word, subject, origin in launch.walls.closed:
            if word in deny:
                findings.changed("sandbox", subject, f"It is sandbox.deny: [{word}] in the manifest.", "", origin)
            else:
                message = f"Not all of the processes lived without it, and sandbox.deny ({word}) is for all services."
                findings.left("sandbox", subject, message, "Make a capsule of its own of it.", origin)
    return Sandbox(tuple(word for word in ALLOWED if word in allow), tuple(word for word in DENIED if word in deny))
