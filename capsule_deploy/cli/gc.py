"""``capsdeploy gc``: removes releases that nothing needs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from capsule_builder.cli import report
from capsule_deploy import exits
from capsule_deploy.cli import common
from capsule_deploy.gc import Collected, Judged, collect

_EXAMPLES = """\
  capsdeploy gc --dry-run
  capsdeploy gc --keep 2
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    return common.run(argv, _parser(), _run)


def _run(arguments: argparse.Namespace) -> int:
    collected: Collected | None = None
    with common.failures() as failure:
        collected = collect(
            common.layout_of(arguments),
            keep=arguments.keep,
            dry_run=arguments.dry_run,
            wait=arguments.wait,
        )
    if collected is None:
        return failure.tell(as_json=arguments.json)
    report.finish()
    text = [json.dumps(_document(collected, arguments))] if arguments.json else _lines(collected, arguments)
    return exits.OK if report.result(*text) else exits.INTERNAL


def _lines(collected: Collected, arguments: argparse.Namespace) -> list[str]:
    went = "would go" if arguments.dry_run else "removed"
    lines = [
        f"{one.release.short}  {one.release.app} {one.release.receipt.version}: "
        + (f"kept: {', '.join(one.reasons)}" if one.reasons else went)
        for one in collected.judged
    ]
    if not arguments.dry_run:
        lines.append(f"✅ {collected.objects:,} files freed, {collected.freed / 1e6:.2f} MB")
    return lines


def _document(collected: Collected, arguments: argparse.Namespace) -> dict[str, object]:
    def row(one: Judged) -> dict[str, object]:
        release = one.release
        return {
            "id": release.id,
            "short_id": release.short,
            "app": release.app,
            "version": release.receipt.version,
            "kept": bool(one.reasons),
            "reasons": list(one.reasons),
        }

    return {
        "dry_run": arguments.dry_run,
        "releases": [row(one) for one in collected.judged],
        "freed_files": collected.objects,
        "freed_bytes": collected.freed,
    }


def _parser() -> argparse.ArgumentParser:
    parser = common.parser(
        "gc",
        "Removes releases that nothing needs. Kept are those that are active or were before, are pinned, are being\n"
        "activated, have processes, are the newest of their application, or were installed a short time ago.",
        _EXAMPLES,
    )
    parser.add_argument("--keep", metavar="N", type=_count, help="how many releases of each application stay")
    parser.add_argument(
        "--dry-run", action="store_true", help="remove nothing; tell what would go, and why the rest stays"
    )
    parser.add_argument("--wait", action="store_true", help="when another command is at work, wait until it has ended")
    return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"not a number: {text!r}")
    return int(text)
