"""The command ``capsbuild anchors``: lists every byte that ties a tree to the host it was made on."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from capsule_builder.anchors.model import Anchor
from capsule_builder.anchors.search import Tree
from capsule_builder.cli import report
from capsule_builder.paths import shown

REPORT_FORMAT = 1
"""The version of the JSON report's shape; it changes when a reader would have to."""

_DESCRIPTION = """\
List every byte that ties a directory to the host, or to the place, that it was made at: interpreters in scripts,
absolute links and library paths, editable installs, places in texts and binaries. Nothing is changed or run.
"""

_EPILOG = """\
example:
  $ capsbuild anchors venv
  venv/bin/flask:2: shebang: /srv/app/venv/bin/python3.11
    Let capsbuild relocate the environment: it makes the script anew.
  1 anchor in 1,204 files

exit status:
  0  there is none
  1  there are some, or something cannot be read
  2  the command line is wrong
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit status."""
    try:
        report.prepare()
        return _run(_parser().parse_args(argv))
    except report.Stopped as stopped:
        report.leave(stopped)


def _run(options: argparse.Namespace) -> int:
    listed = True
    anchors: list[Anchor] = []
    count = 0
    with report.refusals("Cannot look through the tree") as problems:
        tree = Tree(options.directory)
        for anchor in tree.anchors():
            count += 1
            if options.format == "json":
                anchors.append(anchor)
            elif not (listed := report.result(*_lines(options.directory, anchor), done=False)):
                break
    if problems:
        report.errors(problems)
        return 1
    report.errors([*tree.problems])
    if options.format == "json":
        document = {"format": REPORT_FORMAT, "files": tree.files, "anchors": [asdict(anchor) for anchor in anchors]}
        listed = report.result(json.dumps(document, indent=2), done=False)
    elif listed:
        noun = "anchor" if count == 1 else "anchors"
        listed = report.result(f"{f'{count:,}' if count else 'no'} {noun} in {tree.files:,} files", done=False)
    return 1 if count or tree.problems or not listed else 0


def _lines(directory: str, anchor: Anchor) -> Iterator[str]:
    place = shown(f"{directory.rstrip('/')}/{anchor.path}")
    yield f"{place}:{anchor.offset}: {anchor.kind}: {anchor.excerpt}"
    yield f"  {anchor.remedy}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="capsbuild anchors",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("directory", metavar="DIR", help="any directory: an environment, an unpacked capsule")
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="text: two lines for each anchor (the default); json: one object for programs",
    )
    return parser
