"""``capsbuild requirements``: tells whether an environment, or a folder of wheels, is all that is required."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Sequence

from capsule_builder.cli import report
from capsule_builder.errors import Problem
from capsule_builder.python.finished import from_finished
from capsule_builder.python.gather import DEFAULT_PLATFORM, read_file
from capsule_builder.python.wheelhouse import from_wheels
from capsule_builder.requirements import Report, Target, read_requirements, verify
from capsule_builder.sources.plain import scan_plain

_EPILOG = """\
examples:
  capsbuild requirements --venv .venv requirements.txt
  capsbuild requirements --wheels wheelhouse --python 3.11 requirements.txt --format json

exit status: 0 all that is required is there; 1 something is not, or cannot be told; 2 wrong usage.
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    try:
        report.prepare()
        return _run(_arguments(argv))
    except report.Stopped as stopped:
        report.leave(stopped)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.wheels and not arguments.python:
        parser.error("--wheels needs --python X.Y: wheels do not say for which Python they are judged")
    return arguments


def _run(arguments: argparse.Namespace) -> int:
    found: Report | None = None
    with report.refusals("Cannot read the environment") as problems:
        found = _verify(arguments)
    if arguments.format == "json":
        told = report.result(json.dumps(found.document() if found else _failure(problems)), done=False)
    else:
        report.errors(problems)
        told = report.result(*found.text(), done=False) if found else True
    return 0 if found and found.ok and told else 1


def _verify(arguments: argparse.Namespace) -> Report:
    requirements = read_requirements(arguments.requirements, read_file)
    with contextlib.ExitStack() as stack:
        if arguments.wheels:
            target = Target(arguments.python, arguments.platform)
            distributions = from_wheels(arguments.wheels, None, target, stack).distributions
        else:
            tree = scan_plain(arguments.venv, "virtual environment")
            places = [os.path.abspath(arguments.venv), os.path.realpath(arguments.venv)]
            environment = from_finished(tree, arguments.python, places)
            target = Target(environment.layout.python, arguments.platform)
            distributions = environment.distributions
    return verify(distributions, requirements, target)


def _failure(problems: Sequence[Problem]) -> dict[str, object]:
    return {"errors": [{"code": problem.code, "message": str(problem)} for problem in problems]}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="capsbuild requirements",
        description="Tells whether an environment is all that a requirements file asks for, over the whole closure.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("requirements", metavar="FILE", help="a requirements file, as pip reads it")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--wheels", metavar="DIR", help="judge all the wheels in DIR")
    where.add_argument("--venv", metavar="DIR", help="judge the finished virtual environment in DIR")
    parser.add_argument(
        "--python", metavar="X.Y", help="the hosts' Python (default: the environment's; with --wheels it must be given)"
    )
    parser.add_argument(
        "--platform",
        metavar="TAG",
        default=DEFAULT_PLATFORM,
        help=f"the hosts' platform, as pip names it (default: {DEFAULT_PLATFORM})",
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="text (the default), or one JSON object"
    )
    return parser
