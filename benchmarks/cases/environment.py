"""A Python environment, cold: from its locked wheels, and from a directory where it lies unpacked.

The peers get it unpacked; what it takes to unpack the wheels is not counted against them.
"""

from __future__ import annotations

from benchmarks import peers
from benchmarks.bench import Bench, ratio
from benchmarks.measure import Contender, bytes_of
from benchmarks.ours import capsbuild
from benchmarks.report import Result, Target

WHEELS, DIRECTORY = "capsbuild, from wheels", "capsbuild, from a directory"


def run(bench: Bench) -> Result:
    """Measures."""
    tree, inputs = bench.inputs.environment(), bench.inputs
    wheels = ("--from-dir", inputs.application(), "--wheels", inputs.wheels(), "--requirements", inputs.lock())
    ours = [
        Contender(WHEELS, capsbuild(*wheels)),
        Contender(DIRECTORY, capsbuild("--from-dir", tree)),
        Contender(f"{WHEELS}, --jobs 1", capsbuild(*wheels, "--jobs", "1")),
        Contender(f"{DIRECTORY}, --jobs 1", capsbuild("--from-dir", tree, "--jobs", "1")),
    ]
    usual = 5
    rows = bench.compare(ours + peers.contenders(tree), usual, warm=2)
    files = sum(1 for path in tree.rglob("*") if path.is_file())
    size = bytes_of(tree) or 0
    cheapest = min((peers.GZIP, peers.PIGZ), key=lambda name: ratio(rows, name, "cpu", WHEELS))
    return Result(
        title=f"A Python environment of {files:,} files, {size / 1e6:,.0f} MB; no cache but the warm page cache",
        rounds=bench.rounds(usual),
        rows=rows,
        targets=[
            Target("from wheels: wall of `tar, gzip -6`", ratio(rows, peers.GZIP, "wall", WHEELS), least=12),
            Target("from wheels: wall of `tar, pigz -6`", ratio(rows, peers.PIGZ, "wall", WHEELS), least=6),
            Target(f"from wheels: CPU of `{cheapest}`", ratio(rows, cheapest, "cpu", WHEELS), least=10),
            Target("from wheels: size, of that by pigz", ratio(rows, WHEELS, "size", peers.PIGZ), most=1.05),
            Target("from wheels: peak memory", (rows[0].memory or 0) / 2**20, "MiB", most=256),
            Target("from a directory: wall of `tar, gzip -6`", ratio(rows, peers.GZIP, "wall", DIRECTORY), least=5),
            Target("from a directory: size, of that by gzip", ratio(rows, DIRECTORY, "size", peers.GZIP), most=1.00),
        ],
        facts={"files": files, "bytes": size},
    )
