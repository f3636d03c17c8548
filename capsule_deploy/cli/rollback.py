"""``capsdeploy rollback``: has the release run again that ran before."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from capsule_deploy.activate import Means, rollback
from capsule_deploy.cli import activating, common
from capsule_deploy.journal import Change
from capsule_deploy.layout import Layout
from capsule_deploy.recover import the_application

_EXAMPLES = """\
  capsdeploy rollback
  capsdeploy rollback alan
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    parser = common.parser("rollback", "Has the release run that was active before this one.", _EXAMPLES)
    parser.add_argument(
        "app", metavar="APP", nargs="?", type=activating.name, help="the application, when there are several"
    )
    activating.add_options(parser, 0)  # what ran is to be left in any case
    return common.run(argv, parser, _run)


def _run(arguments: argparse.Namespace) -> int:
    def work(layout: Layout, means: Means) -> tuple[str, Change | None]:
        app = the_application(layout, arguments.app)
        return app, rollback(layout, app, means)

    return activating.change(arguments, work)
