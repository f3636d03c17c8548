"""``capsdeploy host init``: makes of a Linux host one that capsules run on."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from capsule_builder.cli import report
from capsule_builder.cli.options import some
from capsule_deploy import exits
from capsule_deploy.cli import activating, common
from capsule_deploy.host import init

_EXAMPLES = """\
  capsdeploy host init
  capsdeploy host init --root /mnt/image --command /usr/local/bin/capsdeploy
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    what = "Makes the directories and units that capsules need, and links the host's Pythons for them."
    parser = common.parser("host", what, _EXAMPLES)
    parser.add_argument("action", choices=["init"], help="make what is missing; the rest stays as it is")
    where = "where the host finds capsdeploy when it boots (default: as it was called)"
    parser.add_argument("--command", metavar="PATH", type=some, help=where)
    return common.run(argv, parser, _run)


def _run(arguments: argparse.Namespace) -> int:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if not arguments.json:
            activating.step(line)

    with common.failures() as failure:
        init(common.layout_of(arguments), arguments.command, say)
    if failure.status:
        return failure.tell(as_json=arguments.json)
    report.finish()
    line = "✅ The host is ready" if said else "✅ The host was ready"
    told = report.result(json.dumps({"made": said}) if arguments.json else line)
    return exits.OK if told else exits.INTERNAL
