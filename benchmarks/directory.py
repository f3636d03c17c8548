"""From a directory, with no cache of ours: capsbuild beside what people use today, on the same tree in the same run.

``./dev bench`` runs it. Times are of this machine; the ratios are what is claimed. Writes ``results/directory.md`` and
``.json``.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TREE = REPOSITORY / ".dev" / "real_tree"
RESULTS = Path(__file__).parent / "results"
ROUNDS = 5

_TARFILE = (
    "import sys, tarfile; t = tarfile.open(sys.argv[2], 'w:gz', compresslevel=6); t.add(sys.argv[1], '.'); t.close()"
)


@dataclass(frozen=True)
class Row:
    """Medians over the rounds: seconds of wall time (with the spread, slowest less fastest) and of CPU, bytes."""

    name: str
    wall: float
    spread: float
    cpu: float
    peak_memory: int
    size: int


def contenders(manifest: Path) -> dict[str, str]:
    """Command lines, with ``{out}`` for the archive; the first is the one that the others are compared with."""
    tree, python = shlex.quote(str(TREE)), shlex.quote(sys.executable)
    build = (
        f"{python} -m capsule_builder.cli.capsbuild --quiet --from-dir {tree} --manifest {manifest} --output {{out}}"
    )
    return {
        "capsbuild": build,
        "capsbuild --jobs 1": f"{build} --jobs 1",
        "tar, gzip -6": f"tar cf - -C {tree} . | gzip -6 >{{out}}",
        "tar, pigz -6": f"tar cf - -C {tree} . | pigz -6 >{{out}}",
        "Python tarfile, gzip 6": f"{python} -c {shlex.quote(_TARFILE)} {tree} {{out}}",
    }


def measure(command: str, out: Path) -> tuple[float, float, int, int]:
    """Runs a shell command once: wall and CPU seconds, peak memory of its largest process, size of ``out``."""
    out.unlink(missing_ok=True)
    line = ["/usr/bin/time", "-f", "%e %U %S %M", "sh", "-c", command.format(out=out)]
    done = subprocess.run(line, check=True, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)
    wall, user, system, kilobytes = done.stderr.splitlines()[-1].split()
    return float(wall), float(user) + float(system), int(kilobytes) * 1024, out.stat().st_size


def run() -> list[Row]:
    """All contenders, taking turns, so that what else the machine does hits them alike."""
    with tempfile.TemporaryDirectory() as place:
        manifest = Path(place, "capsule.yml")
        manifest.write_text("name: bench\nversion: 1.0.0\nentrypoint: django/__main__.py\n")
        commands = contenders(manifest)
        samples: dict[str, list[tuple[float, float, int, int]]] = {name: [] for name in commands}
        measure(commands["capsbuild"], Path(place, "warm"))  # the page cache is warm for everybody
        for _ in range(ROUNDS):
            for name, command in commands.items():
                samples[name].append(measure(command, Path(place, "out")))
    rows = []
    for name, taken in samples.items():
        walls = [sample[0] for sample in taken]
        rows.append(
            Row(
                name,
                statistics.median(walls),
                max(walls) - min(walls),
                statistics.median(sample[1] for sample in taken),
                max(sample[2] for sample in taken),
                taken[0][3],
            )
        )
    return rows


def table(rows: list[Row], facts: dict[str, object]) -> str:
    """The result as Markdown."""
    first = rows[0]
    measured = f"{facts['date']}; {facts['cores']} cores, {facts['machine']}, Python {facts['python']}"
    tree = f"{facts['files']:,} files, {facts['bytes'] / 1e6:,.0f} MB"
    title = f"From a directory, no cache but the warm page cache: {tree}"
    lines = [
        f"{title}. Medians of {ROUNDS} rounds in one run, {measured}.",
        "",
        "| | wall | spread | × capsbuild | CPU | peak memory (largest process) | size | × capsbuild |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.name} | {row.wall:.2f} s | {row.spread:.2f} s | {row.wall / first.wall:.2f} | {row.cpu:.2f} s"
            f" | {row.peak_memory / 2**20:.0f} MiB | {row.size / 1e6:.1f} MB | {row.size / first.size:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures, prints the table and writes the results."""
    sizes = [path.stat().st_size for path in TREE.rglob("*") if path.is_file()]
    facts: dict[str, object] = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "files": len(sizes),
        "bytes": sum(sizes),
    }
    rows = run()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "directory.md").write_text(table(rows, facts))
    document = {**facts, "rounds": ROUNDS, "rows": [asdict(row) for row in rows]}
    (RESULTS / "directory.json").write_text(json.dumps(document, indent=2) + "\n")
    print(table(rows, facts))


if __name__ == "__main__":
    main()
