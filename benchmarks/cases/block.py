"""One file of 4 GiB, cold, beside libdeflate alone (``references.py``)."""

from __future__ import annotations

import shlex

from benchmarks import peers
from benchmarks.bench import Bench, ratio
from benchmarks.measure import Contender, bytes_of
from benchmarks.ours import REPOSITORY, capsbuild
from benchmarks.report import Result, Target

OURS, ALONE = "capsbuild", "libdeflate alone, two threads"


def run(bench: Bench) -> Result:
    """Measures; the peers take minutes, and so take part once."""
    tree, usual = bench.inputs.block(), 3
    reference = shlex.quote(str(REPOSITORY / "benchmarks/references.py"))
    file = shlex.quote(str(tree / "app/data.bin"))
    contenders = [
        Contender(OURS, capsbuild("--from-dir", tree)),
        Contender(ALONE, f"{peers.PYTHON} {reference} deflate {file} {{out}}"),
        *peers.contenders(tree, (peers.PIGZ, peers.ZSTD), rounds=1),
    ]
    rows = bench.compare(contenders, usual)
    return Result(
        title=f"One file of {(bytes_of(tree / 'app/data.bin') or 0) / 2**30:.2f} GiB; no cache but the page cache",
        rounds=bench.rounds(usual),
        rows=rows,
        targets=[
            Target("wall, of libdeflate alone on two threads", ratio(rows, OURS, "wall", ALONE), most=1.3),
            Target("peak memory", (rows[0].memory or 0) / 2**20, "MiB", most=256),
        ],
    )
