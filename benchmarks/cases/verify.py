"""Checking a capsule made of wheels, beside inflating and hashing alone (``references.py``)."""

from __future__ import annotations

import itertools
import json
import shlex
import tarfile
from pathlib import Path

from benchmarks import peers
from benchmarks.bench import Bench, ratio
from benchmarks.measure import Contender
from benchmarks.measure import run as run_once
from benchmarks.ours import CAPSBUILD, REPOSITORY, capsbuild
from benchmarks.report import Result, Target

OURS, ALONE = "capsbuild verify", "inflating and SHA-256 alone, two threads"


def run(bench: Bench) -> Result:
    """Measures."""
    inputs, archive, usual = bench.inputs, bench.place / "capsule.tar.gz", 5
    wheels = ("--from-dir", inputs.application(), "--wheels", inputs.wheels(), "--requirements", inputs.lock())
    run_once(capsbuild(*wheels, output=shlex.quote(str(archive))))
    members = bench.place / "members.json"
    members.write_text(json.dumps(_members(archive)))
    reference, quoted = REPOSITORY / "benchmarks/references.py", shlex.quote(str(archive))
    unpacked = shlex.quote(str(bench.place / "unpacked"))
    by_hand = (
        f"mkdir {unpacked} && tar xzf {quoted} -C {unpacked} && cd {unpacked} && sha256sum --quiet -c .capsule_contents"
    )
    contenders = [
        Contender(OURS, shlex.join([CAPSBUILD, "verify", str(archive)])),
        Contender(ALONE, f"{peers.PYTHON} {shlex.join(map(str, [reference, 'inflate', archive, members]))}"),
        Contender("gzip -t (no hashes)", f"gzip -t {quoted}"),
        Contender("tar xzf, sha256sum -c", by_hand, prepare=lambda: run_once(f"rm -rf {unpacked}")),
    ]
    rows = bench.compare(contenders, usual)
    return Result(
        title="Checking the capsule of the case `environment`, made of wheels",
        rounds=bench.rounds(usual),
        rows=rows,
        targets=[Target("speed, of inflating and SHA-256 alone", ratio(rows, ALONE, "wall", OURS), least=0.8)],
    )


def _members(archive: Path) -> list[tuple[int, int, int]]:
    """Where each member of the layers lies: offset, size, inflated size; the head is left out, and small."""
    with tarfile.open(archive) as tar:
        while (found := tar.next()) and found.name != ".capsule_index":
            pass
        file = tar.extractfile(found) if found else None
        index = file.read().decode() if file else ""
    members = [tuple(map(int, line.split("\t")[1:3])) for line in index.splitlines() if line.startswith("# member\t")]
    tail = 28  # docs/format.md, section 4.4
    begin = archive.stat().st_size - tail - sum(size for size, _ in members)
    offsets = itertools.accumulate((size for size, _ in members), initial=begin)
    return [(offset, size, plain) for offset, (size, plain) in zip(offsets, members, strict=False)]
