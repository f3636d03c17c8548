"""Runs commands in turns, and gives what they took."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "XDG_"))}


@dataclass(frozen=True)
class Sample:
    """One run: wall seconds, CPU seconds of all its processes, the largest one's peak memory and the output's bytes."""

    wall: float
    cpu: float | None = None
    memory: int | None = None
    size: int | None = None


@dataclass(frozen=True)
class Contender:
    """A way to do the job: a command for bash, in which ``{out}`` is where its output goes.

    ``prepare`` runs before each measured run and is not measured. ``output`` is what is looked at for a size instead of
    ``{out}``; a directory counts with all that is in it. ``rounds`` bounds how often a slow one takes part.
    """

    name: str
    command: str
    prepare: Callable[[], object] | None = None
    output: Path | None = None
    rounds: int = sys.maxsize


@dataclass(frozen=True)
class Row:
    """What came of a contender: medians over the runs, with the spread (slowest less fastest); memory is the most."""

    name: str
    wall: float
    spread: float
    cpu: float | None = None
    memory: int | None = None
    size: int | None = None
    walls: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, name: str, samples: Sequence[Sample]) -> Row:
        """The row of all runs of one contender."""
        walls = [sample.wall for sample in samples]
        cpus = [sample.cpu for sample in samples if sample.cpu is not None]
        return cls(
            name=name,
            wall=statistics.median(walls),
            spread=max(walls) - min(walls),
            cpu=statistics.median(cpus) if cpus else None,
            memory=max((sample.memory for sample in samples if sample.memory is not None), default=None),
            size=samples[-1].size,
            walls=[round(wall, 4) for wall in walls],
        )


def run(command: str) -> Sample:
    """Runs a command for bash once; ends the benchmark when it fails.

    Between this process and the command stands ``time``, a small one: a process begins with the greatest size of the
    one that made it.
    """
    with tempfile.NamedTemporaryFile("r") as memory, tempfile.TemporaryFile() as said:
        line = ["/usr/bin/time", "-o", memory.name, "-f", "%M", "bash", "-o", "pipefail", "-c", command]
        began = time.perf_counter()
        process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=ENVIRONMENT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"Failed: {command}\n{said.read().decode(errors='replace')[-4000:]}")
        return Sample(wall, usage.ru_utime + usage.ru_stime, int(memory.read().split()[-1]) * 1024)


def compare(contenders: Sequence[Contender], rounds: int, place: Path) -> list[Row]:
    """Lets all take turns, so that what else the machine does hits them alike; gives their rows in the same order.

    Outputs go to ``place``. What earlier runs wrote is on the disk before the next begins.
    """
    samples: dict[str, list[Sample]] = {contender.name: [] for contender in contenders}
    out = place / "out.bin"
    for number in range(rounds):
        for contender in contenders:
            if number >= contender.rounds:
                continue
            if contender.prepare:
                contender.prepare()
            out.unlink(missing_ok=True)
            os.sync()
            sample = run(contender.command.format(out=out))
            size = bytes_of(contender.output or out)
            samples[contender.name].append(Sample(sample.wall, sample.cpu, sample.memory, size))
            say(f"  {contender.name}: {sample.wall:.2f} s")
    out.unlink(missing_ok=True)
    return [Row.of(name, taken) for name, taken in samples.items()]


def bytes_of(path: Path) -> int | None:
    """The length of a file, or of all files below a directory; None when there is neither."""
    if path.is_dir():
        return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())
    return path.stat().st_size if path.exists() else None


def say(text: str) -> None:
    """Tells what goes on."""
    print(text, file=sys.stderr, flush=True)
