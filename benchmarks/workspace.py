"""A Bazel workspace that uses this checkout as ``@rules_capsule``, and a server for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Row, Sample, say
from tests.bazel.conftest import RELEASE
from tests.bazel.harness import REPOSITORY, Bazel

_WORKSPACE = """\
workspace(name = "bench")

local_repository(
    name = "rules_capsule",
    path = "{rules}",
)

load("@rules_capsule//rules:repositories.bzl", "rules_capsule_dependencies", "rules_capsule_toolchains")

rules_capsule_dependencies()

rules_capsule_toolchains()
"""


def workspace(place: Path) -> Bazel:
    """A workspace in ``place``, fresh; what Bazel fetches for it stays there for the next one.

    So does the server, for a minute.
    """
    rules, root = place / "rules_capsule", place / "workspace"
    for directory in (rules, root):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
    for name in RELEASE:
        subprocess.run(["cp", "-a", REPOSITORY / name, rules], check=True)
    (root / "WORKSPACE").write_text(_WORKSPACE.format(rules=rules))
    return Bazel(root, place / "output")


@dataclass(frozen=True)
class Build:
    """A ``bazel build`` with these arguments. ``prepare`` is not measured; ``rounds`` bounds those of a slow one."""

    name: str
    arguments: Sequence[str]
    prepare: Callable[[], object] | None = None
    rounds: int = sys.maxsize


def take_turns(builds: Sequence[Build], server: Bazel, rounds: int) -> list[Row]:
    """Measures all builds in turns, from outside of Bazel."""
    samples: dict[str, list[Sample]] = {build.name: [] for build in builds}
    for number in range(rounds):
        for build in builds:
            if number < build.rounds:
                if build.prepare:
                    build.prepare()
                began = time.perf_counter()
                server.build(*build.arguments)
                samples[build.name].append(Sample(time.perf_counter() - began))
                say(f"  {build.name}: {samples[build.name][-1].wall:.2f} s")
    return [Row.of(name, taken) for name, taken in samples.items()]
