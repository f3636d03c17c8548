"""Promises 1 and 2: the same sources give one ID and one archive, whatever machine, strategy or door."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bazel.harness import REPOSITORY, Bazel
from tests.determinism import casd, pythons, source

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Made:
    """What a build came to."""

    id: str
    archive_sha256: str


def made(archive: Path) -> Made:
    """Reads the ID off an archive with tar and sha256sum's means alone."""
    listing = subprocess.run(["tar", "xzOf", archive, ".capsule_contents"], check=True, stdout=subprocess.PIPE).stdout
    return Made(hashlib.sha256(listing).hexdigest(), hashlib.sha256(archive.read_bytes()).hexdigest())


def capsbuild(tree: Path, out: Path, *options: str, python: str = sys.executable, **how: object) -> Made:
    """Builds a tree with the command line."""
    command = [python, "-m", "capsule_builder.cli.capsbuild", "--from-dir", str(tree), "--output", str(out), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **how)  # type: ignore[call-overload]
    return made(out)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return source.write(tmp_path_factory.mktemp("tree") / "app")


@pytest.fixture(scope="module")
def reference(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return capsbuild(tree, tmp_path_factory.mktemp("reference") / "out.tar.gz", "--jobs", "1")


# capsbuild


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONHASHSEED": "0"},
        {"PYTHONHASHSEED": "12345"},
        {"TZ": "Pacific/Kiritimati"},
        {"TZ": "America/St_Johns", "SOURCE_DATE_EPOCH": "1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "POSIX"},
        {"LC_ALL": "C.UTF-8"},
        {"HOME": "/nonexistent", "USER": "somebody", "TMPDIR": "/dev/shm"},
        {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONDEVMODE": "1"},
    ],
    ids=str,
)
def test_the_environment_does_not_matter(
    variables: dict[str, str], tree: Path, reference: Made, tmp_path: Path
) -> None:
    assert capsbuild(tree, tmp_path / "out", env={**os.environ, **variables}) == reference


@pytest.mark.parametrize("jobs", ["1", "2", "4", "64"])
def test_the_number_of_threads_does_not_matter(jobs: str, tree: Path, reference: Made, tmp_path: Path) -> None:
    assert capsbuild(tree, tmp_path / "out", "--jobs", jobs) == reference


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_the_umask_does_not_matter(umask: int, tree: Path, reference: Made, tmp_path: Path) -> None:
    assert capsbuild(tree, tmp_path / "out", umask=umask) == reference


def test_the_level_changes_the_archive_and_not_the_id(tree: Path, reference: Made, tmp_path: Path) -> None:
    fast = capsbuild(tree, tmp_path / "out", "--compression-level", "1")
    assert (fast.id == reference.id, fast.archive_sha256 == reference.archive_sha256) == (True, False)


def test_a_stamp_changes_the_archive_and_not_the_id(tree: Path, reference: Made, tmp_path: Path) -> None:
    stamped = capsbuild(tree, tmp_path / "out", "--stamp", env={**os.environ, "SOURCE_DATE_EPOCH": "1"})
    assert (stamped.id == reference.id, stamped.archive_sha256 == reference.archive_sha256) == (True, False)


def test_the_user_does_not_matter(tree: Path, reference: Made, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    if os.getuid() == 0:  # nobody, who may read everything: the checkout may lie where only root can
        become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        become += ["--inh-caps=+dac_read_search,+dac_override", "--ambient-caps=+dac_read_search,+dac_override"]
    else:
        become = ["unshare", "--user", "--map-root-user"]
    command = [*become, sys.executable, "-m", "capsule_builder.cli.capsbuild", "--from-dir", str(tree)]
    for parent in [tmp_path, *tmp_path.parents]:
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    subprocess.run([*command, "--output", str(tmp_path / "out")], check=True, stdout=subprocess.DEVNULL)
    assert made(tmp_path / "out") == reference


def _deep(place: Path) -> Path:
    return source.write(place / "a directory with spaces" / "d" / "e" / "e" / "p" / ("x" * 200) / "app")


def _backwards(place: Path) -> Path:
    return source.write(place / "app", backwards=True)


def _other_file_system(_place: Path) -> Path:
    return source.write(Path(tempfile.mkdtemp(dir="/dev/shm")) / "app", backwards=True)


def _other_times(place: Path) -> Path:
    tree = source.write(place / "app")
    for number, path in enumerate(sorted(tree.rglob("*"))):
        moment = [0, 1, 2**31 + 7, 4_000_000_000, 1_234_567_890][number % 5]
        os.utime(path, ns=(moment * 10**9 + number, moment * 10**9 + number), follow_symlinks=False)
    return tree


def _all_executable(place: Path) -> Path:
    tree = source.write(place / "app")
    for path in tree.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o6777)
    return tree


def _none_executable(place: Path) -> Path:
    tree = source.write(place / "app")
    for path in tree.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o400)
    return tree


@pytest.mark.parametrize(
    "lay_out", [_deep, _backwards, _other_file_system, _other_times, _all_executable, _none_executable]
)
def test_the_disk_does_not_matter(lay_out: Callable[[Path], Path], reference: Made, tmp_path: Path) -> None:
    tree = lay_out(tmp_path)
    try:
        assert capsbuild(tree, tmp_path / "out") == reference
    finally:
        if tmp_path not in tree.parents:
            shutil.rmtree(tree.parent)


@pytest.mark.parametrize("version", sorted(pythons.found()))
def test_the_python_does_not_matter(version: str, tree: Path, reference: Made, tmp_path: Path) -> None:
    path = f"{pythons.site(version)}:{REPOSITORY}"
    how = {"env": {**os.environ, "PYTHONPATH": path}, "cwd": tmp_path}
    assert capsbuild(tree, tmp_path / "out", python=pythons.found()[version], **how) == reference


def test_some_python_was_tried() -> None:
    assert pythons.found()


# Bazel


def workspace_file() -> str:
    """The WORKSPACE of a user, who has this checkout as ``@rules_capsule``."""
    return f"""\
workspace(name = "matrix")

local_repository(
    name = "rules_capsule",
    path = "{REPOSITORY}",
)

load("@rules_capsule//rules:repositories.bzl", "rules_capsule_dependencies", "rules_capsule_toolchains")

rules_capsule_dependencies()

rules_capsule_toolchains()
"""


def workspace(place: Path) -> Path:
    """A workspace of a user, with the application as its package ``app``."""
    source.write(place / "app")
    (place / "WORKSPACE").write_text(workspace_file())
    return place


@pytest.fixture(scope="module")
def bazel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bazel]:
    place = tmp_path_factory.mktemp("bazel")
    server = Bazel(workspace(place / "workspace"), place / "base")
    yield server
    server.run("shutdown", ok=None)


def build(bazel: Bazel, *options: str) -> tuple[Made, Made]:
    """Builds the application anew in Bazel, whole and in layers."""
    bazel.run("clean")
    bazel.build("//app:whole", "//app:layered", *options)
    for target in ("whole", "layered"):
        archive = bazel.output(f"//app:{target}.tar.gz")
        assert bazel.output(f"//app:{target}.id").read_text() == made(archive).id + "\n"
    return made(bazel.output("//app:whole.tar.gz")), made(bazel.output("//app:layered.tar.gz"))


@pytest.fixture(scope="module")
def sandboxed(bazel: Bazel) -> tuple[Made, Made]:
    return build(bazel, "--spawn_strategy=sandboxed")


def test_bazel_and_capsbuild_make_the_same_archive(sandboxed: tuple[Made, Made], reference: Made) -> None:
    assert sandboxed[0] == reference


def test_layers_change_the_archive_and_not_the_id(sandboxed: tuple[Made, Made], reference: Made) -> None:
    assert sandboxed[1].id == reference.id
    assert sandboxed[1].archive_sha256 != reference.archive_sha256


@pytest.mark.parametrize(
    "options",
    [
        ("--spawn_strategy=local",),
        ("--spawn_strategy=sandboxed", "--compilation_mode=opt", "--action_env=TZ=Asia/Kathmandu"),
        ("--spawn_strategy=local", "--action_env=LC_ALL=C", "--action_env=PYTHONHASHSEED=7", "--jobs=1"),
    ],
    ids=" ".join,
)
def test_the_strategy_does_not_matter(options: tuple[str, ...], bazel: Bazel, sandboxed: tuple[Made, Made]) -> None:
    assert build(bazel, *options) == sandboxed


def test_another_workspace_and_output_base_do_not_matter(sandboxed: tuple[Made, Made], tmp_path: Path) -> None:
    deep = tmp_path / "another" / "depth" / "of" / "path"
    server = Bazel(workspace(deep / "workspace"), tmp_path / "base")
    try:
        assert build(server) == sandboxed
    finally:
        server.run("shutdown")


def test_remote_execution_does_not_matter(bazel: Bazel, sandboxed: tuple[Made, Made], tmp_path: Path) -> None:
    with casd.running(tmp_path / "cas") as address:
        bazel.run("clean")
        log = tmp_path / "log.json"
        options = [f"--remote_executor={address}", "--spawn_strategy=remote", f"--execution_log_json_file={log}"]
        said = bazel.build("//app:whole", "//app:layered", *options)
        # Every action of ours ran there: two capsules, two layers; the launcher is written by Bazel itself.
        runners = [line.split('"')[3] for line in log.read_text().splitlines() if '"runner"' in line]
        assert runners == ["remote"] * 6, said
    assert made(bazel.output("//app:whole.tar.gz")) == sandboxed[0]
    assert made(bazel.output("//app:layered.tar.gz")) == sandboxed[1]


def test_a_remote_cache_gives_the_same(bazel: Bazel, sandboxed: tuple[Made, Made], tmp_path: Path) -> None:
    with casd.running(tmp_path / "cas") as address:
        build(bazel, f"--remote_cache={address}")
        bazel.run("clean")
        said = bazel.build("//app:whole", "//app:layered", f"--remote_cache={address}")
        assert "6 remote cache hit" in said
    assert made(bazel.output("//app:whole.tar.gz")) == sandboxed[0]


@pytest.mark.parametrize("version", sorted(pythons.found()))
def test_the_python_of_the_actions_does_not_matter(version: str, bazel: Bazel, sandboxed: tuple[Made, Made]) -> None:
    assert build(bazel, f"--repo_env=CAPSULE_PYTHON={pythons.found()[version]}") == sandboxed
