"""Content that nobody asks for is checked over processes, and judged as it is where it is read."""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsule_builder.archive import checking
from capsule_builder.archive.checking import FORK_SIZE, Checking
from capsule_builder.archive.index_reader import IndexLayer
from capsule_builder.archive.processes import Processes
from capsule_builder.archive.reader import CapsuleReader
from capsule_builder.errors import CapsuleError
from tests.capsbuild.command import ENVIRONMENT
from tests.format import vectors
from tests.reader.corpus import CORPUS
from tests.reader.corruptions import corruptions
from tests.reader.forge import GZIP, MANIFEST, Forge, One, small

WAYS = {
    "whole": {},
    "entry by entry": {"_RUN": 1},
    "large ones alone": {"_RUN": 1, "_SHARED": 2 * 120},
    "in little memory": {"_RUN": 1, "_SHARED": 2 * 400},
}
"""How the work may be cut: constants of the module that does it."""


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every archive is worth several processes, and is cut in one of the ways."""
    monkeypatch.setattr(checking, "FORK_SIZE", 0)
    name: str = request.param
    for constant, value in WAYS[name].items():
        monkeypatch.setattr(checking, constant, value)
    return name


def verdict(archive: bytes, *, jobs: int, here: bool = False) -> object:
    """What is said of an archive: all of its problems, or its manifest. ``here`` has its entries read."""
    try:
        with CapsuleReader(io.BytesIO(archive), label="forged", jobs=jobs) as reader:
            if here:
                for _ in reader.entries():
                    pass
            return reader.finish()
    except CapsuleError as error:
        return list(error.problems)


def same_for_all(archive: bytes) -> object:
    """The verdict, which is the same however many processes come to it."""
    found = verdict(archive, jobs=1, here=True)
    assert verdict(archive, jobs=1) == found
    assert verdict(archive, jobs=2) == found
    return found


def many(*, broken: tuple[str, ...] = (), count: int = 12) -> bytes:
    """Two layers of files, each with a member of its own; the content of ``broken`` ones is another than is listed."""
    more = [One(f"z{number:02}", "file", f"{number}\n".encode() * (50 + 9 * number)) for number in range(count)]
    layers = [("app", small()), ("more", more)]
    for _, entries in layers:
        for one in entries:
            if one.path in broken:
                one.content = lambda data: data[:-1] + b"X"
    tars = {b"".join(one.tar() for one in entries): entries for _, entries in layers}

    def cut(plains: list[bytes]) -> list[bytes]:
        return [one.tar() for plain in plains for one in tars[plain]]

    return Forge(layers, fragment=cut).build()


@pytest.mark.parametrize("name", CORPUS)
def test_the_corpus_is_refused_in_the_same_words(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "FORK_SIZE", 0)
    monkeypatch.setattr(checking, "_RUN", 1)
    found = same_for_all(CORPUS[name][1]())
    assert isinstance(found, list)
    assert found[0].code == CORPUS[name][0]


def test_every_kind_of_damage_is_found_in_the_same_place(way: str) -> None:
    archive = many(count=3)
    head = archive.index(GZIP + zlib_of(small()[0].tar()))
    verdicts = set()
    for number, corrupt in enumerate(corruptions(archive)):
        if number // 6 >= head and number % 23 == 0 and corrupt != archive:
            verdicts.add(str(same_for_all(corrupt)))
    assert len(verdicts) > 15, way


def zlib_of(plain: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflate.compress(plain) + deflate.flush()


def test_what_is_first_in_the_archive_is_told(way: str) -> None:
    assert same_for_all(many()) == same_for_all(many(count=0))
    for first, second in pairwise(["capsule.yml", "start.sh", "z00", "z05", "z11"]):
        found = same_for_all(many(broken=(first, second)))
        assert isinstance(found, list)
        assert [problem.message for problem in found] == [f"forged: not what the listing says: {first}"]
    cut = same_for_all(many(broken=("z05",))[:-29])  # and its last member is cut off
    assert isinstance(cut, list)
    assert cut[0].code == "content-hash"
    cut = same_for_all(many()[:-29])
    assert isinstance(cut, list)
    assert cut[0].code == "archive-truncated"
    more = same_for_all(many() + b"x")
    assert isinstance(more, list)
    assert more[0].code == "archive-trailing"


def test_the_manifest_comes_from_wherever_it_is(way: str) -> None:
    for name in vectors.VECTORS:
        manifest = same_for_all((vectors.DIRECTORY / name / "capsule.tar.gz").read_bytes())
        assert getattr(manifest, "name", None) == name, way


def test_a_bad_manifest_comes_before_what_is_wrong_behind_it(way: str) -> None:
    entries = small()
    entries[0].data = MANIFEST.replace(b"1.2.3", b"1.0")
    entries[1].content = lambda data: data[:-1] + b"X"
    found = same_for_all(Forge([("app", entries)]).build())
    assert isinstance(found, list)
    assert found[0].message == "YAML reads 1.0 as a number", way


def test_every_byte_is_told_once_and_in_order(way: str) -> None:
    archive, seen = many(), bytearray()
    with CapsuleReader(io.BytesIO(archive), label="x", watch=seen.extend, jobs=2) as reader:
        reader.finish()
    assert seen == archive, way


class Failing(io.BytesIO):
    """Cannot be read from some byte on."""

    def __init__(self, data: bytes, at: int) -> None:
        super().__init__(data)
        self._from = at

    def readinto(self, room: object) -> int:
        view = memoryview(room)  # type: ignore[arg-type]
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def read(self, size: int | None = -1) -> bytes:
        left = self._from - self.tell()
        if left <= 0:
            raise OSError(5, "Input/output error", "disk")
        return super().read(min(left, left if size is None or size < 0 else size))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_file_that_cannot_be_read_is_told_after_what_comes_before(way: str, jobs: int) -> None:
    def finish(archive: bytes, at: int) -> None:
        with CapsuleReader(Failing(archive, at), label="x", jobs=jobs) as reader:
            reader.finish()

    archive = many()
    for at in (len(archive) - 1, len(archive) - 50, len(archive) - 400):
        with pytest.raises(OSError, match="disk") as failed:
            finish(archive, at)
        assert failed.value.errno == 5
    archive = many(broken=("z01",))
    with pytest.raises(CapsuleError, match="z01"):
        finish(archive, len(archive) - 50)


def test_a_process_that_is_killed_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "FORK_SIZE", 0)
    here, check = os.getpid(), Checking._check_there

    def killed(self: Checking, task: checking._Task) -> object:
        if os.getpid() != here and task.layer == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return check(self, task)

    monkeypatch.setattr(Checking, "_check_there", killed)
    found = verdict(many(), jobs=2)
    assert isinstance(found, list)
    assert found[0].code == "process-ended"
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_where_there_are_no_processes_it_is_done_here(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = verdict(many(), jobs=2)

    def unable() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", unable)
    assert verdict(many(), jobs=2) == expected, way
    found = verdict(many(broken=("z03", "z07")), jobs=2)
    assert isinstance(found, list)
    assert "z03" in found[0].message


def test_little_content_is_checked_here(monkeypatch: pytest.MonkeyPatch) -> None:
    forks: list[int] = []
    fork = Processes._fork

    def counted(self: Processes[object, object]) -> object:
        forks.append(1)
        return fork(self)

    monkeypatch.setattr(Processes, "_fork", counted)
    for size, jobs, expected in [(FORK_SIZE - 1000, 2, 0), (FORK_SIZE, 1, 0), (FORK_SIZE, 3, 3)]:
        archive = Forge([("app", [*small(), One("zeros", "file", bytes(size))])]).build()
        verdict(archive, jobs=jobs)
        assert len(forks) == expected


@given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), max_size=60))
def test_shared_memory_is_taken_by_one_at_a_time(steps: list[tuple[int, bool]]) -> None:
    shared, held = checking._Shared(100), list[tuple[int, int]]()
    for size, free in steps:
        if free and held:
            held.pop(0)
            shared.free()
        while not shared.has_room(size):
            assert held, "all is free"
            held.pop(0)
            shared.free()
        start = shared.take(size, size)
        assert 0 <= start <= start + size <= 100
        assert not any(start < other + length and other < start + size for other, length in held)
        held.append((start, size))
        assert shared.weight == sum(length for _, length in held)


def layers() -> Iterator[IndexLayer]:
    for name in vectors.VECTORS:
        with CapsuleReader(io.BytesIO((vectors.DIRECTORY / name / "capsule.tar.gz").read_bytes()), label="x") as reader:
            yield from reader.index.layers


@pytest.mark.parametrize("most", [1, 1000, 100_000, 1 << 30])
def test_runs_are_all_of_a_layer_and_end_where_entries_do(most: int) -> None:
    counts = []
    for layer in layers():
        runs = list(layer.runs(most))
        counts.append(len(runs))
        for before, after in pairwise(runs):
            assert (before.members[1], before.entries[1]) == (after.members[0], after.entries[0])
        assert (runs[0].members[0], runs[0].entries[0]) == (0, 0)
        assert (runs[-1].members[1], runs[-1].entries[1]) == (layer.all.members[1], layer.all.entries[1])
        assert sum(run.size for run in runs) == layer.facts.compressed_size
        offsets = [entry.offset for entry in layer.entries()]
        assert all(offsets[run.entries[0]] == 0 for run in runs)
        assert max(run.weight for run in runs) >= max(member.plain_size for member in layer.members())
    assert (max(counts) > 2) == (most < 1 << 30)


def heavy(sizes: list[int]) -> bytes:
    """A capsule of files of zeros, each with its header in a member of its own."""
    entries = [*small(), *(One(f"z{number:03}", "file", bytes(size)) for number, size in enumerate(sizes))]

    def quick(plain: bytes) -> bytes:
        deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
        return GZIP + deflate.compress(plain) + deflate.flush() + struct.pack("<II", zlib.crc32(plain), len(plain))

    def cut(_: list[bytes]) -> list[bytes]:
        return [one.tar() for one in entries]

    return Forge([("app", entries)], fragment=cut, member=quick).build()


@pytest.mark.parametrize("jobs", [2, 5, 64])
@pytest.mark.parametrize("size", [12 << 20, 40 << 20])
def test_all_processes_together_stay_small(size: int, jobs: int, tmp_path: Path) -> None:
    """What is inflated grows smaller bit by bit: what a process has freed, it does not always give back."""
    (tmp_path / "heavy").write_bytes(heavy([size - number * 70_000 for number in range(10)]))
    command = [sys.executable, "-c", "from capsule_builder.cli.capsbuild import main; raise SystemExit(main())"]
    running = subprocess.Popen(
        [*command, "verify", tmp_path / "heavy", "--jobs", str(jobs), "--quiet"], env=ENVIRONMENT
    )
    peak = processes = 0
    while running.poll() is None:
        found = [running.pid, *_children(running.pid)]
        peak, processes = max(peak, sum(map(_memory, found))), max(processes, len(found))
        time.sleep(0.005)
    print(f"{jobs}: {peak >> 10} MiB in {processes} processes")
    assert running.returncode == 0
    assert processes == 1 + min(jobs, 6)  # more would have no room
    assert peak < 256 << 10


def _children(pid: int) -> list[int]:
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:  # it has ended
        return []


def _memory(pid: int) -> int:
    """The memory of a process, in KiB; what it shares with others counts in part."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
