"""A command starts at once: it imports what it needs for what it was asked, and no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.capsbuild.command import ENVIRONMENT

PROGRAM = """
import sys
from capsule_builder.cli.capsbuild import main
try:
    status = main(sys.argv[1:])
except SystemExit as end:  # argparse has its own way to end
    status = end.code
print(*sys.modules, sep="\\n", file=sys.stderr)
sys.exit(status)
"""
HEAVY = frozenset(["email", "installer", "nacl", "packaging", "cryptography", "cyclonedx", "jsonschema", "tqdm"])
OF_BUILDS = frozenset(["capsule_builder.building.build", "capsule_builder.cache.memory", "capsule_builder.manifest"])
OF_ENVIRONMENTS = frozenset(
    ["capsule_builder.python.gather", "capsule_builder.python.ingredients", "capsule_builder.requirements"]
)
THREADS = frozenset(["concurrent.futures", "logging"])
SLOW = frozenset(["argparse", "dataclasses", "inspect", "tempfile"])
YAML = frozenset(["yaml"])


def imported(*arguments: str | Path) -> set[str]:
    """The modules that a command has imported when it ends."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    return set(ran.stderr.splitlines())


@pytest.fixture
def small(app: Path, out: Path) -> Path:
    """The capsule of a small application."""
    imported("--no-cache", "--from-dir", app, "--output", out / "small.tar.gz")
    return out / "small.tar.gz"


def test_help_imports_nothing_of_a_build() -> None:
    assert not imported("--help") & (HEAVY | OF_BUILDS | OF_ENVIRONMENTS | THREADS | YAML)


def test_a_small_build_imports_nothing_of_environments(app: Path, out: Path) -> None:
    found = imported("--no-cache", "--from-dir", app, "--output", out / "app.tar.gz")
    assert found >= OF_BUILDS
    assert not found & (HEAVY | OF_ENVIRONMENTS | THREADS | SLOW)


def test_a_build_that_is_remembered_reads_no_manifest(app: Path, out: Path, tmp_path: Path) -> None:
    arguments = ["--cache-dir", tmp_path / "cache", "--from-dir", app, "--output", out / "app.tar.gz"]
    assert not imported(*arguments) & (HEAVY | OF_ENVIRONMENTS)
    assert not imported(*arguments) & (HEAVY | OF_ENVIRONMENTS | THREADS | YAML | SLOW)
    with open(app / "alan_backend/start.py", "a") as file:
        file.write("# more\n")
    assert not imported(*arguments) & (HEAVY | OF_ENVIRONMENTS | THREADS | YAML | SLOW)


def test_wheels_are_read_only_where_there_are_some(app: Path, out: Path) -> None:
    """The named modules are still what they are called: with other options, a build has them."""
    found = imported("--no-cache", "--from-dir", app, "--platform", "linux_x86_64", "--output", out / "app.tar.gz")
    assert found >= OF_ENVIRONMENTS | {"installer", "packaging", "email"}


def test_verify_imports_nothing_of_builds_and_environments(small: Path) -> None:
    heavy = HEAVY - {"nacl"}  # for signatures
    assert not imported("verify", small) & (heavy | OF_ENVIRONMENTS | {"capsule_builder.building.build"})


def test_anchors_imports_nothing_of_builds_and_environments(app: Path) -> None:
    assert not imported("anchors", app) & (HEAVY | OF_BUILDS | OF_ENVIRONMENTS | THREADS | YAML)
