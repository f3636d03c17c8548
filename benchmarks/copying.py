"""From wheels: what it costs to copy their streams, or to deflate them anew, by the size from which they are copied.

``./dev bench`` runs it. Times are of this machine; the ratios are what is claimed. Writes ``results/copying.md`` and
``.json``.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

from capsule_builder import layer
from capsule_builder.archive.members import COPY_SIZE, default_jobs
from capsule_builder.archive.zip import ZipReader
from capsule_builder.layer import LayerFiles, write_layer
from capsule_builder.patterns import Patterns
from capsule_builder.python.layout import Layout
from capsule_builder.python.package import plan
from capsule_builder.python.wheel import read_wheel

REPOSITORY = Path(__file__).resolve().parents[1]
WHEELS = REPOSITORY / ".dev" / "bench_wheels"
RESULTS = Path(__file__).parent / "results"
ROUNDS = 3
NEVER = 1 << 62
BORDERS = (0, 1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16, 1 << 17, 1 << 20, NEVER)


def pack(border: int) -> tuple[float, float, int]:
    """Packs every wheel as a layer: wall and CPU seconds, and the bytes of all fragments."""
    setattr(layer, "COPY_SIZE", border)  # noqa: B010
    began, used = time.perf_counter(), os.times()
    size = 0
    for path in sorted(WHEELS.glob("*.whl")):
        with ZipReader(str(path)) as reader, tempfile.TemporaryFile() as fragment:
            layout = Layout("3.11")
            entries = plan(read_wheel(reader, path.name, layout).package, layout).entries(Patterns([]))
            with tempfile.TemporaryFile() as contents, tempfile.TemporaryFile() as index:
                write_layer(entries, LayerFiles(fragment, contents, index), jobs=default_jobs())
            size += fragment.tell()
    now = os.times()
    return time.perf_counter() - began, now.user + now.system - used.user - used.system, size


def main() -> None:
    """Measures, prints the table and writes the results."""
    files = plain = 0
    for path in WHEELS.glob("*.whl"):
        with ZipReader(str(path)) as reader:
            files += len(reader.members)
            plain += sum(member.size for member in reader.members)
    pack(NEVER)  # the page cache is warm for everybody
    samples = {border: [] for border in BORDERS}
    for _ in range(ROUNDS):
        for border in BORDERS:
            samples[border].append(pack(border))
    rows = [
        {
            "copied_from": None if border == NEVER else border,
            "wall": statistics.median(wall for wall, _, _ in taken),
            "cpu": statistics.median(cpu for _, cpu, _ in taken),
            "size": taken[0][2],
        }
        for border, taken in samples.items()
    ]
    never = rows[-1]
    wheels = f"{len(list(WHEELS.glob('*.whl')))} wheels ({files:,} files, {plain / 1e6:,.0f} MB)"
    machine = f"{default_jobs()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    lines = [
        f"Layers of {wheels}. Medians of {ROUNDS} rounds in one run, {datetime.date.today().isoformat()}; {machine}.",
        "",
        "| streams copied from | wall | CPU | ÷ CPU of deflating all | size | × size of deflating all |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        border = "never" if row["copied_from"] is None else f"{row['copied_from']:,} bytes"
        border = f"**{border}**" if row["copied_from"] == COPY_SIZE else border
        lines.append(
            f"| {border} | {row['wall']:.2f} s | {row['cpu']:.2f} s | {never['cpu'] / row['cpu']:.2f}"
            f" | {row['size'] / 1e6:.2f} MB | {row['size'] / never['size']:.4f} |"
        )
    text = "\n".join(lines) + "\n"
    (RESULTS / "copying.md").write_text(text)
    (RESULTS / "copying.json").write_text(json.dumps({"rounds": ROUNDS, "rows": rows}, indent=2) + "\n")
    print(text)


if __name__ == "__main__":
    main()
