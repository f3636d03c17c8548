"""A file is watched while it is read: what writes to it is noticed, what merely links to it is not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from capsule_builder.errors import CapsuleError
from capsule_builder.sources.files import OpenFile, open_regular

SIZE = 3 << 20


@pytest.fixture
def file(tmp_path: Path) -> Iterator[OpenFile]:
    (tmp_path / "a").write_bytes(bytes(SIZE))
    opened = open_regular(tmp_path / "a", "a", follow=False)
    yield opened
    os.close(opened.fd)


def read_while(file: OpenFile, happens: Callable[[], object]) -> int:
    chunks = file.chunks()
    size = len(next(chunks))
    happens()
    return size + sum(map(len, chunks))


def same_size_and_time(path: Path) -> None:
    status = path.stat()
    with path.open("r+b") as writing:
        writing.write(b"other")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "longer": lambda path: path.open("ab").write(b"x"),
    "shorter": lambda path: os.truncate(path, SIZE - 1),
    "other bytes": lambda path: path.write_bytes(b"x" * SIZE),
    "other bytes, with the old time": same_size_and_time,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_while_a_file_is_read_is_refused(file: OpenFile, tmp_path: Path, change: str) -> None:
    with pytest.raises(CapsuleError) as refused:
        read_while(file, lambda: CHANGES[change](tmp_path / "a"))
    assert refused.value.problems[0].code == "file-changed"


def test_another_hard_link_is_no_change(file: OpenFile, tmp_path: Path) -> None:
    assert read_while(file, lambda: os.link(tmp_path / "a", tmp_path / "b")) == SIZE


def test_one_hard_link_less_is_no_change(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(SIZE))
    os.link(tmp_path / "a", tmp_path / "b")
    opened = open_regular(tmp_path / "a", "a", follow=False)
    assert read_while(opened, (tmp_path / "b").unlink) == SIZE
    os.close(opened.fd)
