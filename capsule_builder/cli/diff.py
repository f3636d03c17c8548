"""``capsbuild diff``: how two capsules differ, and why that changes the ID."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence

from capsule_builder.cli import report
from capsule_builder.cli.reading import SYSTEM, failures
from capsule_builder.inspection.content import Content, read_capsule_or_listing
from capsule_builder.inspection.difference import Difference, KeyChange, Reason, compare
from capsule_builder.inspection.document import of_difference
from capsule_builder.inspection.table import megabytes
from capsule_builder.paths import shown

_EPILOG = """\
examples:
  capsbuild diff capsule-alan-c7eb04c6a27c.tar.gz capsule-alan-5d2e9bd1c4ce.tar.gz
  capsbuild diff /opt/tori/releases/alan/.capsule_contents capsule-alan-5d2e9bd1c4ce.tar.gz
  capsbuild diff bazel-bin/app/capsule.contents capsule-alan-5d2e9bd1c4ce.tar.gz --json

exit status: 0 both have one ID; 1 they do not; 2 wrong usage; 3 something cannot be read; 4 not a capsule or a listing,
or a damaged one.
"""
_DIFFERENT = 1
_MAX_NAMED = 50


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    try:
        report.prepare()
        arguments = _parser().parse_args(argv)
        with failures() as failure:
            difference = compare(read_capsule_or_listing(arguments.old), read_capsule_or_listing(arguments.new))
            lines = [json.dumps(of_difference(difference))] if arguments.json else list(_lines(difference))
        if failure.status:
            return failure.tell(arguments.json)
        told = report.result(*lines, done=False)
        return (0 if difference.same else _DIFFERENT) if told else SYSTEM
    except report.Stopped as stopped:
        report.leave(stopped)


def _lines(difference: Difference) -> Iterator[str]:
    yield f"A: {_side(difference.old)}"
    yield f"B: {_side(difference.new)}"
    yield ""
    if difference.same:
        yield "Both have one ID: every file, link and mode is the same."
    else:
        yield "Why the ID changed:"
    for reason in difference.reasons:
        yield from _reason(reason)
    yield from _keys("Keys of the manifest", difference.manifest)
    yield from _keys("Does not count for the ID", difference.facts)


def _side(content: Content) -> str:
    facts = content.metadata
    name = f"{facts['name']} {facts['version']}, " if facts else ""
    size = f", {megabytes(content.size)}" if facts and content.size is not None else ""
    return f"{content.id}  {name}{shown(content.file)}{size}"


def _reason(reason: Reason) -> Iterator[str]:
    files = "1 entry" if len(reason.changes) == 1 else f"{len(reason.changes):,} entries"
    counts = [(reason.count(how), how) for how in ("added", "removed", "changed")]
    what = ", ".join(f"{count:,} {how}" for count, how in counts if count)
    growth = "" if reason.growth is None else f"; {'+' if reason.growth >= 0 else '-'}{megabytes(abs(reason.growth))}"
    yield f"  {shown(_title(reason))}: {files} ({what}{growth})"
    if reason.old and reason.new and reason.old.version == reason.new.version:
        for change in reason.changes[:_MAX_NAMED]:
            how = " and ".join(change.how)
            yield f"    {how if change.old is None or change.new is None else f'other {how}'}: {shown(change.path)}"
        if len(reason.changes) > _MAX_NAMED:
            yield f"    … and {len(reason.changes) - _MAX_NAMED:,} more (--json has them all)"


def _title(reason: Reason) -> str:
    old, new = reason.old, reason.new
    if old is None or new is None:
        return f"{reason.group.title} {'added' if old is None else 'removed'}"
    return old.title if old.version == new.version else f"{old.title} -> {new.version}"


def _keys(title: str, keys: Sequence[KeyChange]) -> Iterator[str]:
    if keys:
        yield ""
        yield f"{title}:"
    for key in keys:
        old, new = (
            "not stated" if value is None else shown(json.dumps(value, ensure_ascii=False))
            for value in (key.old, key.new)
        )
        yield f"  {shown(key.key)}: {old} -> {new}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="capsbuild diff",
        description="Tells how two capsules differ, and why their IDs do. Each is an archive, or a listing alone.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("old", metavar="A", help="the first: an archive, or a listing (.capsule_contents)")
    parser.add_argument("new", metavar="B", help="the second, likewise")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return parser
