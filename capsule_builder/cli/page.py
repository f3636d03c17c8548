"""``capsbuild report``: a page of HTML on what is in a capsule, and on what changed."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from capsule_builder.cli import report
from capsule_builder.cli.reading import SYSTEM, failures
from capsule_builder.inspection.content import read_capsule, read_capsule_or_listing
from capsule_builder.inspection.difference import compare
from capsule_builder.inspection.page import page
from capsule_builder.output import NewFile, check_output
from capsule_builder.paths import shown

_EPILOG = """\
examples:
  capsbuild report capsule-alan-c7eb04c6a27c.tar.gz --html alan.html
  capsbuild report capsule-alan-c7eb04c6a27c.tar.gz capsule-alan-5d2e9bd1c4ce.tar.gz --html changes.html

exit status: 0 the page was written; 2 wrong usage; 3 something cannot be read or written; 4 not a capsule, or a damaged
one.
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    try:
        report.prepare()
        parser = _parser()
        arguments = parser.parse_args(argv)
        if any(_same(arguments.html, path) for path in (arguments.file, arguments.other) if path):
            parser.error("--html would replace what the page is to be on")
        with failures() as failure:
            check_output(arguments.html, None)
            text = _page(arguments.file, arguments.other)
            with NewFile(arguments.html) as new:
                new.file.write(text.encode())
                report.finish()
                new.commit()
        if failure.status:
            return failure.tell(as_json=False)
        return 0 if report.result(f"✅ Page written: {shown(arguments.html)}") else SYSTEM
    except report.Stopped as stopped:
        report.leave(stopped)


def _page(file: str, other: str | None) -> str:
    if other is None:
        return page(read_capsule(file), None)
    old, new = read_capsule_or_listing(file), read_capsule(other)
    return page(new, compare(old, new))


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="capsbuild report",
        description="Writes a page of HTML on what is in a capsule. It stands alone: it asks the network for nothing.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="the archive")
    parser.add_argument(
        "other",
        metavar="OTHER",
        nargs="?",
        help="a later archive: the page is on this one then, and on what changed since FILE, which may be a listing",
    )
    parser.add_argument("--html", metavar="OUT", required=True, help="where to write the page")
    return parser
