"""The layer of a directory, written in parts by several processes."""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsule_builder.archive.sizes import BLOCK_SIZE, PACK_SIZE
from capsule_builder.building import parts, writing
from capsule_builder.building.build import Built, Source, build
from capsule_builder.errors import CapsuleError
from capsule_builder.layer import LayerFiles, write_layer
from capsule_builder.patterns import Patterns
from capsule_builder.sources.directory import scan
from capsule_builder.sources.files import OpenFile

MANIFEST = b"name: alan\nversion: 2.1.0\nentrypoint: start.sh\n"


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_WORTH_PROCESSES", 0)
    monkeypatch.setattr(parts, "_LARGE", 2 << 20)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Small files of every kind, and some that are larger than a member."""
    root, draw = tmp_path / "app", random.Random(1)
    for number in range(400):
        path = root / f"directory{number % 7}/file {number:03}é.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(draw.randbytes(draw.choice([0, 1, 511, 512, 513, 5000, 60_000])))
    for number, size in enumerate([BLOCK_SIZE - 512, BLOCK_SIZE - 511, 3 * BLOCK_SIZE + 7, PACK_SIZE]):
        (root / f"directory3/large {number}").write_bytes(draw.randbytes(size))
    (root / "capsule.yml").write_bytes(MANIFEST)
    (root / "start.sh").write_bytes(b"#!/bin/sh\n")
    (root / "link").symlink_to("start.sh")
    (root / "directory1" / ("n" * 120)).symlink_to("../" + "start.sh")
    (root / "empty" / ("e" * 120)).mkdir(parents=True)
    (root / "directory2" / ("long" * 60)).write_bytes(b"x" * 700)
    return root


def _build(root: Path, jobs: int, **options: object) -> tuple[Built, bytes]:
    out = root.parent / f"{jobs}.tar.gz"
    built = build(Source(str(root)), output=str(out), jobs=jobs, **options)  # type: ignore[arg-type]
    return built, out.read_bytes()


@pytest.mark.parametrize("size", [1, 1 << 18, parts.PART_SIZE, 1 << 40])
def test_parts_of_any_size_give_the_same_bytes(
    size: int, app: Path, forks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _build(app, 1)[1]
    assert not forks
    monkeypatch.setattr(parts, "PART_SIZE", size)
    for jobs in (2, 5):
        assert _build(app, jobs)[1] == expected
    assert len(forks) == 7


SIZES = st.one_of(
    st.integers(0, 3000),
    st.sampled_from([PACK_SIZE - 1024, PACK_SIZE - 512, PACK_SIZE, BLOCK_SIZE - 1024, BLOCK_SIZE - 512, BLOCK_SIZE]),
    st.integers(0, 2 * BLOCK_SIZE),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text("abc", min_size=1, max_size=5), SIZES), max_size=40, unique_by=lambda item: item[0]))
def test_every_part_begins_a_member(files: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "app"
        root.mkdir()
        for name, size in files:
            with (root / name).open("wb") as file:
                file.truncate(size)
        tree, _ = scan(str(root))
        with tree, contextlib.ExitStack() as stack:
            entries = tree.entries(MANIFEST, Patterns([]), [])
            sizes = dict(zip(tree.files, tree.sizes, strict=True))
            cut = list(parts.parts(entries, sizes))
            assert [part.start for part in cut] == [0, *(part.end for part in cut)][:-1]
            assert cut[-1].end == len(entries.paths)
            index = stack.enter_context(tempfile.TemporaryFile())
            others = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(2)]
            write_layer(entries, LayerFiles(others[0], others[1], index), jobs=0)
            index.seek(0)
            first = {
                b"0\t%d\t%s" % (sizes[path], path.encode()) for path in (entries.paths[part.start] for part in cut)
            }
            assert first <= set(index.read().split(b"\n"))


def test_small_ones_make_parts_of_some_size(app: Path) -> None:
    tree, _ = scan(str(app))
    with tree:
        entries = tree.entries(MANIFEST, Patterns([]), [])
        cut = list(parts.parts(entries, dict(zip(tree.files, tree.sizes, strict=True))))
    assert [entries.paths[part.start] for part in cut if part.large] == ["directory3/large 2"]
    assert len(cut) <= 2 * 2 + 1 + tree.size // parts.PART_SIZE


def test_warnings_and_progress_are_the_same(app: Path) -> None:
    for number in (3, 200, 399):
        (app / f"directory{number % 7}/file {number:03}é.txt").chmod(0o755)
    (app / "capsule.yml").write_bytes(MANIFEST + b"executables: ['*200*']\n")
    told: dict[int, int] = {1: 0, 2: 0}

    def progress(jobs: int) -> Callable[[int], contextlib.AbstractContextManager[Callable[[int], None]]]:
        def tell(size: int) -> None:
            told[jobs] += size

        return lambda _: contextlib.nullcontext(tell)

    alone, shared = (_build(app, jobs, progress=progress(jobs)) for jobs in (1, 2))
    assert "file 003" in str(alone[0].warnings)
    assert shared[0].warnings == alone[0].warnings
    assert shared[1] == alone[1]
    assert told[1] == told[2] > 0


def test_all_files_that_vanished_are_told(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = [f"directory{number % 7}/file {number:03}é.txt" for number in (1, 2, 350)] + ["directory3/large 2"]
    monkeypatch.setattr(parts, "PART_SIZE", 1 << 17)
    take = parts.parts

    def removing(*arguments: object) -> object:
        for path in gone:
            (app / path).unlink(missing_ok=True)
        return take(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(parts, "parts", removing)
    with pytest.raises(CapsuleError) as refused:
        _build(app, 2)
    assert {problem.code for problem in refused.value.problems} == {"file-vanished"}
    assert sorted(problem.message.rpartition(": ")[2] for problem in refused.value.problems) == sorted(gone)
    assert not list(app.parent.glob("*.gz*"))


@pytest.mark.parametrize("name", ["directory1/file 001é.txt", "directory3/large 2"])
def test_a_file_that_grows_is_refused(name: str, app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take = parts.parts

    def growing(*arguments: object) -> object:
        with (app / name).open("ab") as file:
            file.write(b"more")
        return take(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(parts, "parts", growing)
    with pytest.raises(CapsuleError) as refused:
        _build(app, 2)
    assert [(problem.code, problem.message.rpartition(": ")[2]) for problem in refused.value.problems] == [
        ("file-changed", name)
    ]


def test_a_process_that_is_killed_ends_the_build(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = OpenFile.chunks

    def killed(self: OpenFile) -> object:
        if os.getpid() != ours and not zlib.crc32(self.path.encode()) % 50:
            os.kill(os.getpid(), 9)
        return chunks(self)

    ours = os.getpid()
    monkeypatch.setattr(OpenFile, "chunks", killed)
    with pytest.raises(CapsuleError) as refused:
        _build(app, 2)
    assert {problem.code for problem in refused.value.problems} == {"process-ended"}
    assert not list(app.parent.glob("*.gz*"))
