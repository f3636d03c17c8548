"""``capsbuild cache``: what is remembered of earlier builds, and how to forget it."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

from capsule_builder.cache.place import Unusable, default_directory
from capsule_builder.cache.prune import DEFAULT_SIZE, Held, Pruned, held, prune
from capsule_builder.cli import report
from capsule_builder.cli.options import some
from capsule_builder.errors import CapsuleError, refusal
from capsule_builder.paths import shown

_EPILOG = """\
examples:
  capsbuild cache info
  capsbuild cache prune --max-size 2G --older-than 30
  capsbuild cache prune --verify

exit status: 0 it was done; 1 it was not; 2 wrong usage.
"""
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_DAY = 86_400


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    try:
        report.prepare()
        return _run(_parser().parse_args(argv))
    except report.Stopped as stopped:
        report.leave(stopped)


def _run(arguments: argparse.Namespace) -> int:
    lines: list[str] = []
    with report.refusals("Cannot use the cache") as problems:
        try:
            directory = arguments.cache_dir or default_directory(os.environ)
            if directory is None:
                raise refusal("cache-nowhere", "There is no cache: HOME is not set", "Name one with --cache-dir.")
            if arguments.command == "info":
                found = held(directory)
                document = {"directory": directory, "max_size": DEFAULT_SIZE, **found._asdict()}
                lines = list(_told(directory, found))
            else:
                age = None if arguments.older_than is None else arguments.older_than * _DAY
                pruned = prune(directory, size=arguments.max_size, age=age, verify=arguments.verify)
                told = {**pruned._asdict(), "left": pruned.left._asdict()} if pruned else {}
                document = {"directory": directory, **told}
                lines = list(_pruned(directory, pruned)) if pruned else []
        except Unusable as unusable:
            raise CapsuleError([unusable.problem]) from unusable
    report.errors(problems)
    if problems:
        if arguments.json:
            errors = [{"code": problem.code, "message": str(problem)} for problem in problems]
            report.result(json.dumps({"errors": errors}), done=False)
        return 1
    return 0 if report.result(*([json.dumps(document)] if arguments.json else lines)) else 1


def _told(directory: str, found: Held) -> Iterator[str]:
    yield f"{shown(directory)}: {_size(found.size)} of {_size(DEFAULT_SIZE)}"
    yield f"   Builds: {found.records:,}, parts of archives: {found.blobs:,}"
    if found.oldest is not None:
        day = datetime.fromtimestamp(found.oldest, timezone.utc).strftime("%Y-%m-%d")
        yield f"   Longest without use: since {day}"


def _pruned(directory: str, pruned: Pruned) -> Iterator[str]:
    damaged = f", {pruned.damaged:,} of them damaged" if pruned.damaged else ""
    yield f"{shown(directory)}: removed {pruned.files:,} files{damaged}, {_size(pruned.size)}"
    yield f"   Left: {_size(pruned.left.size)}"


def _size(size: int) -> str:
    return f"{size / 1e6:,.2f} MB"


def _bytes(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,15})([KMGT]?)(iB|B)?", text, re.IGNORECASE | re.ASCII)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 500M or 2G")
    return int(found[1]) * _UNITS[found[2].upper()]


def _days(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days")
    return float(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="capsbuild cache",
        description="Tells what capsbuild remembers of earlier builds, or forgets some of it. It may all be deleted.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    info = commands.add_parser("info", help="tell where the cache lies and what it holds", allow_abbrev=False)
    forget = commands.add_parser("prune", help="remove what was not of use for the longest time", allow_abbrev=False)
    for command in (info, forget):
        command.add_argument("--cache-dir", metavar="DIR", type=some, help="the cache (default: that of capsbuild)")
        command.add_argument("--json", action="store_true", help="print the result as one JSON object")
    forget.add_argument(
        "--max-size", metavar="SIZE", type=_bytes, default=DEFAULT_SIZE, help="how much to leave (default: 10G)"
    )
    forget.add_argument("--older-than", metavar="DAYS", type=_days, help="remove what was not of use for so long")
    forget.add_argument("--verify", action="store_true", help="read everything, and remove what is damaged")
    return parser
