"""The same lock through Bazel, one layer a wheel: the same ID, and what of the bytes is the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bazel.conftest import RELEASE
from tests.bazel.harness import Bazel
from tests.environment.corpus import REPOSITORY, WHEELS, capsbuild

WORKSPACE = """\
workspace(name = "environment")

local_repository(
    name = "rules_capsule",
    path = "../rules_capsule",
)

load("@rules_capsule//rules:repositories.bzl", "rules_capsule_dependencies", "rules_capsule_toolchains")

rules_capsule_dependencies()

rules_capsule_toolchains()
"""

BUILD = """\
load("@rules_capsule//rules:defs.bzl", "capsule", "capsule_python_layers")

capsule_python_layers(
    name = "python",
    python = "3.11",
    requirements = "requirements.txt",
    compression_level = 1,
    wheels = glob(["wheels/*.whl"]),
)

capsule(
    name = "capsule",
    srcs = ["requirements.txt", "serve.py"],
    compression_level = 1,
    layers = [":python"],
    manifest = "capsule.yml",
)
"""


@pytest.fixture(scope="module")
def bazel(app: Path) -> Iterator[Bazel]:
    """The application as a workspace; what Bazel fetched for it stays for the next session."""
    root = REPOSITORY / ".dev" / "bazel-tests" / f"environment-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    for name in ("rules_capsule", "environment"):
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True)
    for name in RELEASE:
        subprocess.run(["cp", "-a", REPOSITORY / name, root / "rules_capsule"], check=True)
    workspace = root / "environment"
    shutil.copytree(app, workspace, dirs_exist_ok=True)
    shutil.copytree(WHEELS, workspace / "wheels", copy_function=os.link)
    (workspace / "WORKSPACE").write_text(WORKSPACE)
    (workspace / "BUILD").write_text(BUILD)
    server = Bazel(workspace, root / "output")
    yield server
    server.run("shutdown", ok=None)


def test_bazel_gives_the_same_id_and_the_same_layers(bazel: Bazel, app: Path, tmp_path: Path) -> None:
    bazel.build("//:capsule")
    archive = tmp_path / "wheels.tar.gz"
    built = capsbuild("--from-dir", app, "--wheels", WHEELS, "--output", archive)
    assert bazel.output("capsule.id").read_text().strip() == built["id"]
    theirs, ours = (
        json.loads(
            subprocess.run(["tar", "xzOf", path, ".capsule_metadata.json"], check=True, capture_output=True).stdout
        )
        for path in (bazel.output("capsule.tar.gz"), archive)
    )
    assert theirs["layers"] == ours["layers"]
    assert theirs == ours
    assert bazel.output("capsule.tar.gz").read_bytes() == archive.read_bytes()
