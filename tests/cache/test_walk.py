"""What the walk passes over without a look is what the rules would have let in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsule_builder.paths import path_problem
from capsule_builder.sources import directory, states
from capsule_builder.sources.ignore import DEFAULTS, TreeRules
from capsule_builder.sources.survey import Survey

ENDINGS = ["", "~", ".pyc", ".pyo", ".py", ".swp", ".swo", ".swx", "__pycache__", "Thumbs.db", "-", "\\", "\u202e", "é"]
NAMES = st.builds(
    lambda start, middle, end: (start + middle + end) or "x",
    st.sampled_from([*(line.strip("/").replace("*", "").replace("[", "").replace("]", "") for line in DEFAULTS), ""]),
    st.text("a.~_c", max_size=3),
    st.sampled_from([*ENDINGS, "x" * 70]),
).filter(lambda name: name not in {".", ".."})


@given(st.sampled_from(["", "a/", "venv/", "x" * 1100 + "/"]), st.lists(NAMES, unique=True))
def test_what_is_admitted_at_once_is_admitted_one_by_one(base: str, names: list[str]) -> None:
    survey = Survey()
    top = survey.rules.top
    if survey.admits_all(base, names, top):
        for name in names:
            for directory_ in (False, True):
                assert survey.admits(base + name, top, directory=directory_) or base + name == "capsule.yml"
                assert not TreeRules().ignored(base + name + "/" * directory_)
                assert path_problem(base + name) is None
        assert survey.problems == []


def test_some_are_admitted_at_once() -> None:
    survey = Survey()
    assert survey.admits_all("a/", ["x.py", "y"], survey.rules.top)
    assert not survey.admits_all("a/", ["x.py", ".git"], survey.rules.top)
    assert not survey.admits_all("a/", ["x.py"], survey.rules.add("a/", survey.rules.top, b"x.py\n"))


@pytest.mark.parametrize(
    ("kind", "reliable"), [("ext4", True), ("tmpfs", True), ("nfs4", False), ("fuse.sshfs", False)]
)
def test_states_are_relied_on_where_times_are_this_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, reliable: bool
) -> None:
    mounts = tmp_path / "mountinfo"
    point = str(tmp_path / "my tree").replace(" ", "\\040")
    mounts.write_text(
        f"1 0 8:1 / / rw - xfs /dev/a rw\n2 1 8:2 / {point} rw shared:1 - {kind} /dev/b rw\n"
        f"3 1 8:3 / {tmp_path}/my rw - nfs /dev/c rw\n"
    )
    real = open
    monkeypatch.setattr(
        "builtins.open", lambda name, *rest, **more: real(mounts if "mountinfo" in str(name) else name, *rest, **more)
    )
    (tmp_path / "my tree/below").mkdir(parents=True)
    (tmp_path / "file").write_bytes(b"")
    os.utime(tmp_path / "file", (1, 1))
    monkeypatch.setattr(states, "ALLOWANCE", -60_000_000_000)
    line = states.Watch(str(tmp_path / "my tree/below")).line("x", (tmp_path / "file").stat())
    assert states.is_reliable(line) is reliable


def test_a_file_of_another_file_system_is_not_relied_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "ALLOWANCE", -60_000_000_000)
    watch = states.Watch(str(tmp_path))
    assert not states.is_reliable(watch.line("x", os.stat("/proc/self/status")))


def test_the_states_are_those_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "a b").write_bytes(b"12345")
    (tmp_path / "capsule.yml").write_bytes(b"")
    tree, problems = directory.scan(str(tmp_path), watch=states.Watch(str(tmp_path)))
    assert problems == []
    assert tree.manifest_there
    (line,) = tree.states
    status = (tmp_path / "a b").stat()
    assert line.startswith(f"a b\0005 {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino} {status.st_mode}")
    assert directory.scan(str(tmp_path))[0].states == []
