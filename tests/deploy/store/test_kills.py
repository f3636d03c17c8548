"""Install and gc, stopped at every system call that changes something: the host is never in between.

A sample is taken every day; all of them with CAPSULE_ALL_KILLS=1 (``./dev long``).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from capsule_builder.trust.minisign import SecretKey
from capsule_deploy.layout import SHORT
from tests.capsbuild.command import Ran
from tests.deploy.hosts import COMMAND, Host, capsule, check_invariants, check_tidy, snapshot
from tests.deploy.kills import each, points
from tests.reader.forge import One

ALL = bool(os.environ.get("CAPSULE_ALL_KILLS"))
EVERY = 1 if ALL else 9
HOW = ("signal=KILL", "error=ENOSPC", "error=EIO")

Command = Callable[[Host, Sequence[str]], Ran]


@pytest.fixture
def archives(tmp_path: Path, secret: SecretKey) -> list[Path]:
    """Three capsules that share some files; the first two are installed."""
    place = tmp_path / "archives"
    return [
        capsule(place, secret, One("own", "file", bytes([65 + number]) * 5000), version=f"1.0.{number}")
        for number in range(3)
    ]


@pytest.fixture
def settled(host: Host, archives: list[Path]) -> Host:
    first = host.install(archives[0])
    host.install(archives[1])
    host.activate(first)
    return host


def stop_everywhere(settled: Host, tmp_path: Path, how: str, name: str, *arguments: str) -> None:
    """Stops the command at each of the chosen points, has another clear up, and looks at what is there then."""
    log, trial = tmp_path / "trace", tmp_path / "trial"
    subprocess.run(["cp", "-a", str(settled.root), str(trial)], check=True)
    found = points([*COMMAND, name, "--root", str(trial), *arguments], log, since=str(trial / "opt"))
    assert len(found) > 25
    first = sum(map(ord, how)) % EVERY
    chosen = found[first::EVERY]
    outside = snapshot(settled.root, without=["opt/tori"])
    names = without_units({path: content for path, (_, _, content) in outside.items()}, settled.releases())
    command: Command = lambda host, wrapper: host.deploy(name, *arguments, status=None, wrapper=wrapper)  # noqa: E731
    stopped = 0
    for point, host, ran in each(settled, tmp_path, chosen, how, command):
        try:
            stopped += ran.status != 0
            check_invariants(host)
            again = host.deploy("gc", "--keep", "9")
            check_invariants(host)
            check_tidy(host)
            check_outcome(host, ran, name, arguments)
            host.deploy("verify", "--all", "--full")
            after = snapshot(host.root, without=["opt/tori"])
            assert without_units({path: content for path, (_, _, content) in after.items()}, host.releases()) == names
        except AssertionError as error:
            raise AssertionError(f"{how} at {point}: {ran}, then {again if 'again' in locals() else None}") from error
    print(f"{name}: {len(chosen)} of {len(found)} points with {how}; {stopped} ended otherwise than well")
    assert stopped > len(chosen) // 4


def without_units(outside: dict[str, bytes], releases: Sequence[str]) -> dict[str, bytes]:
    """What is outside of the store, but for the units of these releases."""
    shorts = tuple(release[:SHORT] for release in releases)
    return {
        path: content
        for path, content in outside.items()
        if not (path.startswith("etc/systemd/system/tori") and any(short in path for short in shorts))
    }


def check_outcome(host: Host, ran: Ran, name: str, arguments: Sequence[str]) -> None:
    """The release is there or is not; a command that says that all is well has done its work, and can be repeated."""
    before = host.releases()
    if name == "install":
        assert len(before) in (2, 3)
        assert ran.status != 0 or len(before) == 3
        host.deploy("install", *arguments)
        assert len(host.releases()) == 3
    else:
        assert len(before) in (1, 2)
        assert ran.status != 0 or len(before) == 1
        host.deploy(name, *arguments)
        assert len(host.releases()) == 1
    check_invariants(host)
    check_tidy(host)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.timeout(3600)
def test_install_stopped_anywhere(settled: Host, archives: list[Path], tmp_path: Path, how: str) -> None:
    stop_everywhere(settled, tmp_path, how, "install", str(archives[2]))


@pytest.mark.parametrize("how", HOW)
@pytest.mark.timeout(3600)
def test_gc_stopped_anywhere(settled: Host, tmp_path: Path, how: str) -> None:
    stop_everywhere(settled, tmp_path, how, "gc", "--keep", "0")
