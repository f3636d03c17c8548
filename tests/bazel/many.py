"""A package of many capsules, and the one of the environment that they share; also for the benchmarks."""

from __future__ import annotations

from pathlib import Path

_PYTHON = """\
load("@rules_capsule//rules:defs.bzl", "capsule_python_layers")

capsule_python_layers(
    name = "python",
    python = "3.11",
    visibility = ["//visibility:public"],
    wheels = glob(["*.whl"]),
)
"""
_CAPSULES = """\
load("@rules_capsule//rules:defs.bzl", "capsule")

[
    capsule(
        name = "capsule_%d" % number,
        srcs = ["main.sh"],
        layers = ["{environment}"],
        manifest = "capsule.yml",
    )
    for number in range({count})
]
"""


def write_environment(package: Path) -> None:
    """Makes ``package``, which has the wheels, the environment of all of them."""
    (package / "BUILD").write_text(_PYTHON)


def write_capsules(package: Path, count: int, environment: str) -> None:
    """Makes a package of ``count`` capsules that share ``environment``, a label."""
    package.mkdir()
    (package / "BUILD").write_text(_CAPSULES.format(count=count, environment=environment))
    (package / "main.sh").write_text("#!/bin/sh\n")
    (package / "capsule.yml").write_text("name: many\nversion: 1.0.0\nentrypoint: main.sh\n")
