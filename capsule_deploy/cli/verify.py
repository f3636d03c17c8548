"""``capsdeploy verify``: tells whether releases are what was installed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from capsule_builder.cli import report
from capsule_builder.errors import Problem
from capsule_deploy import exits
from capsule_deploy.cli import common
from capsule_deploy.layout import Layout
from capsule_deploy.locks import locked
from capsule_deploy.releases import Release, find, survey
from capsule_deploy.verify import Verdict, damage, marked_bad, verify_release

_EXAMPLES = """\
  capsdeploy verify c7eb04c6a27c
  capsdeploy verify --all --full
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    return common.run(argv, _parser(), _run)


def _run(arguments: argparse.Namespace) -> int:
    verdicts: list[Verdict] = []
    marks: dict[str, list[str]] = {}
    unknown: list[Problem] = []
    line = common.Line()
    with common.failures() as failure:
        layout = common.layout_of(arguments)
        releases, unknown = survey(layout) if arguments.all else ([find(layout, arguments.release)], [])
        for release in releases:
            with locked(layout.lock, "the releases of this host", exclusive=False, wait=True):
                verdicts.append(_verify(layout, release, arguments.full, line))
                marks[release.id] = marked_bad(layout, release)
    line.clear()
    if failure.status:
        return failure.tell(as_json=arguments.json)
    report.finish()
    report.errors(unknown)
    for verdict in verdicts:
        if verdict.problems:
            report.errors(damage(verdict).problems)
        elif marks[verdict.release.id]:
            what = f"Release {verdict.release.short} was found damaged before, and a quick look does not tell"
            report.error(Problem("release-damaged", what, "Look again with --full."))
    bad = bool(unknown) or any(verdict.problems or marks[verdict.release.id] for verdict in verdicts)
    status = exits.FORMAT if bad else exits.OK
    if arguments.json:
        errors = [{"code": one.code, "message": one.message, "remedy": one.remedy} for one in unknown]
        rows = [_row(one, marks) for one in verdicts]
        told = report.result(json.dumps({"status": status, "releases": rows, "errors": errors}))
    else:
        told = report.result(*(_line(one) for one in verdicts if not one.problems and not marks[one.release.id]))
    return status if told else status or exits.INTERNAL


def _verify(layout: Layout, release: Release, full: bool, line: common.Line) -> Verdict:
    done = 0

    def tell(files: int) -> None:
        nonlocal done
        done += files
        line(f"verifying {release.short}", done, release.receipt.files)

    return verify_release(layout, release, full=full, progress=tell)


def _line(verdict: Verdict) -> str:
    release = verdict.release
    looked = f"{verdict.files:,} files, {verdict.read:,} of them read"
    return f"✅ Release {release.short} is sound: {release.app} {release.receipt.version} ({looked})"


def _row(verdict: Verdict, marks: dict[str, list[str]]) -> dict[str, object]:
    release = verdict.release
    return {
        "id": release.id,
        "short_id": release.short,
        "app": release.app,
        "version": release.receipt.version,
        "sound": not verdict.problems and not marks[release.id],
        "problems": [{"code": problem.code, "message": problem.message} for problem in verdict.problems],
        "files": verdict.files,
        "read": verdict.read,
    }


def _parser() -> argparse.ArgumentParser:
    parser = common.parser(
        "verify",
        "Holds releases against their listings. One that is not what it was is marked, and is not activated any more.",
        _EXAMPLES,
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("release", metavar="ID", nargs="?", help="the release: eight digits of its ID or more")
    which.add_argument("--all", action="store_true", help="every release")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--quick", action="store_true", help="read only files that were touched since they were read last (default)"
    )
    how.add_argument("--full", action="store_true", help="read all files")
    return parser
