"""Tar headers, against Python's own reader."""

from __future__ import annotations

import io
import tarfile
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from capsule_builder.archive import tar
from capsule_builder.paths import path_problem

Kind = Literal["file", "executable", "symlink", "dir"]
TYPES = {"file": tarfile.REGTYPE, "executable": tarfile.REGTYPE, "symlink": tarfile.SYMTYPE, "dir": tarfile.DIRTYPE}
MODES = {"file": 0o644, "executable": 0o755, "symlink": 0o777, "dir": 0o755}


def read(header: bytes) -> tarfile.TarInfo:
    """The header as Python reads it; what it says of the content need not be there."""
    with tarfile.open(
        fileobj=io.BytesIO(header + bytes(2 * tar.BLOCK)), mode="r:", errorlevel=2, errors="strict"
    ) as archive:
        member = archive.next()
        assert member
        return member


def check(path: str, kind: Kind, size: int = 0, target: str = "") -> bytes:
    header = tar.header(path, kind, size, target)
    member = read(header)
    assert len(header) % tar.BLOCK == 0
    assert (member.name, member.size, member.linkname) == (path, size, target)
    assert (member.type, member.mode) == (TYPES[kind], MODES[kind])
    assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", tar.MTIME)
    assert (member.devmajor, member.devminor) == (0, 0)
    return header


PARTS = st.text("abé漢 -*", min_size=1, max_size=255).map(lambda part: part.encode()[:255].decode(errors="ignore"))
PATHS = st.lists(PARTS, min_size=1, max_size=20).map("/".join).filter(lambda path: path_problem(path) is None)


@given(PATHS, st.sampled_from(["file", "executable", "dir"]), st.integers(0, 1 << 60))
@example("a", "file", 8**11 - 1)
@example("a", "file", 8**11)
def test_paths_and_sizes_are_read_back(path: str, kind: Kind, size: int) -> None:
    check(path, kind, 0 if kind == "dir" else size)


@given(PATHS, PATHS)
def test_links_are_read_back(path: str, target: str) -> None:
    check(path, "symlink", target=target)


BORDERS: list[tuple[str, Kind, int]] = [
    ("n" * 100, "file", 1),
    ("n" * 101, "file", 3),
    ("n" * 99, "dir", 1),
    ("n" * 100, "dir", 3),
    ("p" * 155 + "/" + "n" * 100, "file", 1),
    ("p" * 155 + "/" + "n" * 101, "file", 3),
    ("p" * 156 + "/" + "n" * 100, "file", 3),
    ("p" * 155 + "/" + "n" * 99, "dir", 1),
    ("p" * 155 + "/" + "n" * 100, "dir", 3),
    ("p/" + "n" * 99, "file", 1),
    ("p/" + "n" * 101, "file", 3),
    ("é" * 50, "file", 1),
    ("é" * 50 + "x", "file", 3),
    ("p/q/" * 38 + "p/" + "n" * 100, "file", 1),  # 154 bytes before the last /
    ("p" * 100 + "/q/" + "n" * 98, "file", 1),
]


@pytest.mark.parametrize(("path", "kind", "blocks"), BORDERS, ids=range(len(BORDERS)))
def test_pax_is_used_only_where_ustar_cannot_hold_the_name(path: str, kind: Kind, blocks: int) -> None:
    assert len(check(path, kind)) == blocks * tar.BLOCK


@pytest.mark.parametrize(("length", "blocks"), [(100, 1), (101, 3), (4096, 11)])
def test_pax_is_used_only_where_ustar_cannot_hold_the_target(length: int, blocks: int) -> None:
    assert len(check("l", "symlink", target="t" * length)) == blocks * tar.BLOCK


@pytest.mark.parametrize(("size", "record"), [
    (8**11 - 1, None), (8**11, b"19 size=8589934592\n"), (9 << 30, b"19 size=9663676416\n"),
    (10**10, b"20 size=10000000000\n"),
])  # fmt: skip
def test_a_size_over_8_gib_goes_to_a_pax_record(size: int, record: bytes | None) -> None:
    header = check("big", "file", size)
    if record is None:
        assert len(header) == tar.BLOCK
    else:
        assert header[512:1024].rstrip(b"\0") == record
        assert header[1024 + 124 : 1024 + 136] == b"00000000000\0"


@pytest.mark.parametrize("length", [101, *range(980, 995)])  # 4 digits from 985 on
def test_a_pax_record_counts_its_own_length(length: int) -> None:
    header = tar.header("l", "symlink", target="t" * length)
    size, _, rest = header[512:].partition(b" ")
    assert rest[: int(size) - len(size) - 1] == b"linkpath=" + b"t" * length + b"\n"
    assert not rest[int(size) - len(size) - 1 : -512].strip(b"\0")


def test_a_reader_without_pax_gets_whole_characters() -> None:
    header = tar.header("a" + "é" * 100, "symlink", target="漢" * 40)
    last = header[-512:]
    assert last[:100].rstrip(b"\0").decode() == "a" + "é" * 49
    assert last[157:257].rstrip(b"\0").decode() == "漢" * 33
