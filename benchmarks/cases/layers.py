"""A hundred wheel layers, cold, in Bazel: what each costs beyond the work itself.

The work is what one process takes to pack the same wheels one after the other. Bazel, too, runs one action at a time.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.measure import ENVIRONMENT, Row, Sample
from benchmarks.report import Result, Target
from benchmarks.workspace import Build, take_turns, workspace
from tests.bazel.harness import REPOSITORY, Bazel

_BUILD = """\
load("@rules_capsule//rules:defs.bzl", "capsule_python_layers")

capsule_python_layers(
    name = "python",
    python = "3.11",
    wheels = glob(["*.whl"]),
)
"""
_IN_PROCESS = """\
import sys, time
from capsule_builder.actions.main import main
main([sys.argv[1]])  # all is imported
began = time.perf_counter()
for parameters in sys.argv[1:]:
    if main([parameters]):
        sys.exit(1)
print(time.perf_counter() - began)
"""
NULL = "nothing to do"
WORK = "the work in one process"


def run(bench: Bench) -> Result:
    """Measures."""
    wheels, usual = sorted(bench.inputs.small_wheels().glob("*.whl")), 5
    server = workspace(bench.bazel)
    package = server.workspace / "layers"
    package.mkdir()
    (package / "BUILD").write_text(_BUILD)
    for wheel in wheels:
        shutil.copy(wheel, package)
    label = "//layers:python"
    server.build(label)
    builds = [Build(NULL, [label])]
    strategies = _strategies(server, label)
    for strategy in strategies:
        options = ["--jobs=1", f"--strategy=CapsuleWheelLayer={strategy}"]
        if strategy == "worker":
            options.append("--worker_quit_after_build")  # their start counts, each time
        rounds = usual if strategy == "worker" else 2
        builds.append(Build(strategy, [*options, label], _forget(server), rounds))
    rows = take_turns(builds, server, bench.rounds(usual))
    work = Row.of(WORK, [_in_process(wheels, bench.place) for _ in range(bench.rounds(usual))])
    walls = {row.name: row.wall for row in rows}
    overheads = {name: (walls[name] - walls[NULL] - work.wall) / len(wheels) * 1000 for name in strategies}
    text = "".join(f"- {name}: {overhead:.1f} ms a layer beyond the work\n" for name, overhead in overheads.items())
    if "worker" not in overheads:
        text += "\nThis toolchain has no persistent worker: each action starts the builder.\n"
    judged = strategies[-1]
    return Result(
        title=f"`bazel build --jobs=1` of {len(wheels)} wheel layers, by strategy",
        rounds=bench.rounds(usual),
        rows=[work, *rows],
        targets=[Target(f"{judged}: overhead of a layer beyond the work", overheads[judged], "ms", most=15)],
        text=text,
        facts={"overhead_ms": overheads},
    )


def _strategies(server: Bazel, label: str) -> list[str]:
    """Those that the toolchain has; the last one is what Bazel takes by itself."""
    said = server.run("aquery", f"mnemonic('CapsuleWheelLayer', {label})").stdout
    return ["local", "sandboxed", *(["worker"] if "supports-workers" in said else [])]


def _forget(server: Bazel) -> Callable[[], None]:
    """Takes away what was made of the wheels: Bazel has to make it again, and nothing else."""

    def forget() -> None:
        made = list((server.workspace / "bazel-bin/layers").rglob("package*"))
        for path in made:
            path.unlink()
        if not made:
            raise SystemExit("no layer of a wheel in bazel-bin/layers")

    return forget


def _in_process(wheels: list[Path], place: Path) -> Sample:
    parameters = []
    for number, wheel in enumerate(wheels):
        stem = f"{place}/{number}"
        lines = ["wheel", "--letter=é", "--level=6", "--python=3.11", "--platform=manylinux_2_28_x86_64"]
        for option, path in (("fragment", stem), ("contents", stem), ("index", stem), ("facts", stem)):
            lines += [f"--{option}", f"{path}.{option}"]
        lines += ["--wheel", str(wheel)]
        Path(f"{stem}.params").write_text("".join(f"{line}\n" for line in lines))
        parameters.append(f"@{stem}.params")
    command = [sys.executable, "-c", _IN_PROCESS, *parameters]
    said = subprocess.run(command, env=ENVIRONMENT, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True, text=True)
    return Sample(float(said.stdout))
