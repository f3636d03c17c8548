"""From the start of the command to the first byte that it says."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.bench import Bench
from benchmarks.measure import ENVIRONMENT, Row, Sample, say
from benchmarks.ours import CAPSBUILD, has_cache
from benchmarks.report import Result, Target

EMPTY, HELP, BUILD = "an empty Python", "capsbuild --help", "capsbuild of 50 files"


def run(bench: Bench) -> Result:
    """Measures."""
    build = [CAPSBUILD, "--from-dir", str(bench.inputs.application()), "--output", str(bench.place / "out.tar.gz")]
    commands = {
        EMPTY: [sys.executable, "-c", "print()"],
        HELP: [CAPSBUILD, "--help"],
        BUILD: [*build, "--no-cache"] if has_cache() else build,
    }
    usual = 21
    samples: dict[str, list[Sample]] = {name: [] for name in commands}
    for number in range(bench.rounds(usual) + 1):
        for name, command in commands.items():
            took = _first_byte(command)
            if number:  # the page cache is warm for everybody
                samples[name].append(Sample(took))
    rows = [Row.of(name, taken) for name, taken in samples.items()]
    for row in rows:
        say(f"  {row.name}: {row.wall * 1000:.0f} ms")
    targets = [Target(f"`{row.name}`: to the first byte", row.wall * 1000, "ms", most=120) for row in rows[1:]]
    return Result("From the start to the first byte of output", bench.rounds(usual), rows, targets)


def _first_byte(command: list[str]) -> float:
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENVIRONMENT) as process:
        first = process.stdout.read(1) if process.stdout else b""
        took = time.perf_counter() - began
        rest = process.stdout.read() if process.stdout else b""
    if process.returncode or not first:
        raise SystemExit(f"Failed: {command}\n{(first + rest).decode(errors='replace')}")
    return took
