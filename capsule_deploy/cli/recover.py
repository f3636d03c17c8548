"""``capsdeploy recover``: finishes or undoes what a crash interrupted, and starts what is active."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from capsule_builder.cli import report
from capsule_deploy import exits
from capsule_deploy.cli import activating, common
from capsule_deploy.recover import applications, recover
from capsule_deploy.systemd import HostError

_EXAMPLES = """\
  capsdeploy recover                (tori-recover.service calls it when the host boots)
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    parser = common.parser("recover", "Finishes or undoes what a crash interrupted; starts what is active.", _EXAMPLES)
    parser.add_argument("--no-wait", action="store_true", help="do not wait until what is to start has started")
    return common.run(argv, parser, _run)


def _run(arguments: argparse.Namespace) -> int:
    said: list[str] = []
    found: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if not arguments.json:
            activating.step(line)

    with common.failures() as failure:
        layout = common.layout_of(arguments)
        found = applications(layout)
        problems = recover(layout, say, wait=not arguments.no_wait)
        if problems:
            raise HostError(problems)
    if failure.status:
        return failure.tell(as_json=arguments.json)
    report.finish()
    line = f"✅ {len(found)} application{'' if len(found) == 1 else 's'}, each as its active release says"
    told = report.result(json.dumps({"applications": found, "steps": said}) if arguments.json else line)
    return exits.OK if told else exits.INTERNAL
