"""A source tree of 100,000 small files, cold."""

from __future__ import annotations

from benchmarks import peers
from benchmarks.bench import Bench, ratio
from benchmarks.measure import Contender, bytes_of
from benchmarks.ours import capsbuild
from benchmarks.report import Result, Target

OURS = "capsbuild"


def run(bench: Bench) -> Result:
    """Measures."""
    tree, usual = bench.inputs.sources(), 5
    rows = bench.compare([Contender(OURS, capsbuild("--from-dir", tree)), *peers.contenders(tree)], usual)
    files, size = sum(1 for path in tree.rglob("*") if path.is_file()), bytes_of(tree) or 0
    return Result(
        title=f"A source tree of {files:,} files, {size / 1e6:,.0f} MB; no cache but the warm page cache",
        rounds=bench.rounds(usual),
        rows=rows,
        targets=[Target("wall of `tar, gzip -6`", ratio(rows, peers.GZIP, "wall", OURS), least=3)],
        facts={"files": files, "bytes": size},
    )
