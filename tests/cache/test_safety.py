"""Whatever happens to the cache, or to those who use it: the archive is right, and the cache needs nobody's hands."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import shutil
import signal
import subprocess
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from capsule_builder.building.build import Source, build
from capsule_builder.cache import memory
from capsule_builder.cache import store as store_module
from capsule_builder.cache.meanwhile import meanwhile
from capsule_builder.cache.place import Unusable, open_room
from capsule_builder.cache.prune import held, prune
from capsule_builder.errors import CapsuleError
from capsule_builder.sources import states
from tests.cache.trees import MANIFEST, made, plant
from tests.capsbuild.command import COMMAND, ENVIRONMENT


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree whose files count as old at once."""
    monkeypatch.setattr(states, "ALLOWANCE", 20_000_000)
    root = plant(tmp_path / "app")
    time.sleep(0.05)
    return root


def _files(cache: Path) -> list[Path]:
    return sorted(path for kind in ("blobs", "records") for path in (cache / "v1" / kind).iterdir())


def _right(root: Path, cache: Path) -> None:
    """A build with the cache gives what one without gives."""
    out = root.parent / "out.tgz"
    assert made(root, out, cache)[1] == made(root, out, None)[1]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "longer", "zeros"])
def test_damaged_files_are_noticed(root: Path, tmp_path: Path, damage: str) -> None:
    """Every file of the cache in turn, at its beginning, in the middle and at its end."""
    cache = tmp_path / "cache"
    _right(root, cache)
    chance = random.Random(damage)
    for name in [path.name for path in _files(cache)]:
        path = next((path for path in _files(cache) if path.name == name), None)
        assert path
        data = bytearray(path.read_bytes())
        at = chance.choice([0, len(data) // 2, len(data) - 1, chance.randrange(len(data))])
        if damage == "flip":
            data[at] ^= 1 << chance.randrange(8)
        elif damage == "cut":
            del data[at:]
        elif damage == "zeros":
            data[at:] = bytes(len(data) - at)
        path.write_bytes(b"" if damage == "empty" else data + b"x" if damage == "longer" else data)
        _right(root, cache)
        (root / "data/050.txt").write_bytes(name.encode())
        _right(root, cache)


def test_a_file_torn_by_a_crash_is_noticed(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a boot nothing is relied on that was not read again, even if the file system says that nothing changed."""
    cache = tmp_path / "cache"
    _right(root, cache)
    for path in _files(cache):
        if path.parent.name == "blobs":
            status = path.stat()
            with path.open("r+b") as file:
                file.write(bytes(30))
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    monkeypatch.setattr(store_module, "_seal_of", lambda status: f"{status.st_size} {status.st_ino}")
    monkeypatch.setattr(store_module, "_boot", lambda: "another boot")
    _right(root, cache)
    _right(root, cache)


def test_without_a_boot_id_everything_is_read(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_boot", lambda: "")
    cache = tmp_path / "cache"
    for _ in range(3):
        _right(root, cache)


def test_a_cache_that_was_copied_is_of_use(root: Path, tmp_path: Path) -> None:
    cache, copy = tmp_path / "cache", tmp_path / "copy"
    _right(root, cache)
    shutil.copytree(cache, copy)
    (copy / "v1").chmod(0o700)
    before = {path.name: path.stat().st_ino for path in _files(copy)}
    _right(root, copy)
    assert {
        path.name: path.stat().st_ino for path in _files(copy) if path.parent.name == "blobs"
    }.items() <= before.items()


def test_a_file_that_was_changed_behind_the_clock_is_built_again(root: Path, tmp_path: Path) -> None:
    """A known file whose digest is wrong is found out when it is read, and the build does without what it knew."""
    from capsule_builder.cache.memory import Memory
    from capsule_builder.sources.directory import DirectoryTree

    cache = tmp_path / "cache"
    _right(root, cache)
    known = Memory.known

    def wrong(self: Memory, tree: DirectoryTree) -> None:
        known(self, tree)
        if "data/050.txt" in tree.known:
            tree.known["data/050.txt"] = tree.known["data/050.txt"]._replace(sha256="0" * 64)

    (root / "data/new.txt").write_bytes(b"new")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Memory, "known", wrong)
        _right(root, cache)
    _right(root, cache)


class _Full:
    """Lets so many writes into the cache through, and no more."""

    def __init__(self, count: int, code: int) -> None:
        self.left = count
        self.code = code
        self.write = store_module._write

    def __call__(self, fd: int, data: bytes) -> None:
        self.left -= 1
        if self.left < 0:
            self.write(fd, data[: len(data) // 2])
            raise OSError(self.code, os.strerror(self.code))
        self.write(fd, data)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 10, 12])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_is_a_warning(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, code: int
) -> None:
    cache, out = tmp_path / "cache", tmp_path / "out.tgz"
    monkeypatch.setattr(store_module, "_write", _Full(count, code))
    built, found = made(root, out, cache)
    monkeypatch.undo()
    plain, expected = made(root, out, None)
    assert found == expected
    (more,) = set(built.warnings) - set(plain.warnings)
    assert more.code == "cache-unusable"
    assert os.strerror(code) in more.message
    assert not [path for path in _files(cache) if path.name.startswith(".")]
    _right(root, cache)


def test_a_cache_that_cannot_be_made_is_a_warning(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    built, found = made(root, tmp_path / "out.tgz", tmp_path / "file/cache")
    assert [warning.code for warning in built.warnings][-1] == "cache-unusable"
    assert found == made(root, tmp_path / "out.tgz", None)[1]


def test_a_cache_that_others_may_use_is_refused(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    _right(root, cache)
    for path in (cache / "v1", *(cache / "v1").iterdir()):
        assert path.stat().st_mode & 0o077 == 0
    (cache / "v1").chmod(0o755)
    built, _ = made(root, tmp_path / "out.tgz", cache)
    assert "others than its owner may use it" in built.warnings[-1].message
    (cache / "v1").chmod(0o700)
    (cache / "v1").rename(tmp_path / "elsewhere")
    (cache / "v1").symlink_to(tmp_path / "elsewhere")
    built, _ = made(root, tmp_path / "out.tgz", cache)
    assert built.warnings[-1].code == "cache-unusable"


def test_a_cache_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.close(open_room(str(tmp_path / "cache"), make=True))
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(Unusable, match="belongs to another user"):
        open_room(str(tmp_path / "cache"), make=True)


@pytest.fixture
def command(root: Path, tmp_path: Path) -> list[str]:
    """A build of the tree, less its output."""
    return [*COMMAND, "--from-dir", str(root), "--quiet", "--cache-dir", str(tmp_path / "cache")]


def _run(command: list[str], out: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*command, "--output", str(out)], env=ENVIRONMENT, stderr=subprocess.DEVNULL)


def test_killed_at_any_moment(root: Path, tmp_path: Path, command: list[str]) -> None:
    out, expected = tmp_path / "killed.tgz", made(root, tmp_path / "out.tgz", None)[1]
    start = time.monotonic()
    assert _run(command, out).wait() == 0
    took = time.monotonic() - start
    chance = random.Random(1)
    for number in range(12):
        if number % 3 == 0:
            shutil.rmtree(tmp_path / "cache")
        else:
            (root / "data/050.txt").write_bytes(b"%d" % number)
            expected = made(root, tmp_path / "out.tgz", None)[1]
        out.unlink(missing_ok=True)
        process = _run(command, out)
        time.sleep(took * chance.random())
        process.kill()
        process.wait()
        assert not out.exists() or out.read_bytes() == expected
        _right(root, tmp_path / "cache")
    prune(str(tmp_path / "cache"))
    assert not [path for path in _files(tmp_path / "cache") if path.name.startswith(".")]
    _right(root, tmp_path / "cache")


@pytest.mark.parametrize("call", ["openat", "rename,renameat,renameat2", "write", "close", "mkdir,mkdirat"])
def test_killed_at_a_system_call(root: Path, tmp_path: Path, command: list[str], call: str) -> None:
    """By the system itself: the first call of the kind that has to do with the cache, and some later ones."""
    cache, out = tmp_path / "cache", tmp_path / "killed.tgz"
    expected = made(root, tmp_path / "out.tgz", None)[1]
    for when in (1, 2, 7, 40):
        shutil.rmtree(cache, ignore_errors=True)
        inject = f"inject={call}:signal=KILL:when={when}"
        trace = ["strace", "-f", "-qq", "-o", os.devnull, "-P", str(cache / "v1"), "-e", f"trace={call}", "-e", inject]
        if call in {"write", "close"}:
            trace = [
                "strace",
                "-f",
                "-qq",
                "-o",
                os.devnull,
                "-e",
                f"trace={call}",
                "-e",
                inject.replace(f"when={when}", f"when={when * 30}"),
            ]
        out.unlink(missing_ok=True)
        _run([*trace, *command], out).wait()
        assert not out.exists() or out.read_bytes() == expected
        _right(root, cache)


def test_many_builds_at_once_while_others_prune(root: Path, tmp_path: Path, command: list[str]) -> None:
    cache = tmp_path / "cache"
    expected = made(root, tmp_path / "out.tgz", None)[1]
    trees = [root, *(tmp_path / f"copy{number}" for number in range(2))]
    for tree in trees[1:]:
        shutil.copytree(root, tree, symlinks=True)
    pruning = [*COMMAND, "cache", "prune", "--max-size", "1M", "--cache-dir", str(cache)]
    for _ in range(2):
        running: list[tuple[Path, subprocess.Popen[bytes]]] = []
        for number, tree in enumerate(trees * 2):
            out = tmp_path / f"out{number}.tgz"
            building = [str(tree) if part == str(root) else part for part in command]
            running.append((out, _run(building, out)))
            running.append(
                (tmp_path / "out.tgz", subprocess.Popen(pruning, env=ENVIRONMENT, stdout=subprocess.DEVNULL))
            )
        for out, process in running:
            assert process.wait() == 0
            if out.name != "out.tgz":
                assert out.read_bytes() == expected
    _right(root, cache)


def test_a_cache_that_is_deleted_while_it_is_used(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from capsule_builder.cache.memory import Recalled

    cache = tmp_path / "cache"
    _right(root, cache)
    write = Recalled.write

    def deleting(self: Recalled, *arguments: object) -> None:
        shutil.rmtree(cache)
        write(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Recalled, "write", deleting)
    _right(root, cache)


def test_pruning_takes_the_oldest_first(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    other = plant(tmp_path / "other")
    (other / "capsule.yml").write_bytes(MANIFEST.replace(b"alan", b"bert"))
    for name in [f"data/{number:03}.txt" for number in range(120)]:
        (other / name).write_bytes(os.urandom(2000))
    time.sleep(0.05)
    made(root, tmp_path / "out.tgz", cache)
    before = held(str(cache))
    assert before.records == 1
    records = [path for path in _files(cache) if path.parent.name == "records"]
    made(other, tmp_path / "out.tgz", cache)
    for path in _files(cache):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    for path in records:
        os.utime(path, (1_100_000_000, 1_100_000_000))
    pruned = prune(str(cache), size=before.size)
    assert pruned
    assert pruned.left == held(str(cache))
    assert pruned.left.size <= before.size
    assert [path for path in _files(cache) if path.parent.name == "records"] == records
    left = prune(str(cache), age=3600)
    assert left
    assert left.left.size == 0
    _right(root, cache)


def test_verifying_removes_what_is_damaged(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    _right(root, cache)
    victim = next(path for path in _files(cache) if path.parent.name == "blobs")
    data = bytearray(victim.read_bytes())
    data[5] ^= 1
    victim.write_bytes(data)
    pruned = prune(str(cache), verify=True)
    assert pruned
    assert (pruned.damaged, pruned.files) == (1, 1)
    assert not victim.exists()
    _right(root, cache)


def test_a_prune_waits_for_no_build_that_was_not_asked_for(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    _right(root, cache)
    with store_module.Store(str(cache)):
        assert prune(str(cache), wait=False) is None


def test_a_prune_that_hangs_holds_nobody_up(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    _right(root, cache)
    monkeypatch.setattr(store_module, "_PATIENCE", 0.1)
    lock = os.open(cache / "v1/lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    built, found = made(root, tmp_path / "out.tgz", cache)
    assert "it is being pruned" in built.warnings[-1].message
    os.close(lock)
    assert found == made(root, tmp_path / "out.tgz", cache)[1]


@pytest.fixture
def stopped() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are let go at the end."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.send_signal(signal.SIGCONT)
        process.wait()


def test_a_build_that_hangs_holds_nobody_up(
    root: Path, tmp_path: Path, command: list[str], stopped: list[subprocess.Popen[bytes]]
) -> None:
    process = _run(command, tmp_path / "hung.tgz")
    stopped.append(process)
    time.sleep(0.4)
    process.send_signal(signal.SIGSTOP)
    _right(root, tmp_path / "cache")


def test_what_is_no_file_in_the_cache_holds_nobody_up(root: Path, tmp_path: Path, command: list[str]) -> None:
    cache = tmp_path / "cache"
    _right(root, cache)
    for path in _files(cache):
        path.unlink()
        os.mkfifo(path)
    assert _run(command, tmp_path / "out.tgz").wait(20) == 0
    _right(root, cache)


def test_a_wait_that_a_signal_cuts_short_can_be_taken_up_again() -> None:
    class Stop(Exception):
        pass

    def stop(_number: int, _frame: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    go = threading.Event()
    wait = meanwhile(lambda: go.wait(20))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Stop):
            wait()
    finally:
        signal.signal(signal.SIGALRM, before)
    go.set()
    assert wait()
    assert wait()


@pytest.mark.parametrize("place", [".cache", "data/deep/cache", "."])
def test_a_cache_inside_the_source_is_no_part_of_the_capsule(root: Path, tmp_path: Path, place: str) -> None:
    """It would change the capsule with every build; where the rules leave it out it is used."""
    expected = made(root, tmp_path / "out.tgz", None)[1]
    for _ in range(2):
        built, found = made(root, tmp_path / "out.tgz", root / place)
        assert found == expected
        assert "inside the source directory" in built.warnings[-1].message
    with (root / ".capsuleignore").open("a") as rules:
        rules.write("cache/\n.cache/\n/v1/\nCACHEDIR.TAG\n")
    for _ in range(2):
        built, found = made(root, tmp_path / "out.tgz", root / place)
        assert found == expected
    assert not [warning for warning in built.warnings if warning.code == "cache-unusable"]
    assert held(str(root / place)).records == 1


def test_another_compressor_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another release of it may write other bytes."""
    names = [memory._installed()]
    (tmp_path / "deflate").mkdir()
    (tmp_path / "deflate/__init__.py").write_text("__version__ = '1'\n")
    monkeypatch.syspath_prepend(tmp_path)
    names.append(memory._installed())
    (tmp_path / "deflate/_deflate.so").write_bytes(b"other")
    names.append(memory._installed())
    assert len(set(names)) == 3
    assert memory._installed() == names[-1]


def test_a_zip_that_is_replaced_while_it_is_built_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is hashed, and then opened: that must be the same file, or the cache would take one for the other for good."""
    cache, out, app = str(tmp_path / "cache"), str(tmp_path / "out.tgz"), tmp_path / "app.zip"

    def put(text: bytes) -> None:
        with zipfile.ZipFile(tmp_path / "new.zip", "w") as archive:
            archive.writestr("capsule.yml", MANIFEST.decode())
            archive.writestr("app/start.py", text)
        (tmp_path / "new.zip").rename(app)

    def made_of_zip(cache: str | None = cache) -> str:
        return build(Source(str(app), is_zip=True), output=out, cache=cache).id

    digested = memory.digested

    def replaced(file: str, label: str) -> object:
        found = digested(file, label)
        put(b"print(2)")
        return found

    put(b"print(1)")
    first = made_of_zip(None)
    with monkeypatch.context() as patch:
        patch.setattr(memory, "digested", replaced)
        with pytest.raises(CapsuleError, match="changed while it was read"):
            made_of_zip()
    assert made_of_zip() == made_of_zip(None) != first
    put(b"print(1)")
    assert made_of_zip() == first
