"""``capsbuild sbom``: writes what is in a capsule, as CycloneDX has it."""

from __future__ import annotations

from collections.abc import Sequence

from capsule_builder.cli.statement import run
from capsule_builder.statements.kinds import SBOM_SUFFIX, sbom


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    return run(
        argv,
        "sbom",
        "Writes a CycloneDX 1.6 software bill of materials of a capsule, from what is in it.",
        SBOM_SUFFIX,
        sbom,
    )
