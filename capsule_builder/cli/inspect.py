"""``capsbuild inspect``: what is in a capsule, and what takes the room."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from capsule_builder.cli import report
from capsule_builder.cli.reading import SYSTEM, failures
from capsule_builder.inspection.content import read_capsule
from capsule_builder.inspection.document import of_content
from capsule_builder.inspection.owners import Owners
from capsule_builder.inspection.table import megabytes, table
from capsule_builder.paths import shown

_EPILOG = """\
examples:
  capsbuild inspect capsule-alan-c7eb04c6a27c.tar.gz
  capsbuild inspect capsule-alan-c7eb04c6a27c.tar.gz --top 30
  capsbuild inspect capsule-alan-c7eb04c6a27c.tar.gz --json

exit status: 0 it was read; 2 wrong usage; 3 something cannot be read; 4 not a capsule, or a damaged one.
"""
_DEFAULT_TOP = 10
_MAX_TOP = 1_000_000


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    try:
        report.prepare()
        arguments = _parser().parse_args(argv)
        with failures() as failure:
            content = read_capsule(arguments.file)
            document = of_content(content, Owners(content), arguments.top)
        if failure.status:
            return failure.tell(arguments.json)
        lines = [json.dumps(document)] if arguments.json else _lines(document, arguments.top)
        told = report.result(*lines, done=False)
        return 0 if told else SYSTEM
    except report.Stopped as stopped:
        report.leave(stopped)


def _lines(document: Mapping[str, Any], top: int) -> Iterator[str]:
    build, builder, layers = document["build"], document["builder"], document["layers"]
    when = f"{build['time']} on {shown(build['host'] or '')}" if build["time"] else "not stamped"
    yield f"{document['name']} {document['version']}: {shown(document['archive'])}"
    yield f"   BUILD_SHA: {document['id']}"
    yield f"   Entrypoint: {shown(document['entrypoint'])}"
    yield f"   Requirements: {document['requirements'] or 'none'}"
    yield f"   Build: {when}; {builder['name']} {builder['version']}, level {builder['compression_level']}"
    yield (
        f"   Size: {megabytes(document['size'])}; {document['files']:,} files, "
        f"{megabytes(document['total_size'])} unpacked"
    )
    yield from _sums("Layers", [(layer["name"], layer) for layer in layers])
    owners = [(f"{each['name']} {each['version']}", each) for each in document["distributions"]]
    owners += [(each["name"], each) for each in document["others"]]
    owners.sort(key=lambda owner: (-owner[1]["total_size"], owner[0]))
    yield from _sums("Distributions, and the rest", owners)
    yield from _sums("Largest files", [(each["path"], each) for each in document["largest_files"]], count=False)
    yield from _sums("Largest directories", [(f"{each['path']}/", each) for each in document["largest_directories"]])
    yield from _sums("In packages", [(each["what"], each) for each in document["in_packages"]])
    ignore = document["ignore"]
    if ignore:
        yield ""
        yield "Perhaps not needed; to leave it out of the application, add to its .capsuleignore:"
        for each in ignore[:top]:
            yield f"  {shown(each['line'])}"
            yield f"      {each['what']}: {_files(each['files'])}, {megabytes(each['total_size'])}"
        if len(ignore) > top:
            yield f"  … and {len(ignore) - top:,} more (--top)"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _sums(title: str, named: Sequence[tuple[str, Mapping[str, Any]]], count: bool = True) -> Iterator[str]:
    rows = [
        [
            name,
            *([f"{each['files']:,}"] if count else []),
            megabytes(each["total_size"]),
            megabytes(each["compressed_size"]),
        ]
        for name, each in named
    ]
    return table(title, [*(["files"] if count else []), "unpacked", "in archive"], rows)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > len(str(_MAX_TOP)) or not 1 <= int(text) <= _MAX_TOP:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MAX_TOP}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="capsbuild inspect",
        description="Tells what is in a capsule, and what takes the room. The capsule is read strictly, to its end.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="the archive")
    parser.add_argument(
        "--top",
        metavar="N",
        type=_number,
        default=_DEFAULT_TOP,
        help=f"how many of the largest to name (default: {_DEFAULT_TOP})",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return parser
