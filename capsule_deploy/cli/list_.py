"""``capsdeploy list``: the releases on the host."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence

from capsule_builder.cli import report
from capsule_builder.errors import Problem
from capsule_deploy import exits
from capsule_deploy.cli import common
from capsule_deploy.layout import Layout
from capsule_deploy.pins import is_pinned
from capsule_deploy.releases import Release, active, survey
from capsule_deploy.verify import marked_bad

_EXAMPLES = """\
  capsdeploy list
  capsdeploy list alan --json
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    return common.run(argv, _parser(), _run)


def _run(arguments: argparse.Namespace) -> int:
    rows: list[dict[str, object]] = []
    unknown: list[Problem] = []
    with common.failures() as failure:
        layout = common.layout_of(arguments)
        releases, unknown = survey(layout)
        rows = [_row(layout, release) for release in releases if arguments.app in {None, release.app}]
    if failure.status:
        return failure.tell(as_json=arguments.json)
    report.finish()
    report.errors(unknown)
    if arguments.json:
        errors = [{"code": one.code, "message": one.message, "remedy": one.remedy} for one in unknown]
        told = report.result(json.dumps({"releases": rows, "errors": errors}), done=False)
    else:
        told = report.result(*(map(_line, rows) if rows else ["No releases."]), done=False)
    return exits.INTERNAL if not told else exits.FORMAT if unknown else exits.OK


def _row(layout: Layout, release: Release) -> dict[str, object]:
    receipt = release.receipt
    return {
        "id": release.id,
        "short_id": release.short,
        "app": release.app,
        "version": receipt.version,
        "installed": receipt.installed,
        "files": receipt.files,
        "total_size": receipt.total_size,
        "signed_by": receipt.signed_by,
        "active": active(layout, release.app) == release.id,
        "previous": active(layout, release.app, "previous") == release.id,
        "pinned": is_pinned(layout, release),
        "bad": bool(marked_bad(layout, release)),
    }


def _line(row: dict[str, object]) -> str:
    marks = [mark for mark in ("active", "previous", "pinned", "bad") if row[mark]]
    marks += [] if row["signed_by"] else ["unsigned"]
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(float(str(row["installed"]))))
    text = f"{row['short_id']}  {row['app']} {row['version']}  {when}Z"
    return f"{text}  {', '.join(marks)}" if marks else text


def _parser() -> argparse.ArgumentParser:
    parser = common.parser("list", "Lists the releases on the host, the oldest first.", _EXAMPLES)
    parser.add_argument("app", metavar="APP", nargs="?", help="those of one application")
    return parser
