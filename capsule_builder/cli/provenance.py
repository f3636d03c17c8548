"""``capsbuild provenance``: writes where a capsule comes from, as in-toto and SLSA have it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from capsule_builder.cli import report
from capsule_builder.cli.statement import add_arguments, write_statement
from capsule_builder.provenance import encode, statement

SUFFIX = ".provenance.json"
"""What the name of a capsule's provenance ends in, after that of the capsule."""

_EPILOG = """\
exit status: 0 it was written; 2 wrong usage; 3 something cannot be read or written; 4 not a capsule, or a damaged one.
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    try:
        report.prepare()
        arguments = _parser().parse_args(argv)
        return write_statement(arguments, "Provenance", SUFFIX, lambda capsule: encode(statement(capsule)))
    except report.Stopped as stopped:
        report.leave(stopped)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="capsbuild provenance",
        description="Writes an in-toto statement with SLSA provenance about a capsule, from what is in it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_arguments(parser, SUFFIX)
    return parser
