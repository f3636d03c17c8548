"""``capsdeploy deactivate``: stops an application, and has no release of it start again."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from capsule_builder.cli import report
from capsule_deploy import exits
from capsule_deploy.activate import deactivate
from capsule_deploy.cli import activating, common
from capsule_deploy.journal import Change
from capsule_deploy.recover import the_application

_EXAMPLES = """\
  capsdeploy deactivate alan
  capsdeploy rollback alan          has what ran before the deactivation run again
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    parser = common.parser("deactivate", "Stops an application; its releases and its state stay.", _EXAMPLES)
    parser.add_argument(
        "app", metavar="APP", nargs="?", type=activating.name, help="the application, when there are several"
    )
    return common.run(argv, parser, _run)


def _run(arguments: argparse.Namespace) -> int:
    app, done = "", None
    with common.failures() as failure:
        layout = common.layout_of(arguments)
        app = the_application(layout, arguments.app)
        done = deactivate(
            layout, app, (lambda _line: None) if arguments.json else activating.step, before_commit=report.finish
        )
    if failure.status:
        return failure.tell(as_json=arguments.json)
    report.finish()
    told = report.result(json.dumps(_document(app, done)) if arguments.json else _line(app, done))
    return exits.OK if told else exits.INTERNAL


def _line(app: str, done: Change | None) -> str:
    return f"✅ {app} is stopped" if done else f"✅ {app} has no active release"


def _document(app: str, done: Change | None) -> dict[str, object]:
    return {"app": app, "changed": done is not None, "old": done.old if done else None}
