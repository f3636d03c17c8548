"""However Bazel runs the actions, the bytes and the words are the same; by itself it takes persistent workers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bazel.harness import Bazel, read_listing

TARGETS = ("//environments:capsule", "//layers:capsule", "//programs:capsule")
STRATEGIES = {
    "local": ("--spawn_strategy=local",),
    "in a sandbox": ("--spawn_strategy=sandboxed",),
    "worker": ("--spawn_strategy=worker,local",),
    "worker in a sandbox": ("--spawn_strategy=worker,local", "--worker_sandboxing"),
}


def outputs(bazel: Bazel) -> dict[str, bytes]:
    """Everything that the targets are made of."""
    found = {}
    for package in ("environments", "layers", "programs"):
        folder = bazel.output(f"{package}:")
        for file in sorted(folder.rglob("*")):
            if file.is_file() and "runfiles" not in str(file) and file.suffix != ".params":
                found[str(file.relative_to(folder.parent))] = file.read_bytes()
    return found


def runners(said: str) -> str:
    [line] = re.findall(r"^INFO: \d+ processes?: (.*)\.$", said, re.M)
    return re.sub(r"\d+ internal,? ?", "", line)


def test_no_strategy_changes_a_byte(bazel: Bazel) -> None:
    groups = "--output_groups=+layers"
    made = {}
    for name, options in STRATEGIES.items():
        bazel.run("clean")
        said = bazel.build(*options, groups, *TARGETS)
        made[name] = outputs(bazel)
        assert ("worker" in runners(said)) == ("worker" in name), said
    first = made.pop("local")
    assert len(first) > 30
    assert [name for name, files in made.items() if files != first] == []


def test_by_itself_bazel_takes_one_worker_for_all_kinds_of_actions(bazel: Bazel) -> None:
    bazel.run("shutdown")
    bazel.run("clean")
    said = bazel.build("--jobs=1", "--worker_verbose", "//environments:capsule")
    assert runners(said) == "5 worker"
    assert len(re.findall("Created new non-sandboxed", said)) == 1


@pytest.mark.parametrize("strategy", ["local", "worker"])
def test_an_error_is_told_in_the_same_words_and_the_next_action_is_well(bazel: Bazel, strategy: str) -> None:
    said = bazel.refuses(f"--spawn_strategy={strategy}", "//conflicts:conflicting")
    assert re.search(r"^ERROR: .*settings\.txt", said, re.M), said
    assert "Traceback" not in said and "unparseable" not in said
    bazel.run("clean")
    assert bazel.actions(f"--spawn_strategy={strategy}", "//conflicts:agreeing").total() == 4


@pytest.fixture
def source(bazel: Bazel) -> Iterator[Path]:
    file = bazel.workspace.parent / "rules_capsule/capsule_builder/actions/main.py"
    text = file.read_text()
    yield file
    file.write_text(text)


def test_a_worker_whose_sources_changed_answers_no_more(bazel: Bazel, source: Path) -> None:
    bazel.build("//layers:capsule")
    source.write_text(source.read_text().replace('_say(f"ERROR: {doing}', '_say(f"OTHERWISE: {doing}'))
    said = bazel.build("--worker_verbose", "//layers:capsule")
    assert "Destroying Capsule worker" in said and "Created new non-sandboxed Capsule worker" in said


def test_a_builder_that_knows_nothing_of_workers_is_started_for_each_action(bazel: Bazel) -> None:
    said = bazel.build("//layers:capsule", "--extra_toolchains=//custom:toolchain")
    assert "worker" not in runners(said)
    assert (
        "supports-workers"
        not in bazel.run("aquery", "//layers:capsule", "--extra_toolchains=//custom:toolchain").stdout
    )


def test_a_name_that_begins_with_an_at_sign_is_no_params_file(bazel: Bazel) -> None:
    assert (
        runners(bazel.build("--spawn_strategy=worker", "//:at_signs")) == "4 worker"
    )  # one of them packs what is in another repository
    assert read_listing(bazel.output("at_signs.contents").read_text())["@scope/index.js"] == "file"
