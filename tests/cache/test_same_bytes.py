"""The bytes of an archive are the same with and without the cache, whatever is in it and whatever was edited."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from capsule_builder.building.build import Built
from capsule_builder.cache import memory as memory_module
from capsule_builder.errors import CapsuleError
from capsule_builder.sources import states
from tests.cache.trees import MANIFEST, made, plant


@pytest.fixture
def no_allowance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as old at once, but for those of the present tick."""
    monkeypatch.setattr(states, "ALLOWANCE", 20_000_000)


class Bench:
    """A tree that is built with one cache, again and again, and compared with builds from nothing."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.root = plant(place / "app")
        self.cache = place / "cache"
        self.how: list[str] = []

    def same(self, root: Path | None = None) -> Built:
        """Builds with the cache; the bytes and the words are those of a build without."""
        root = root or self.root
        plain, expected = made(root, self.place / "plain.tgz", None)
        built, found = made(root, self.place / "cached.tgz", self.cache)
        assert found == expected
        assert (built.id, built.files, built.warnings, built.notes) == (
            plain.id,
            plain.files,
            plain.warnings,
            plain.notes,
        )
        return built


@pytest.fixture
def bench(tmp_path: Path, no_allowance: None, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A tree that was built twice, so that everything about it is remembered."""
    bench = Bench(tmp_path)
    recall = memory_module.Memory.recall

    def noted(memory: memory_module.Memory, *arguments: object) -> memory_module.Recalled | None:
        found = recall(memory, *arguments)  # type: ignore[arg-type]
        bench.how.append("recalled" if found else "made")
        return found

    monkeypatch.setattr(memory_module.Memory, "recall", noted)
    # The checkout may be edited while the tests run, and what another builder has remembered does not count.
    monkeypatch.setattr(memory_module, "_installed", lambda: b"this builder")
    _settle()
    bench.same()
    bench.same()
    assert bench.how == ["made", "recalled"]
    bench.how.clear()
    return bench


def _settle() -> None:
    """Waits until what was written is older than the allowance."""
    import time

    time.sleep(0.05)


def _replace(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _keep_times(root: Path) -> None:
    path = root / "data/007.txt"
    status = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _swap(root: Path) -> None:
    (root / "data/001.txt").rename(root / "spare")
    (root / "data/002.txt").rename(root / "data/001.txt")
    (root / "spare").rename(root / "data/002.txt")


def _retarget(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").symlink_to("app/empty.py")


def _file_for_directory(root: Path) -> None:
    (root / "nothing").rmdir()
    (root / "nothing").write_bytes(b"something")


def _directory_for_file(root: Path) -> None:
    (root / "data/003.txt").unlink()
    (root / "data/003.txt").mkdir()
    (root / "data/003.txt/x").write_bytes(b"x")


def _link_for_file(root: Path) -> None:
    (root / "data/003.txt").unlink()
    (root / "data/003.txt").symlink_to("004.txt")


PATCHED: dict[str, Callable[[Path], object]] = {
    "content, same size and mtime": _keep_times,
    "content, longer": lambda root: _replace(root / "data/050.txt", b"x" * 90_000),
    "content, empty": lambda root: _replace(root / "data/050.txt", b""),
    "first file": lambda root: _replace(root / "app/empty.py", b"pass\n"),
    "last file": lambda root: _replace(root / "tools/script", b"#!/bin/bash\n"),
    "a large file": lambda root: _replace(root / "data/large.bin", b"z" * 2_000_001),
    "a large file becomes small": lambda root: _replace(root / "data/large.bin", b"z"),
    "a small file becomes large": lambda root: _replace(root / "data/000.txt", b"z" * 3_000_000),
    "the file before the large ones grows": lambda root: _replace(root / "data/119.txt", b"z" * 1_000_000),
    "several": lambda root: [_replace(root / f"data/{n:03}.txt", b"q" * n * n) for n in range(0, 120, 7)],
    "an executable by its pattern": lambda root: _replace(root / "tools/run.sh", b"echo again\n"),
    "nothing, but written": lambda root: _replace(root / "data/050.txt", (root / "data/050.txt").read_bytes()),
    "swapped": _swap,
}

MADE_ANEW: dict[str, Callable[[Path], object]] = {
    "a script": lambda root: _replace(root / "data/050.txt", b"#!/bin/sh\n"),
    "no script any more": lambda root: _replace(root / "tools/script", b"echo\n"),
    "new file": lambda root: _replace(root / "data/new.txt", b"new"),
    "removed file": lambda root: (root / "data/050.txt").unlink(),
    "renamed file": lambda root: (root / "data/050.txt").rename(root / "data/zzz.txt"),
    "renamed directory": lambda root: (root / "data").rename(root / "dates"),
    "link retargeted": _retarget,
    "link removed": lambda root: (root / "link").unlink(),
    "empty directory removed": lambda root: (root / "nothing").rmdir(),
    "file for directory": _file_for_directory,
    "directory for file": _directory_for_file,
    "link for file": _link_for_file,
    "manifest": lambda root: _replace(root / "capsule.yml", MANIFEST.replace(b"2.1.0", b"2.1.1")),
    "executables": lambda root: _replace(root / "capsule.yml", MANIFEST.replace(b"/tools/*.sh", b"*.txt")),
    "ignore file": lambda root: _replace(root / ".capsuleignore", b"*.log\n/data/00*\n"),
    "ignore file less": lambda root: _replace(root / ".capsuleignore", b""),
    "another ignore file": lambda root: _replace(root / "data/.capsuleignore", b"1*\n"),
    "a bit that is dropped": lambda root: (root / "data/050.txt").chmod(0o755),
}


@pytest.mark.parametrize("edit", PATCHED.values(), ids=PATCHED.keys())
def test_same_bytes_after_contents_have_changed(bench: Bench, edit: Callable[[Path], object]) -> None:
    edit(bench.root)
    bench.same()
    assert bench.how == ["recalled"]
    _settle()
    bench.same()
    bench.same()
    assert bench.how == ["recalled"] * 3


@pytest.mark.parametrize("edit", MADE_ANEW.values(), ids=MADE_ANEW.keys())
def test_same_bytes_after_other_edits(bench: Bench, edit: Callable[[Path], object]) -> None:
    edit(bench.root)
    bench.same()
    assert bench.how == ["made"]
    _settle()
    bench.same()
    bench.same()
    assert bench.how == ["made", "recalled", "recalled"]


def test_same_bytes_where_the_head_has_several_members(bench: Bench) -> None:
    """Those that hold what has not changed are taken over: of the listing the first or the second."""
    for number in range(6000):
        place = bench.root / f"data/{'long' * 30}-{number:04}"
        place.write_bytes(b"%d" % number)
        os.utime(place, (1_500_000_000, 1_500_000_000))
    bench.same()
    for path in ("app/start.py", "tools/script", "app/start.py", "app/start.py", "tools/script"):
        with open(bench.root / path, "ab") as file:
            file.write(b"# more\n")
        bench.same()
    assert bench.how == ["made", *["recalled"] * 5]


def test_a_bit_that_is_dropped_comes_and_goes(bench: Bench) -> None:
    path = bench.root / "data/050.txt"
    path.chmod(0o755)
    assert "executable-dropped" in [warning.code for warning in bench.same().warnings]
    _settle()
    bench.same()
    path.write_bytes(b"\x7fELF, or so")  # a library, in the words of the warning
    assert "shared library" in str(bench.same().warnings)
    path.chmod(0o644)
    assert "executable-dropped" not in [warning.code for warning in bench.same().warnings]
    assert bench.how == ["made", "recalled", "made", "made"]


def test_a_copy_of_the_tree_is_another_source(bench: Bench) -> None:
    other = bench.place / "copy"
    shutil.copytree(bench.root, other, symlinks=True)
    (other / "data/010.txt").write_bytes(b"another")
    bench.same(other)
    bench.same()
    _settle()
    assert bench.same(other).id != bench.same().id


def test_another_tree_in_the_same_place(bench: Bench) -> None:
    bench.root.rename(bench.place / "before")
    plant(bench.root)
    (bench.root / "data/010.txt").write_bytes(b"another")
    bench.same()
    shutil.rmtree(bench.root)
    (bench.place / "before").rename(bench.root)
    bench.same()


def test_writes_within_one_tick_are_seen(tmp_path: Path) -> None:
    """With the true allowance: the file changes while the build goes on, and at once after it, in the same size."""
    bench = Bench(tmp_path)
    path = bench.root / "data/010.txt"
    seen = set()
    for number in range(12):
        path.write_bytes(b"%04d" % number)
        seen.add(bench.same().id)
    assert len(seen) == 12


def test_times_in_the_future_never_count(bench: Bench) -> None:
    path = bench.root / "data/010.txt"
    os.utime(path, (4_000_000_000, 4_000_000_000))
    bench.same()
    line = states.Watch(str(bench.root)).line("x", path.stat())
    assert not states.is_reliable(line)
    bench.same()


def test_a_clock_that_goes_back_makes_nothing_reliable(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states.time, "time_ns", lambda: 1_000_000_000_000_000_000)
    line = states.Watch(str(bench.root)).line("x", (bench.root / "app/start.py").stat())
    assert not states.is_reliable(line)
    (bench.root / "data/010.txt").write_bytes(b"while the clock is wrong")
    bench.same()
    bench.same()


def test_other_options_are_other_builds(bench: Bench) -> None:
    from capsule_builder.building.build import Source, build

    found = {}
    for level in (1, 6, 9, 1, 6):
        for cache in (None, str(bench.cache)):
            out = bench.place / "level.tgz"
            build(Source(str(bench.root)), output=str(out), cache=cache, level=level)
            assert found.setdefault(level, out.read_bytes()) == out.read_bytes()
    assert len(set(found.values())) == 3


def test_a_stamp_is_never_remembered(bench: Bench) -> None:
    from capsule_builder.building.build import Source, build
    from capsule_builder.metadata import BuildFacts

    out = bench.place / "stamped.tgz"
    for moment in ("2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"):
        archives = []
        for cache in (None, str(bench.cache)):
            build(Source(str(bench.root)), output=str(out), cache=cache, build=BuildFacts(moment, "here"))
            archives.append(out.read_bytes())
        assert archives[0] == archives[1]
    bench.same()


def test_the_digest_of_the_archive_is_right_when_it_is_recalled(bench: Bench) -> None:
    import hashlib

    from capsule_builder.building.build import Source, build

    out = bench.place / "hashed.tgz"
    for _ in range(3):
        built = build(Source(str(bench.root)), output=str(out), cache=str(bench.cache), hash_archive=True)
        assert built.archive_sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
        (bench.root / "data/010.txt").write_bytes(json.dumps(built.id).encode())


def test_refusals_are_the_same(bench: Bench) -> None:
    (bench.root / "dangling").symlink_to("nowhere")
    errors = []
    for cache in (None, bench.cache):
        with pytest.raises(CapsuleError) as refused:
            made(bench.root, bench.place / "x.tgz", cache)
        errors.append(str(refused.value))
    assert errors[0] == errors[1]
    (bench.root / "dangling").unlink()
    bench.same()


def test_a_file_that_changes_while_it_is_built_is_never_remembered_wrong(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is written to after the walk has seen it, and before it is read."""
    from capsule_builder.cache import memory

    path = bench.root / "data/010.txt"
    known = memory.Memory.known

    def meddling(self: memory.Memory, tree: object) -> None:
        known(self, tree)  # type: ignore[arg-type]
        path.write_bytes(b"meanwhile")

    (bench.root / "data/new.txt").write_bytes(b"so that it is made anew")
    monkeypatch.setattr(memory.Memory, "known", meddling)
    made(bench.root, bench.place / "x.tgz", bench.cache)
    monkeypatch.setattr(memory.Memory, "known", known)
    bench.same()
    _settle()
    bench.same()


def test_zips_are_the_same_too(bench: Bench) -> None:
    import zipfile

    from capsule_builder.building.build import Source, build

    file = bench.place / "app.zip"
    for text in (b"one", b"two"):
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("capsule.yml", MANIFEST)
            archive.writestr("app/start.py", text * 20_000)
        bench.how.clear()
        for _ in range(3):
            archives = []
            for cache in (None, str(bench.cache)):
                out = bench.place / "zip.tgz"
                build(Source(str(file), is_zip=True), output=str(out), cache=cache)
                archives.append(out.read_bytes())
            assert archives[0] == archives[1]
        assert bench.how == ["made", "recalled", "recalled"]


def test_what_another_builder_has_remembered_does_not_count(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "_installed", lambda: b"another builder")
    bench.same()
    assert bench.how == ["made"]


def test_any_edit_of_its_modules_makes_another_builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = shutil.copytree(Path(memory_module.__file__).parents[1], tmp_path / "capsule_builder")
    monkeypatch.setattr(memory_module, "__file__", str(package / "cache/memory.py"))
    before = memory_module._installed()
    assert memory_module._installed() == before
    os.utime(package / "archive/tar.py", (1, 1))
    assert memory_module._installed() != before
