"""What the harnesses found, and is mended: messages that had no end. (The rest stands in the tests of its module.)"""

from __future__ import annotations

from pathlib import Path

import pytest

from capsule_builder.archive.zip import ZipReader
from capsule_builder.errors import CapsuleError
from capsule_builder.python import record, scripts
from capsule_builder.python.layout import Layout
from capsule_builder.python.wheel import read_wheel
from tests.zip.forge import Entry, forge

LONG = "x" * 50_000
HASH = "A" * 43


@pytest.mark.parametrize(
    "row",
    [f"{LONG},,", f"a,,{LONG}", f"a,,{'9' * 5000}", f"a,{LONG}=x,", f"a,sha256={LONG},", f"{LONG},sha256={HASH},1"],
)
def test_a_row_of_a_record_is_refused_in_few_words(row: str) -> None:
    with pytest.raises(CapsuleError) as refused:
        record.parse(row.encode(), "demo")
    (problem,) = refused.value.problems
    assert problem.code == "record-syntax" and problem.message.startswith("demo: RECORD, row 1: ")
    assert len(problem.message) < 500


@pytest.mark.parametrize(
    "text", [f"{LONG}/ = a:b", f"a = {LONG}-:b", f"[{LONG}", "a = b:c\na = b:d".replace("a", "y" * 5000)]
)
def test_entry_points_are_refused_in_few_words(text: str) -> None:
    with pytest.raises(CapsuleError) as refused:
        scripts.entry_points(f"[console_scripts]\n{text}\n".encode(), "demo", "demo")
    assert all(problem.code == "entry-point" for problem in refused.value.problems)
    assert all(len(problem.message) < 600 for problem in refused.value.problems)


@pytest.mark.parametrize("directories", [1, 300])
def test_metadata_of_others_are_refused_in_few_words(directories: int, tmp_path: Path) -> None:
    metadata = f"Metadata-Version: 2.1\nName: {LONG}\nVersion: 1\n".encode()
    names = [
        f"a{number}-1.dist-info/{name}" for number in range(directories) for name in ("METADATA", "RECORD", "WHEEL")
    ]
    (tmp_path / "a.whl").write_bytes(forge(*(Entry(name.encode(), metadata) for name in names)))
    with ZipReader(str(tmp_path / "a.whl")) as reader, pytest.raises(CapsuleError) as refused:
        read_wheel(reader, "demo-1-py3-none-any.whl", Layout("3.11"))
    (problem,) = refused.value.problems
    assert problem.code == "wheel-metadata" and len(problem.message) < 500


def test_what_installer_says_of_a_wheel_is_shown_without_control_characters(tmp_path: Path) -> None:
    parts = {"METADATA": b"Metadata-Version: 2.1\nName: demo\nVersion: 1\n", "WHEEL": b"Wheel-Version: \x1b[31m2.0\n"}
    rows = [f"demo-1.dist-info/{name},{record.Row.of(name, data).hash},{len(data)}" for name, data in parts.items()]
    parts["RECORD"] = "\n".join([*rows, "demo-1.dist-info/RECORD,,"]).encode()
    entries = [Entry(f"demo-1.dist-info/{name}".encode(), data) for name, data in parts.items()]
    (tmp_path / "a.whl").write_bytes(forge(*entries))
    with ZipReader(str(tmp_path / "a.whl")) as reader, pytest.raises(CapsuleError) as refused:
        read_wheel(reader, "demo-1-py3-none-any.whl", Layout("3.11"))
    (problem,) = refused.value.problems
    assert problem.code == "wheel-format" and "\x1b" not in problem.message and "31m2.0" in problem.message
