"""``capsdeploy logs``: what the services of a release wrote to the journal."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from capsule_builder.errors import Problem
from capsule_builder.paths import shown
from capsule_deploy.cli import common
from capsule_deploy.releases import MissingError, active, find
from capsule_deploy.systemd import HostError

_EXAMPLES = """\
  capsdeploy logs c7eb04c6a27c
  capsdeploy logs alan --follow     of the application's active release
  capsdeploy logs alan --lines 20
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status, unless journalctl takes its place."""
    what = "Shows what a release wrote, by the journal of systemd; with --json one object a line, as journalctl does."
    parser = common.parser("logs", what, _EXAMPLES)
    parser.add_argument("release", metavar="ID|APP", help="the release, or the application whose active one is meant")
    parser.add_argument("--follow", "-f", action="store_true", help="go on as more is written")
    parser.add_argument("--lines", "-n", metavar="N", type=_number, help="the last N lines only")
    return common.run(argv, parser, _run)


def _run(arguments: argparse.Namespace) -> int:
    with common.failures() as failure:
        layout = common.layout_of(arguments)
        named = active(layout, arguments.release) if _is_app(layout.apps, arguments.release) else None
        if named is None and _is_app(layout.apps, arguments.release):
            remedy = "Name a release of it, as `capsdeploy list` prints them."
            message = f"No release is active: {shown(arguments.release)}"
            raise MissingError([Problem("active-missing", message, remedy)])
        release = find(layout, named or arguments.release)
        # A field that the units have in each of their lines, whichever service wrote it.
        command = ["journalctl", f"CAPSULE_ID={release.id}", *([] if layout.root == "/" else [f"--root={layout.root}"])]
        command += ["--follow"] if arguments.follow else ["--no-pager"]
        command += [f"--lines={arguments.lines}"] if arguments.lines is not None else []
        command += ["--output=json"] if arguments.json else []
        try:
            os.execvp(command[0], command)  # noqa: S606 (there is no shell)
        except FileNotFoundError:
            message = "There is no journalctl on this host"
            raise HostError(
                [Problem("systemd-missing", message, "Look into its journal where there is one.")]
            ) from None
    return failure.tell(as_json=arguments.json)


def _is_app(apps: str, name: str) -> bool:
    return "/" not in name and name not in ("", ".", "..") and os.path.isdir(os.path.join(apps, name))


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"not a number of lines: {text!a}")
    return int(text)
