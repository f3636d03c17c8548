"""``capsbuild`` with a cache, and ``capsbuild cache``, as users run them."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.cache.trees import plant
from tests.capsbuild.command import Ran, capsbuild

GUIDE = (Path(__file__).parents[2] / "docs/cache.md").read_text()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return plant(tmp_path / "app")


def _build(root: Path, *arguments: str | Path, env: dict[str, str] | None = None) -> Ran:
    ran = capsbuild("--from-dir", root, "--output", root.parent / "out.tgz", *arguments, env=env)
    assert ran.status == 0, ran.err
    return ran


def _held(*arguments: str | Path, env: dict[str, str] | None = None) -> dict[str, object]:
    ran = capsbuild("cache", "info", "--json", *arguments, env=env)
    assert (ran.status, ran.err) == (0, "")
    found: dict[str, object] = json.loads(ran.out)
    return found


@pytest.mark.parametrize(
    ("env", "place"),
    [
        ({"HOME": "{}/home"}, "home/.cache/rules_capsule"),
        ({"HOME": "{}/home", "XDG_CACHE_HOME": "{}/xdg"}, "xdg/rules_capsule"),
        ({"HOME": "{}/home", "XDG_CACHE_HOME": "relative"}, "home/.cache/rules_capsule"),
        ({"XDG_CACHE_HOME": "{}/xdg"}, "xdg/rules_capsule"),
    ],
)
def test_the_cache_lies_where_the_user_keeps_caches(
    root: Path, tmp_path: Path, env: dict[str, str], place: str
) -> None:
    env = {name: value.format(tmp_path) for name, value in env.items()}
    _build(root, env=env)
    found = _held(env=env)
    assert found["directory"] == str(tmp_path / place)
    assert found["records"] == 1
    assert (tmp_path / place / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")
    _build(root, "--cache-dir", tmp_path / "named", env=env)
    assert _held(env=env) == found
    assert _held("--cache-dir", tmp_path / "named")["blobs"] == found["blobs"]


def test_nothing_is_remembered_without_a_home_or_when_it_is_not_wanted(root: Path, tmp_path: Path) -> None:
    before = sorted(os.listdir(tmp_path))
    _build(root)
    _build(root, "--no-cache", env={"HOME": str(tmp_path / "home")})
    assert sorted(os.listdir(tmp_path)) == [*before, "out.tgz"]
    ran = capsbuild("cache", "info")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "ERROR: There is no cache: HOME is not set\n  Name one with --cache-dir.\n"


def test_the_second_build_says_the_same_and_writes_nothing_into_the_cache(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    time.sleep(2.1)
    first = _build(root, "--cache-dir", cache, "--json")
    archive = (tmp_path / "out.tgz").read_bytes()
    held = _held("--cache-dir", cache)
    assert _build(root, "--cache-dir", cache, "--json") == first
    assert (tmp_path / "out.tgz").read_bytes() == archive
    assert _held("--cache-dir", cache)["blobs"] == held["blobs"]
    read = subprocess.run(["strace", "-f", "-e", "trace=openat", "--", *_command(root, cache)], capture_output=True)
    assert read.returncode == 0
    assert b"data/050.txt" not in read.stderr


def _command(root: Path, cache: Path) -> list[str]:
    import sys

    capsbuild_ = [sys.executable, "-m", "capsule_builder.cli.capsbuild"]
    return [*capsbuild_, "--from-dir", str(root), "--output", str(root.parent / "o"), "--cache-dir", str(cache)]


def test_pruning(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    _build(root, "--cache-dir", cache)
    ran = capsbuild("cache", "prune", "--cache-dir", cache, "--json")
    assert (ran.status, json.loads(ran.out)["files"]) == (0, 0)
    ran = capsbuild("cache", "prune", "--cache-dir", cache, "--older-than", "1")
    assert ran.out.splitlines()[0].endswith("removed 0 files, 0.00 MB")
    ran = capsbuild("cache", "prune", "--cache-dir", cache, "--max-size", "0")
    assert ran.out.splitlines()[1] == "   Left: 0.00 MB"
    assert _held("--cache-dir", cache)["size"] == 0
    assert _held("--cache-dir", tmp_path / "nowhere")["size"] == 0


@pytest.mark.parametrize(
    "arguments",
    [[], ["forget"], ["prune", "--max-size", "x"], ["prune", "--older-than", "-1"], ["info", "--verify"]],
)
def test_wrong_usage_is_two(arguments: list[str]) -> None:
    ran = capsbuild("cache", *arguments)
    assert (ran.status, ran.out) == (2, "")


def test_a_cache_that_others_may_use(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    _build(root, "--cache-dir", cache)
    (cache / "v1").chmod(0o770)
    assert "WARNING: Cache is not used: " in _build(root, "--cache-dir", cache).err
    ran = capsbuild("cache", "prune", "--cache-dir", cache, "--json")
    assert ran.status == 1
    assert json.loads(ran.out)["errors"][0]["code"] == "cache-unusable"


def test_a_small_disk(root: Path, tmp_path: Path) -> None:
    """A true one: the build goes on, with a warning, and so does the next."""
    disk = tmp_path / "disk"
    disk.mkdir()
    builds = " && ".join(["cd /"] + [" ".join(_command(root, disk / "cache"))] * 2)
    script = f"mount -t tmpfs -o size=24k none {disk} && {builds}"
    unshare = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", script]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run(unshare, capture_output=True, text=True, env=env)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("it cannot be written to: No space left on device") == 2
    _build(root, "--no-cache")
    assert (tmp_path / "o").read_bytes() == (tmp_path / "out.tgz").read_bytes()


def test_the_guide_describes_every_option() -> None:
    import re

    offered: set[str] = set()
    for command in ("info", "prune"):
        offered |= set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", capsbuild("cache", command, "--help").out))
    described = set(re.findall(r"^\| `(--[a-z-]+)", GUIDE, re.M)) - {"--no-cache"}
    assert described == offered - {"--help"}
