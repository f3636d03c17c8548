"""``capsdeploy doctor``: what is missing or wrong on the host, each with how to mend it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from capsule_builder.cli import report
from capsule_builder.errors import Problem
from capsule_deploy import exits
from capsule_deploy.cli import common
from capsule_deploy.host import doctor

_EXAMPLES = """\
  capsdeploy doctor
  capsdeploy doctor --json
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    parser = common.parser("doctor", "Tells what is missing or wrong on this host. It changes nothing.", _EXAMPLES)
    return common.run(argv, parser, _run)


def _run(arguments: argparse.Namespace) -> int:
    found: list[Problem] = []
    with common.failures() as failure:
        found = doctor(common.layout_of(arguments))
    if failure.status:
        return failure.tell(as_json=arguments.json)
    report.finish()
    if arguments.json:
        problems = [{"code": one.code, "message": one.message, "remedy": one.remedy} for one in found]
        told = report.result(json.dumps({"problems": problems}))
    else:
        report.errors(found)
        told = bool(found) or report.result("✅ Nothing is wrong")
    return exits.INTERNAL if not told else exits.HOST if found else exits.OK
