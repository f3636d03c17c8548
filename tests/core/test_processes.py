"""Work that is shared out over forked processes."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from capsule_builder.archive.processes import Processes
from capsule_builder.errors import CapsuleError, refusal


def _pid(_: int) -> int:
    time.sleep(0.02)
    return os.getpid()


def test_results_come_in_order_whatever_takes_long() -> None:
    def work(number: int) -> tuple[int, bytes]:
        time.sleep(0.05 if number % 3 == 0 else 0)
        return number, bytes(number * 1000)  # far more than a pipe holds

    with Processes(3, work) as processes:
        assert list(processes.results(range(200), 7)) == [(number, bytes(number * 1000)) for number in range(200)]


def test_several_processes_work_and_none_is_this_one() -> None:
    with Processes(2, _pid) as processes:
        pids = set(processes.results(range(20), 20))
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_tasks_are_asked_for_as_they_are_needed() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    with Processes(2, lambda number: number) as processes:
        for result in processes.results(tasks(), 4):
            assert len(taken) <= result + 5


def test_nothing_is_left_running() -> None:
    with Processes(2, _pid) as processes:
        pids = set(processes.results(range(8), 8))
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(ValueError, match="stop"), Processes(2, lambda _: time.sleep(60)) as processes:
        processes.submit(1)
        raise ValueError("stop")
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_refusal_comes_back_whole() -> None:
    def work(number: int) -> None:
        raise refusal("some-code", f"Message {number}", "Remedy") if number else OSError(28, "No space", "name")

    with Processes(2, work) as processes:
        processes.submit(0)
        processes.submit(1)
        with pytest.raises(OSError, match="No space") as failed:
            processes.result()
        with pytest.raises(CapsuleError) as refused:
            processes.result()
    assert (failed.value.errno, failed.value.filename) == (28, "name")
    assert refused.value.problems == refusal("some-code", "Message 1", "Remedy").problems


def test_what_is_told_is_heard_before_the_result() -> None:
    heard: list[int] = []

    def work(number: int) -> int:
        for _ in range(3):
            processes.tell(number)
        return number

    with Processes(2, work, heard.append) as processes:
        for result in processes.results(range(10), 3):
            assert heard.count(result) == 3


@pytest.mark.parametrize("how", ["none", "unable", "no pipes"])
def test_without_copies_the_work_is_done_here(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unable() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    made = iter([os.pipe])

    def pipe() -> tuple[int, int]:
        for first in made:
            return first()
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "fork", unable)
    heard: list[str] = []

    def work(number: int) -> int:
        processes.tell(f"{number}")
        return os.getpid()

    descriptors = len(os.listdir("/proc/self/fd"))
    if how == "no pipes":
        monkeypatch.setattr(os, "pipe", pipe)
    with Processes(0 if how == "none" else 2, work, heard.append) as processes:
        assert set(processes.results(range(3), 2)) == {os.getpid()}
    assert heard == ["0", "1", "2"]
    assert len(os.listdir("/proc/self/fd")) == descriptors


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """How many files may be open; it is as it was afterwards."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield limits
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_any_number_of_files_may_be_open(limits: tuple[int, int]) -> None:
    """As they are when there are hundreds of wheels."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(1200, limits[0]), limits[1]))
    with contextlib.ExitStack() as stack:
        for _ in range(1050):
            stack.enter_context(open(os.devnull))
        with Processes(2, lambda number: number) as processes:
            assert list(processes.results(range(9), 4)) == list(range(9))


def test_copies_leave_descriptors_to_whoever_has_the_work_done() -> None:
    code = """
import os, resource
from capsule_builder.archive.processes import Processes
for room in 60, 61, 63:
    resource.setrlimit(resource.RLIMIT_NOFILE, (room, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with Processes(64, lambda _: os.getpid()) as processes:
        processes.submit(0)
        files = [open(os.devnull) for _ in range(16)]
        assert processes.result() != os.getpid()
"""
    subprocess.run([sys.executable, "-c", code], check=True)  # with none of the descriptors of this one


def test_a_program_that_is_told_nothing_of_its_children_can_have_copies() -> None:
    """Whoever ignores SIGCHLD, as some supervisors do, hands that on to what they start."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with Processes(2, _pid) as processes:
            assert os.getpid() not in set(processes.results(range(8), 8))
        with pytest.raises(CapsuleError) as refused, Processes(2, lambda _: os._exit(3)) as broken:
            list(broken.results(range(5), 3))
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert refused.value.problems[0].code == "process-ended"


def test_a_copy_that_somebody_kills_is_a_clear_error() -> None:
    def work(_: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(CapsuleError) as refused, Processes(2, work) as processes:
        list(processes.results(range(5), 3))
    assert refused.value.problems[0].code == "process-ended"
    assert "signal 9" in refused.value.problems[0].message


def test_copies_end_when_their_maker_is_killed() -> None:
    code = """
import os, sys, time
from capsule_builder.archive.processes import Processes
def work(n):
    os.write(1, b"%d\\n" % os.getpid())
    time.sleep(0.1)
with Processes(2, work) as processes:
    list(processes.results(range(10**6), 8))
"""
    maker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert maker.stdout
    pids = {int(maker.stdout.readline()) for _ in range(6)}
    assert len(pids) == 2
    maker.kill()
    maker.wait()
    _await_end(pids)
    maker.stdout.close()


def test_a_request_to_stop_ends_all_of_them() -> None:
    code = """
import os, time
from capsule_builder.archive.processes import Processes
def work(n):
    os.write(1, b"%d\\n" % os.getpid())
    time.sleep(600)
with Processes(2, work) as processes:
    list(processes.results(range(4), 4))
"""
    maker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert maker.stdout
    pids = {int(maker.stdout.readline()) for _ in range(2)}
    maker.send_signal(signal.SIGINT)
    maker.wait(20)
    _await_end(pids)
    maker.stdout.close()


def _await_end(pids: set[int]) -> None:
    for _ in range(200):
        if not any(map(_lives, pids)):
            return
        time.sleep(0.05)
    raise AssertionError(f"still there: {pids}")


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
