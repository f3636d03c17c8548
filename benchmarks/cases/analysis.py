"""In Bazel: whether the analysis of many capsules, which share one environment, takes time as their number grows.

Nothing is built. Each build has an option of its own, so that Bazel, which keeps running, analyses everything again.
"""

from __future__ import annotations

import itertools
import shutil

from benchmarks.bench import Bench
from benchmarks.cases.scaling import Line
from benchmarks.measure import Row, Sample, say
from benchmarks.plot import plot
from benchmarks.report import Result, Target
from benchmarks.workspace import workspace
from tests.bazel.harness import analysis_seconds
from tests.bazel.many import write_capsules, write_environment


def run(bench: Bench) -> Result:
    """Measures."""
    sizes, usual = ((5, 10, 20) if bench.quick else (250, 500, 1000)), 5
    server = workspace(bench.bazel)
    wheels = sorted(bench.inputs.small_wheels().glob("*.whl"))[:50]
    python = server.workspace / "python"
    python.mkdir()
    write_environment(python)
    for wheel in wheels:
        shutil.copy(wheel, python)
    for size in sizes:
        write_capsules(server.workspace / f"many_{size}", size, "//python")
    turns = itertools.count()
    taken: dict[int, list[Sample]] = {size: [] for size in sizes}
    for warm in (True, *[False] * bench.rounds(usual)):
        for size in sizes:
            seconds = analysis_seconds(server, f"//many_{size}:all", f"{size}_{next(turns)}")
            if not warm:
                taken[size].append(Sample(seconds))
            say(f"  {size} capsules: {seconds:.2f} s")
    rows = {size: Row.of(f"{size:,} capsules", samples) for size, samples in taken.items()}
    points = [(float(size), row.wall) for size, row in rows.items()]
    line = Line.through(points)
    return Result(
        title=f"`bazel build --nobuild` of capsules that share {len(wheels)} wheel layers",
        rounds=bench.rounds(usual),
        rows=list(rows.values()),
        targets=[Target("analysis: how well a line explains it (R²)", line.fit, "", least=0.98)],
        text=f"The line by least squares: {line.base * 1000:.0f} ms and {line.slope * 1000:.2f} ms a capsule.\n",
        plots={"analysis.svg": plot("Analysis by the number of capsules", "capsules", "seconds", {"analysis": points})},
    )
