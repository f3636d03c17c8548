"""Trees of a thousand to a million tiny files: whether time and memory grow as the number does, and no faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import peers
from benchmarks.bench import Bench
from benchmarks.measure import Contender, Row
from benchmarks.ours import capsbuild
from benchmarks.plot import plot
from benchmarks.report import Result, Target

OURS = "capsbuild"


@dataclass(frozen=True)
class Line:
    """The line through points by least squares, and how well it explains them (R², at most 1)."""

    base: float
    slope: float
    fit: float

    @classmethod
    def through(cls, points: Sequence[tuple[float, float]]) -> Line:
        """Fits it."""
        across, up = sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)
        slope = sum((x - across) * (y - up) for x, y in points) / sum((x - across) ** 2 for x, _ in points)
        base = up - slope * across
        off = sum((y - base - slope * x) ** 2 for x, y in points)
        return cls(base, slope, 1 - off / sum((y - up) ** 2 for _, y in points))


def run(bench: Bench) -> Result:
    """Measures."""
    trees, usual = bench.inputs.multitude(), 3
    contenders = []
    for size, tree in sorted(trees.items(), reverse=True):  # the largest holds the others: it warms the page cache
        contenders.append(Contender(_name(OURS, size), capsbuild("--from-dir", tree)))
        line = peers.commands(tree)[peers.GZIP]
        contenders.append(Contender(_name(peers.GZIP, size), line))
    rows = {row.name: row for row in bench.compare(contenders, usual)}

    def series(name: str) -> list[tuple[int, Row]]:
        return [(size, rows[_name(name, size)]) for size in sorted(trees)]

    time = Line.through([(size, row.wall) for size, row in series(OURS)])
    memory = Line.through([(size, row.memory or 0) for size, row in series(OURS)])
    names = (OURS, peers.GZIP)
    walls = {name: [(float(size), row.wall) for size, row in series(name)] for name in names}
    memories = {name: [(float(size), (row.memory or 0) / 2**20) for size, row in series(name)] for name in names}
    text = (
        f"Lines by least squares: {time.base * 1000:.0f} ms and {time.slope * 1e6:.1f} µs a file (R² {time.fit:.4f});"
        f" {memory.base / 2**20:.1f} MiB and {memory.slope:.0f} bytes a file (R² {memory.fit:.4f}).\n"
    )
    return Result(
        title="Trees of tiny files; no cache but the warm page cache",
        rounds=bench.rounds(usual),
        rows=list(rows.values()),
        targets=[
            Target("time: how well a line explains it (R²)", time.fit, "", least=0.99),
            Target("memory: how well a line explains it (R²)", memory.fit, "", least=0.99),
            Target("memory beyond the base, a file", memory.slope, "bytes", most=400),
        ],
        text=text,
        plots={
            "scaling_time.svg": plot("Time by the number of files", "files", "seconds", walls),
            "scaling_memory.svg": plot("Peak memory of the largest process", "files", "MiB", memories),
        },
    )


def _name(name: str, size: int) -> str:
    return f"{name}: {size:,} files"
