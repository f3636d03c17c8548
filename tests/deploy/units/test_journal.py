"""The journal of a change, and the history of those that were."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from capsule_builder.errors import CapsuleError
from capsule_deploy import journal
from capsule_deploy.journal import Change
from capsule_deploy.layout import Layout

CHANGE = Change("activate", "app", "1" * 64, "2" * 64, None, journal.BESIDE, journal.PREPARED, 7)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout(str(tmp_path))
    os.makedirs(found.app("app"))
    return found


@pytest.mark.parametrize("state", journal.STATES)
def test_what_was_written_is_read(layout: Layout, state: str) -> None:
    written = journal.write(layout, CHANGE, state)
    assert journal.read(layout, "app") == written
    assert written.forward == (state in ("switched", "observed"))


def test_a_change_that_is_done_is_history_and_the_lines_hold_on_to_each_other(layout: Layout) -> None:
    for number in range(3):
        change = journal.write(layout, CHANGE, journal.OBSERVED)
        journal.done(layout, change, "done", number)
    assert journal.read(layout, "app") is None
    lines = Path(layout.app("app"), "history").read_bytes().splitlines()
    assert [json.loads(line)["before"] for line in lines] == [
        None,
        *(hashlib.sha256(line).hexdigest() for line in lines[:-1]),
    ]
    assert [line["ended"] for line in journal.history(layout, "app")] == [0, 1, 2]


def test_a_line_that_a_crash_has_cut_off_does_not_spoil_the_next(layout: Layout) -> None:
    journal.done(layout, CHANGE, "done", 1)
    with Path(layout.app("app"), "history").open("ab") as file:
        file.write(b'{"action": "act')
    journal.done(layout, CHANGE, "done", 2)
    assert [line["ended"] for line in journal.history(layout, "app")] == [1, 2]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"null",
        json.dumps({**vars(CHANGE), "state": "odd"}).encode(),
        json.dumps({**vars(CHANGE), "new": "../../etc"}).encode(),
        json.dumps({**vars(CHANGE), "app": "other"}).encode(),
        json.dumps({**vars(CHANGE), "more": 1}).encode(),
        json.dumps({**vars(CHANGE), "old": 5}).encode(),
    ],
)
def test_a_damaged_journal_is_refused_and_not_believed(layout: Layout, data: bytes) -> None:
    Path(layout.app("app"), "txn").write_bytes(data)
    with pytest.raises(CapsuleError, match="The journal of app is damaged"):
        journal.read(layout, "app")
