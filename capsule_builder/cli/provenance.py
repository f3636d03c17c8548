"""``capsbuild provenance``: writes where a capsule comes from, as in-toto and SLSA have it."""

from __future__ import annotations

from collections.abc import Sequence

from capsule_builder.cli.statement import run
from capsule_builder.statements.kinds import PROVENANCE


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    return run(
        argv,
        "provenance",
        "Writes an in-toto statement with SLSA provenance about a capsule, from what is in it.",
        PROVENANCE.suffix,
        lambda _platform: PROVENANCE,
    )
