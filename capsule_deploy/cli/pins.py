"""``capsdeploy pin`` and ``unpin``: releases that ``gc`` leaves alone."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from capsule_builder.cli import report
from capsule_deploy import exits, pins
from capsule_deploy.cli import common
from capsule_deploy.locks import locked
from capsule_deploy.releases import Release, find

_WHAT = {"pin": "Keeps a release, whatever gc does.", "unpin": "No longer keeps a release that was pinned."}


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``, whose first word says which of the two; gives the exit status."""
    command, *rest = argv
    parser = common.parser(command, _WHAT[command], f"  capsdeploy {command} c7eb04c6a27c\n")
    parser.add_argument("release", metavar="ID", help="the release: eight digits of its ID or more")
    parser.set_defaults(command=command)
    return common.run(rest, parser, _run)


def _run(arguments: argparse.Namespace) -> int:
    release: Release | None = None
    pinned = arguments.command == "pin"
    with common.failures() as failure:
        layout = common.layout_of(arguments)
        find(layout, arguments.release)
        with locked(layout.lock, "the releases of this host", exclusive=False, wait=True):  # gc is not at work
            release = find(layout, arguments.release)
            (pins.pin if pinned else pins.unpin)(layout, release)
    if release is None:
        return failure.tell(as_json=arguments.json)
    report.finish()
    text = f"✅ Release {release.short} is {'pinned' if pinned else 'not pinned'}"
    told = report.result(json.dumps({"id": release.id, "pinned": pinned}) if arguments.json else text)
    return exits.OK if told else exits.INTERNAL
