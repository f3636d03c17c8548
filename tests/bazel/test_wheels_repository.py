"""`capsule_wheels`: a lock's wheels for the target, whatever runs the build (``shop/WORKSPACE``)."""

from __future__ import annotations

import pathlib
import re
import subprocess

import pytest

from tests.bazel.harness import Bazel


def made(bazel: Bazel) -> pathlib.Path:
    return bazel.output_base / "external/small_wheels"


def test_exactly_the_wheels_of_the_target_come(bazel: Bazel) -> None:
    bazel.build("@small_wheels//:wheels")
    names = sorted(path.name for path in (made(bazel) / "wheels").iterdir())
    assert [name.split("-")[0] for name in names] == ["markupsafe", "ruamel_yaml"], "no colorama, no tomli"
    assert "-cp311-cp311-manylinux" in names[0]
    targets = re.findall(r'name = "(.+)"', (made(bazel) / "BUILD").read_text())
    assert targets == ["wheels", "markupsafe", "ruamel-yaml", "ruamel_yaml"]
    bazel.build(*(f"@small_wheels//:{target}" for target in targets))


def test_nothing_is_fetched_again_until_the_lock_changes(bazel: Bazel) -> None:
    bazel.build("@small_wheels//:wheels")
    before = (made(bazel) / "BUILD").stat().st_mtime_ns
    bazel.run("shutdown")
    bazel.build("@small_wheels//:wheels", "--repo_env=NO_SUCH_VARIABLE=1")
    assert (made(bazel) / "BUILD").stat().st_mtime_ns == before

    lock = bazel.workspace / "environments/lock.txt"
    text = lock.read_text()
    build = (made(bazel) / "BUILD").read_text()
    try:
        lock.write_text(f"# another day\n{text}")
        bazel.build("@small_wheels//:wheels")
        assert (made(bazel) / "BUILD").stat().st_mtime_ns != before
        assert (made(bazel) / "BUILD").read_text() == build
    finally:
        lock.write_text(text)


@pytest.mark.parametrize(
    ("name", "refusals"),
    [
        ("broken", ["ERROR: environments/broken_lock.txt: includes another file: environments/lock.txt\n"]),
        (
            "unlocked",
            [
                "ERROR: environments/unlocked_lock.txt:1: names no exact version: markupsafe>=3\n",
                "ERROR: environments/unlocked_lock.txt:1: has no hash: markupsafe>=3\n",
                "ERROR: environments/unlocked_lock.txt:2: has no hash: idna==3.20\n",
                "ERROR: environments/unlocked_lock.txt:3: names a URL: click @ https://",
            ],
        ),
        (
            "source",
            [
                "ERROR: docopt==0.6.2: there is only source, and no wheel (environments/source_lock.txt:1)\n",
                "ERROR: markupsafe==2.0.1: none of its ",
                " wheels is for the target: the nearest is for CPython 3.",
            ],
        ),
        (
            "mismatched",
            ["pip could not download the wheels of //environments:mismatched_lock.txt", "Expected sha256 000"],
        ),
    ],
)
def test_a_lock_that_cannot_be_fetched_is_refused_with_every_reason(
    bazel: Bazel, name: str, refusals: list[str]
) -> None:
    said = bazel.refuses(f"@{name}_wheels//:wheels")
    for refusal in refusals:
        assert refusal in said
    assert '.py", line' not in said


def test_a_builder_without_pip_uses_another(bazel: Bazel, tmp_path: pathlib.Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", venv], check=True)
    lock = bazel.workspace / "environments/lock.txt"
    text = lock.read_text()
    try:
        lock.write_text(f"# to fetch again\n{text}")
        bazel.build("@small_wheels//:wheels", f"--repo_env=CAPSULE_PYTHON={venv}/bin/python")
    finally:
        lock.write_text(text)
