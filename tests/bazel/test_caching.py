"""The cost follows the change: counted in actions, from Bazel's own execution log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bazel.harness import Bazel


@pytest.fixture
def built(bazel: Bazel) -> Iterator[Bazel]:
    bazel.build("//layers:capsule")
    yield bazel
    (bazel.workspace / "layers/beta/beta.txt").write_text("beta\n")


def test_nothing_changed_nothing_runs(built: Bazel) -> None:
    (built.workspace / "layers/beta/beta.txt").touch()
    assert not built.actions("//layers:capsule")


def test_a_change_in_one_layer_packs_that_layer_and_assembles(built: Bazel) -> None:
    (built.workspace / "layers/beta/beta.txt").write_text("a new beta\n")
    assert built.actions("//layers:capsule") == {
        "Packing layer //layers:beta": 1,
        "Assembling capsule //layers:capsule": 1,
    }


def test_a_change_of_the_application_leaves_the_layers_alone(built: Bazel) -> None:
    main = built.workspace / "layers/main.sh"
    before = main.read_text()
    main.write_text(before + "# changed\n")
    try:
        assert built.actions("//layers:capsule") == {
            "Packing layer app of //layers:capsule": 1,
            "Assembling capsule //layers:capsule": 1,
        }
    finally:
        main.write_text(before)


def test_a_new_time_alone_runs_nothing(built: Bazel) -> None:
    built.run("build", "//layers:capsule", "--stamp", env={"SOURCE_DATE_EPOCH": "1000000000"})
    assert not built.actions("//layers:capsule", "--stamp")


def test_a_stamp_alone_packs_nothing(built: Bazel) -> None:
    built.build("//layers:capsule", "--nostamp")
    assert built.actions("//layers:capsule", "--stamp") == {"Assembling capsule //layers:capsule": 1}
