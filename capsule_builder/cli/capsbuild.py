"""``capsbuild``: builds a capsule from a directory."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence

from capsule_builder import __version__
from capsule_builder.archive.members import DEFAULT_LEVEL, MAX_JOBS, MAX_LEVEL, MIN_LEVEL, default_jobs
from capsule_builder.build import Built, build_from_directory
from capsule_builder.cli import report
from capsule_builder.cli.progress import bar
from capsule_builder.errors import Problem
from capsule_builder.metadata import UNSTAMPED, short_id
from capsule_builder.paths import shown
from capsule_builder.stamp import from_environment

_EPILOG = """\
examples:
  capsbuild --from-dir app --manifest app/capsule.yml
  capsbuild --from-dir app --manifest deploy/prod.yml --output dist/app.tar.gz --json

exit status: 0 the capsule was built; 1 it was refused, and nothing was written; 2 wrong usage.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``capsbuild`` with ``argv`` (default: the process's); gives the exit status."""
    try:
        report.prepare()
        return _run(_parser().parse_args(argv))
    except report.Stopped as stopped:
        report.leave(stopped)


def _run(arguments: argparse.Namespace) -> int:
    built: Built | None = None
    with report.refusals("Cannot write the capsule") as problems:
        built = build_from_directory(
            arguments.from_dir,
            arguments.manifest or os.path.join(arguments.from_dir, "capsule.yml"),
            output=arguments.output,
            level=arguments.compression_level,
            jobs=arguments.jobs,
            build=from_environment(os.environ) if arguments.stamp else UNSTAMPED,
            hash_archive=arguments.json,
            progress=None if arguments.quiet else bar,
            before_commit=report.finish,
        )
    report.finish()
    for warning in built.warnings if built else ():
        report.warning(warning)
    report.errors(problems)
    told = True
    if arguments.json:
        told = report.result(json.dumps(_document(built) if built else _failure(problems)))
    elif built and not arguments.quiet:
        told = report.result(
            f"✅ Capsule built successfully: {shown(built.archive)}",
            f"   BUILD_SHA: {built.id}",
            f"   Size: {built.size / 1e6:.2f} MB",
        )
    return 0 if built and told else 1


def _document(built: Built) -> dict[str, object]:
    return {
        "id": built.id,
        "short_id": short_id(built.id),
        "name": built.name,
        "version": built.version,
        "archive": built.archive,
        "archive_sha256": built.archive_sha256,
        "size": built.size,
        "files": built.files,
        "warnings": [str(warning) for warning in built.warnings],
    }


def _failure(problems: Sequence[Problem]) -> dict[str, object]:
    return {"errors": [{"code": problem.code, "message": str(problem)} for problem in problems]}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="capsbuild",
        description="Builds a capsule: one application as one reproducible tar.gz, named by its content.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"capsbuild {__version__}")
    parser.add_argument(
        "--from-dir", metavar="DIR", required=True, help="the application; .capsuleignore files in it leave things out"
    )
    parser.add_argument(
        "--manifest",
        metavar="FILE",
        type=_some,
        help="its manifest, included as capsule.yml (default: DIR/capsule.yml)",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=_some,
        help="where to write it (default: capsule-<name>-<first 12 digits of the ID>.tar.gz here)",
    )
    parser.add_argument(
        "--stamp",
        action="store_true",
        help="record the build's time (or SOURCE_DATE_EPOCH) and host in the metadata; the ID stays the same",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=_number(1, MAX_JOBS),
        default=default_jobs(),
        help="threads that compress (default: one a core); the bytes are the same for any number",
    )
    parser.add_argument(
        "--compression-level",
        metavar="N",
        type=_number(MIN_LEVEL, MAX_LEVEL),
        default=DEFAULT_LEVEL,
        help=f"{MIN_LEVEL} (fast) to {MAX_LEVEL} (small), default {DEFAULT_LEVEL}; the ID stays the same",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="print warnings and errors only")
    return parser


def _some(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return int(text)

    return parse


if __name__ == "__main__":
    raise SystemExit(main())
