"""A real tree, at real size, through both doors: Django, NumPy, pandas and SciPy as their wheels unpack."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.bazel.harness import REPOSITORY, Bazel
from tests.determinism.test_matrix import Made, capsbuild, made, workspace_file

TREE = REPOSITORY / ".dev" / "real_tree"

pytestmark = pytest.mark.timeout(900)

MANIFEST = "name: real-tree\nversion: 1.0.0\nentrypoint: django/__main__.py\n"
BUILD = """\
load("@rules_capsule//rules:defs.bzl", "capsule")

capsule(
    name = "capsule",
    srcs = glob(["**"], exclude = ["BUILD"]),
    manifest = "capsule.yml",
)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose package ``tree`` is the real tree."""
    place = tmp_path_factory.mktemp("real")
    shutil.copytree(TREE, place / "workspace" / "tree")
    tree = place / "workspace" / "tree"
    (tree / "capsule.yml").write_text(MANIFEST)
    (tree / "BUILD").write_text(BUILD)
    (tree / ".capsuleignore").write_text("/BUILD\n!*.pyc\n")
    (place / "workspace" / "WORKSPACE").write_text(workspace_file())
    return place


@pytest.fixture(scope="module")
def from_directory(place: Path) -> Made:
    return capsbuild(place / "workspace" / "tree", place / "capsbuild.tar.gz")


def test_the_tree_is_real() -> None:
    files = [path for path in TREE.rglob("*") if path.is_file()]
    assert len(files) > 5_000
    assert sum(path.stat().st_size for path in files) > 150_000_000


def test_both_doors_make_the_same_archive(place: Path, from_directory: Made) -> None:
    (place / "workspace" / "tree" / ".capsuleignore").unlink()
    bazel = Bazel(place / "workspace", place / "base")
    try:
        bazel.build("//tree:capsule")
        assert made(bazel.output("//tree:capsule.tar.gz")) == from_directory
    finally:
        bazel.run("shutdown", ok=None)


def test_coreutils_prove_it(place: Path, from_directory: Made, tmp_path: Path) -> None:
    subprocess.run(["tar", "xzf", place / "capsbuild.tar.gz", "-C", tmp_path], check=True)
    subprocess.run(["sha256sum", "--strict", "--quiet", "-c", ".capsule_contents"], cwd=tmp_path, check=True)
    shown = subprocess.run(["sha256sum", ".capsule_contents"], cwd=tmp_path, check=True, stdout=subprocess.PIPE)
    assert shown.stdout.split()[0].decode() == from_directory.id


def test_django_runs_from_the_unpacked_tree(place: Path, from_directory: Made, tmp_path: Path) -> None:
    assert from_directory
    subprocess.run(["tar", "xzf", place / "capsbuild.tar.gz", "-C", tmp_path], check=True)
    command = ["/usr/bin/env", "-i", "python3", "-ISB", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "]
    command[-1] += "import django; print(django.get_version())"
    version = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    lock = (REPOSITORY / "requirements" / "real_tree.txt").read_text()
    assert f"django=={version} " in lock
