"""From wheels: what it costs to copy their streams, or to deflate them anew, by the size from which they are copied."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.measure import Row, Sample, say
from benchmarks.report import Result, seconds
from capsule_builder import layer
from capsule_builder.archive.effort import default_jobs
from capsule_builder.archive.members import COPY_SIZE
from capsule_builder.archive.zip import ZipReader
from capsule_builder.layer import LayerFiles, write_layer
from capsule_builder.patterns import Patterns
from capsule_builder.python.layout import Layout
from capsule_builder.python.package import plan
from capsule_builder.python.wheel import read_wheel

_NEVER = 1 << 62
_BORDERS = (0, 1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 16, _NEVER)


def run(bench: Bench) -> Result:
    """Measures."""
    wheels, files, plain, usual = sorted(bench.inputs.wheels().glob("*.whl")), 0, 0, 3
    for path in wheels:
        with ZipReader(str(path)) as reader:
            files += len(reader.members)
            plain += sum(member.size for member in reader.members)
    _pack(wheels, _NEVER)  # the page cache is warm for everybody
    samples: dict[int, list[Sample]] = {border: [] for border in _BORDERS}
    for _ in range(bench.rounds(usual)):
        for border in _BORDERS:
            samples[border].append(_pack(wheels, border))
            say(f"  {_name(border)}: {samples[border][-1].wall:.2f} s")
    rows = [Row.of(_name(border), taken) for border, taken in samples.items()]
    never = rows[-1]
    lines = [
        "| streams copied from | wall | CPU | ÷ CPU of deflating all | size | × size of deflating all |",
        "|---|---|---|---|---|---|",
    ]
    for border, row in zip(_BORDERS, rows, strict=True):
        name = f"**{row.name}**" if border == COPY_SIZE else row.name
        cpu, size = row.cpu or 0, row.size or 0
        lines.append(
            f"| {name} | {seconds(row.wall)} | {seconds(cpu)} | {(never.cpu or 0) / cpu:.2f}"
            f" | {size / 1e6:.2f} MB | {size / (never.size or 1):.4f} |"
        )
    return Result(
        title=f"Layers of {len(wheels)} wheels ({files:,} files, {plain / 1e6:,.0f} MB)",
        rounds=bench.rounds(usual),
        text="\n".join(lines) + "\n",
        facts={
            "borders": dict(zip([row.name for row in rows], _BORDERS, strict=True)),
            "measured": [asdict(row) for row in rows],
        },
    )


def _name(border: int) -> str:
    return "never" if border == _NEVER else f"{border:,} bytes"


def _pack(wheels: list[Path], border: int) -> Sample:
    """Packs every wheel as a layer, in this process."""
    setattr(layer, "COPY_SIZE", border)  # noqa: B010
    began, used, size = time.perf_counter(), time.process_time(), 0
    try:
        for path in wheels:
            layout = Layout("3.11")
            with (
                ZipReader(str(path)) as reader,
                tempfile.TemporaryFile() as fragment,
                tempfile.TemporaryFile() as contents,
                tempfile.TemporaryFile() as index,
            ):
                entries = plan(read_wheel(reader, path.name, layout).package, layout).entries(Patterns([]))
                write_layer(entries, LayerFiles(fragment, contents, index), jobs=default_jobs())
                size += fragment.tell()
    finally:
        setattr(layer, "COPY_SIZE", COPY_SIZE)  # noqa: B010
    return Sample(time.perf_counter() - began, time.process_time() - used, size=size)
