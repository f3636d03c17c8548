"""What ``activate`` and ``rollback`` have in common: how they say what they do, and how it went."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable

from capsule_builder.cli import report
from capsule_builder.cli.options import some
from capsule_deploy import exits
from capsule_deploy.activate import Means
from capsule_deploy.cli import common
from capsule_deploy.health import UnhealthyError
from capsule_deploy.journal import Change
from capsule_deploy.layout import SHORT, Layout
from capsule_deploy.policy import read_policy
from capsule_deploy.verify import require_sound

LINES = 50
"""How many of a failed service's last lines are shown."""


def add_options(parser: argparse.ArgumentParser, watch: float) -> None:
    """The options that both have."""
    parser.add_argument(
        "--watch",
        metavar="SECONDS",
        type=_seconds,
        default=watch,
        help=f"how long to look on once it is healthy, ready to return to what ran before (default: {watch:g})",
    )
    parser.add_argument("--quiet", action="store_true", help="print warnings and errors only")


def change(arguments: argparse.Namespace, work: Callable[[Layout, Means], tuple[str, Change | None]]) -> int:
    """Calls ``work``, which gives the application and what was done; tells how it went, and gives the exit status."""
    result: tuple[str, Change | None] | None = None
    lines: list[str] = []
    with common.failures() as failure:
        layout = common.layout_of(arguments)
        means = Means(
            say=(lambda _line: None) if arguments.quiet or arguments.json else step,
            check=require_sound,
            watch=arguments.watch,
            most_exposed=read_policy(layout).exposure,
            before_commit=report.finish,
        )
        try:
            result = work(layout, means)
        except UnhealthyError as failed:
            lines = failed.lines[-LINES:]
            report.notes([f"{failed.unit}: {line}" for line in lines])
            raise
    if result is None:
        return failure.tell(as_json=arguments.json)
    report.finish()
    app, done = result
    if arguments.json:
        told = report.result(json.dumps(_document(app, done)))
    else:
        told = arguments.quiet or report.result(*_lines(app, done))
    return exits.OK if told else exits.INTERNAL


def step(line: str) -> None:
    """Says one step, as it is made."""
    report.notes([line])


def name(text: str) -> str:
    """The name of an application, for argparse."""
    if not re.fullmatch("[a-z][a-z0-9_-]{0,25}", some(text)):
        raise argparse.ArgumentTypeError(f"not the name of an application: {text!a}")
    return text


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text):
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text!a}")
    return float(text)


def _lines(app: str, done: Change | None) -> list[str]:
    if done is None or done.new is None:
        return [f"✅ {app} runs this release already"]
    before = f"   Before: {done.old[:SHORT]}" if done.old else "   Before: none"
    return [f"✅ {app} runs {done.new[:SHORT]}", before, f"   Unit: tori@{done.new[:SHORT]}.service"]


def _document(app: str, done: Change | None) -> dict[str, object]:
    return {
        "app": app,
        "changed": done is not None,
        "action": done.action if done else None,
        "new": done.new if done else None,
        "old": done.old if done else None,
        "mode": done.mode if done else None,
    }
