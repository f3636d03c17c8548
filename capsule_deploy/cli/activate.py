"""``capsdeploy activate``: has a release run, and comes back to what ran before when it fails."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from capsule_deploy.activate import WATCH, Means, activate
from capsule_deploy.cli import activating, common
from capsule_deploy.journal import Change
from capsule_deploy.layout import Layout
from capsule_deploy.releases import find

_EXAMPLES = """\
  capsdeploy activate c7eb04c6a27c
  capsdeploy activate c7eb04c6a27c --watch 60
  capsdeploy activate c7eb04c6a27c --root /mnt/image    it starts when that host boots
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    parser = common.parser("activate", "Has a release run, once its services are healthy.", _EXAMPLES)
    parser.add_argument("release", metavar="ID", help="the release: eight digits of its ID or more")
    activating.add_options(parser, WATCH)
    return common.run(argv, parser, _run)


def _run(arguments: argparse.Namespace) -> int:
    def work(layout: Layout, means: Means) -> tuple[str, Change | None]:
        release = find(layout, arguments.release)
        return release.app, activate(layout, release, means)

    return activating.change(arguments, work)
