"""The real Bazel, on a copy of the workspace in ``workspaces/shop`` that uses this checkout as ``@rules_capsule``."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.bazel import wheels
from tests.bazel.harness import REPOSITORY, Bazel

HERE = pathlib.Path(__file__).parent

# All that a user of the rules gets; a copy, so that work in this checkout meanwhile changes no count of actions.
RELEASE = ("BUILD", "WORKSPACE", "MODULE.bazel", "WORKSPACE.bzlmod", "capsule_builder", "requirements", "rules")


@pytest.fixture(scope="session")
def bazel() -> Iterator[Bazel]:
    """The test workspace, fresh from the repository; what Bazel fetched and built for it stays for the next session."""
    assert shutil.which("bazel"), "bazel is not installed (Debian: apt-get install bazel-bootstrap)"
    root = REPOSITORY / ".dev" / "bazel-tests" / os.environ.get("PYTEST_XDIST_WORKER", "main")
    for name in RELEASE:
        subprocess.run(["rm", "-rf", root / "rules_capsule" / name], check=True)
        (root / "rules_capsule").mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", REPOSITORY / name, root / "rules_capsule"], check=True)
    shutil.rmtree(root / "shop", ignore_errors=True)
    shutil.copytree(HERE / "workspaces" / "shop", root / "shop")
    wheels.fill(root / "shop" / "environments")
    file = root / "shop" / "WORKSPACE"
    file.write_text(file.read_text().replace("%RULES_CAPSULE%", str(root / "rules_capsule")))
    server = Bazel(root / "shop", root / "output")
    yield server
    server.run("shutdown", ok=None)
