"""In Bazel: what one changed line of the application costs, with the environment as wheel layers.

Beside it the least rule, as many write it: a genrule that runs tar and gzip over the same files.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.inputs import MANIFEST
from benchmarks.report import Result, Target
from benchmarks.workspace import Build, take_turns, workspace

_OURS = """\
load("@rules_capsule//rules:defs.bzl", "capsule", "capsule_python_layers")

capsule_python_layers(
    name = "python",
    python = "3.11",
    requirements = "lock.txt",
    wheels = glob(["wheels/*.whl"]),
)

capsule(
    name = "capsule",
    srcs = glob(["app/**"]),
    layers = [":python"],
    manifest = "capsule.yml",
)
"""
_GENRULE = """\
genrule(
    name = "archive",
    srcs = glob(["app/**", "site-packages/**"]),
    outs = ["archive.tar.gz"],
    cmd = "tar -chf - -C genrule app site-packages | gzip -6 >$@",
)
"""
CAPSULE, GENRULE = "capsule", "genrule of tar, gzip -6"
NULL, EDIT = "nothing changed", "one line changed"


def run(bench: Bench) -> Result:
    """Measures; the genrule takes part twice."""
    usual = 9
    server = workspace(bench.bazel)
    root, inputs = server.workspace, bench.inputs
    ours, genrule = root / "ours", root / "genrule"
    for package in (ours, genrule):
        shutil.copytree(inputs.application() / "app", package / "app")
    (ours / "BUILD").write_text(_OURS)
    (ours / "capsule.yml").write_text(MANIFEST)
    shutil.copy(inputs.lock(), ours / "lock.txt")
    (ours / "wheels").mkdir()
    for wheel in inputs.wheels().glob("*.whl"):
        shutil.copy(wheel, ours / "wheels")
    (genrule / "BUILD").write_text(_GENRULE)
    subprocess.run(["cp", "-a", inputs.environment() / "site-packages", genrule], check=True)

    builds = []
    for name, package, label in ((CAPSULE, ours, "//ours:capsule"), (GENRULE, genrule, "//genrule:archive")):
        server.build(label)
        rounds = 2 if name == GENRULE else usual
        builds.append(Build(f"{name}, {NULL}", [label], rounds=rounds))
        builds.append(Build(f"{name}, {EDIT}", [label], _edit(package / "app/module_07.py"), rounds))
    rows = take_turns(builds, server, bench.rounds(usual))
    _edit(ours / "app/module_07.py")()
    actions = server.actions("//ours:capsule")
    walls = {row.name: row.wall for row in rows}
    more = walls[f"{CAPSULE}, {EDIT}"] - walls[f"{CAPSULE}, {NULL}"]
    return Result(
        title="`bazel build` of the environment as wheel layers, and of an application of 50 files",
        rounds=bench.rounds(usual),
        rows=rows,
        targets=[
            Target("one line changed: wall beyond a build of nothing", more, "s", most=0.5),
            Target("one line changed: actions that run", actions.total(), "", least=2, most=2),
        ],
        facts={"actions": dict(actions)},
    )


def _edit(file: Path) -> Callable[[], None]:
    def edit() -> None:
        with file.open("a") as opened:
            opened.write("# one line more\n")

    return edit
