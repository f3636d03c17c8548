"""Layers of wheels that are written by several processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import pytest

from capsule_builder.building import writing
from capsule_builder.building.build import PythonOptions, Source, build
from capsule_builder.errors import CapsuleError
from capsule_builder.python import wheelhouse
from capsule_builder.python.gather import Wish
from capsule_builder.python.wheelhouse import from_wheels
from capsule_builder.requirements import Target, read_requirements
from tests.capsbuild.command import write
from tests.relocate.wheels import wheel

MANIFEST = b'name: alan\nversion: 2.1.0\nentrypoint: start.py\ndependencies:\n  python: "3.11"\n'
SIZE = 3 << 20


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return write(tmp_path / "app", {"capsule.yml": MANIFEST, "start.py": "print('hello')\n"})


@pytest.fixture
def house(tmp_path: Path) -> Path:
    folder = tmp_path / "house"
    folder.mkdir()
    for number in range(5):
        files = {f"package{number}/{part}.py": bytes(SIZE // 10 * number) + os.urandom(3000) for part in range(10)}
        wheel(folder, f"package{number}", "1.0", files)
    return folder


def _built(app: Path, house: Path, jobs: int, told: list[int] | None = None) -> bytes:
    out = app.parent / f"{jobs}.tar.gz"
    python = PythonOptions(Wish(wheels=str(house), verify=False))
    progress = (lambda _: contextlib.nullcontext(told.append)) if told is not None else None
    build(Source(str(app)), output=str(out), jobs=jobs, python=python, progress=progress)
    return out.read_bytes()


def test_any_number_of_processes_gives_the_same_bytes(app: Path, house: Path, forks: list[int]) -> None:
    alone = _built(app, house, 1)
    assert not forks
    for jobs in (2, 3, 40):
        forks.clear()
        assert _built(app, house, jobs) == alone
        assert len(forks) == min(jobs, 5)


def test_small_ones_are_written_here(app: Path, tmp_path: Path, forks: list[int]) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    for name in ("one", "two"):
        wheel(folder, name, "1.0", {f"{name}.py": b"pass\n"})
    _built(app, folder, 2)
    assert not forks


def test_progress_is_told_of_all(app: Path, house: Path, forks: list[int]) -> None:
    alone: list[int] = []
    shared: list[int] = []
    _built(app, house, 1, alone)
    _built(app, house, 2, shared)
    assert forks
    assert sum(alone) - len(alone) * SIZE < sum(shared) <= sum(alone)
    assert sum(shared) > sum(alone) // 2


def test_every_layer_s_problems_are_told(app: Path, house: Path, forks: list[int]) -> None:
    for path in sorted(house.iterdir())[1:3]:
        data = bytearray(path.read_bytes())
        at = data.index(b"0.py") + 500  # in the first file's content
        data[at] ^= 0xFF
        path.write_bytes(data)
    problems = []
    for jobs in (1, 2):
        with pytest.raises(CapsuleError) as refused:
            _built(app, house, jobs)
        problems.append(refused.value.problems)
    assert forks
    assert problems[0] == problems[1]
    assert len({problem.message.split(":")[0] for problem in problems[0]}) == 2


def test_a_process_that_is_killed_ends_the_build(app: Path, house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        if os.getpid() != ours:
            os.kill(os.getpid(), 9)

    ours = os.getpid()
    monkeypatch.setattr(writing, "write_layer", killed)
    with pytest.raises(CapsuleError) as refused:
        _built(app, house, 2)
    assert {problem.code for problem in refused.value.problems} == {"process-ended"}
    assert not list(app.parent.glob("*.gz*"))


def test_wheels_are_hashed_ahead(house: Path, forks: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheelhouse, "_WORTH_A_PROCESS", 0)
    (house / "package7-1.0-py3-none-any.whl").mkdir()  # cannot be hashed, which matters to nobody
    hashes = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in house.glob("*.whl") if path.is_file()
    }
    lock = "".join(f"{name.split('-')[0]}==1.0 --hash=sha256:{sha256}\n" for name, sha256 in sorted(hashes.items())[:4])
    found = []
    for jobs in (1, 2):
        with contextlib.ExitStack() as stack:
            requirements = read_requirements("lock.txt", lambda _: lock.encode())
            environment = from_wheels(str(house), requirements, Target("3.11"), stack, jobs=jobs)
            found.append([(one.name, one.sha256) for one in environment.distributions])
    assert found[0] == found[1] == [(f"package{n}", hashes[f"package{n}-1.0-py3-none-any.whl"]) for n in range(4)]
    assert len(forks) == 1


def test_one_that_cannot_be_hashed_ahead_is_refused(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheelhouse, "_WORTH_A_PROCESS", 0)
    broken = house / "package3-1.0-py3-none-any.whl"
    broken.unlink()
    broken.mkdir()
    lock = "".join(f"package{n}==1.0 --hash=sha256:{'0' * 64}\n" for n in range(3, 5))
    refusals = []
    for jobs in (1, 2):
        with contextlib.ExitStack() as stack, pytest.raises(CapsuleError) as refused:
            requirements = read_requirements("lock.txt", lambda _: lock.encode())
            from_wheels(str(house), requirements, Target("3.11"), stack, jobs=jobs)
        refusals.append(refused.value.problems)
    assert refusals[0] == refusals[1]
    assert refusals[0]
