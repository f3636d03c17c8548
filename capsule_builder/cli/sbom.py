"""``capsbuild sbom``: writes what is in a capsule, as CycloneDX has it, and holds it against a lock if wanted."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence

from capsule_builder.cli import report
from capsule_builder.cli.statement import RefusedError, UnusableError, add_arguments, write_statement
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.locked import lock_problems
from capsule_builder.packed import Packed
from capsule_builder.python.gather import DEFAULT_PLATFORM, read_file
from capsule_builder.requirements import Requirements, Target, read_requirements

SUFFIX = ".cdx.json"
"""What the name of a capsule's SBOM ends in, after that of the capsule: the extension of CycloneDX."""

_NO_PYTHON = "3.11"  # what markers in a lock are judged by when there is no environment to say
_EPILOG = """\
exit status: 0 it was written; 1 the capsule is not what the lock names; 2 wrong usage; 3 something cannot be read or
written; 4 not a capsule, or a damaged one.
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    try:
        report.prepare()
        arguments = _parser().parse_args(argv)
        return write_statement(arguments, "SBOM", SUFFIX, lambda capsule: _sbom(capsule, arguments))
    except report.Stopped as stopped:
        report.leave(stopped)


def _sbom(capsule: Packed, arguments: argparse.Namespace) -> bytes:
    if importlib.util.find_spec("cyclonedx") is None:
        message, remedy = "SBOMs need cyclonedx-python-lib", "Run: pip install 'capsule-builder[sbom]'"
        raise UnusableError([Problem("sbom-library", message, remedy)])
    from capsule_builder.sbom import write_sbom

    try:
        target = Target(capsule.python or _NO_PYTHON, arguments.platform)
        lock = read_requirements(arguments.lock, read_file) if arguments.lock else None
    except CapsuleError as refused:
        raise UnusableError(refused.problems) from None
    _require(capsule, lock, target)
    return write_sbom(capsule, target if capsule.python else None)


def _require(capsule: Packed, lock: Requirements | None, target: Target) -> None:
    if lock and (problems := lock_problems(capsule, lock, target)):
        raise RefusedError(problems)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="capsbuild sbom",
        description="Writes a CycloneDX 1.6 software bill of materials of a capsule, from what is in it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_arguments(parser, SUFFIX)
    parser.add_argument(
        "--lock",
        metavar="FILE",
        help="refuse it unless it holds the distributions of this requirements file and no others",
    )
    parser.add_argument(
        "--platform",
        metavar="TAG",
        default=DEFAULT_PLATFORM,
        help=f"the hosts' platform, which decides what depends on what (default: {DEFAULT_PLATFORM})",
    )
    return parser
