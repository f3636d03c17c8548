"""Stopped in the middle the command leaves nothing; and it shows how far it is to those who watch, and only to them."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from capsule_builder.output import NewFile
from tests.capsbuild.command import COMMAND, ENVIRONMENT, NO_VENV, capsbuild, snapshot

STOPPED = "ERROR: Stopped; nothing was written.\n"


@pytest.fixture
def long(app: Path) -> Path:
    """An application that takes some seconds, with one thread."""
    with open(app / "data", "wb") as data:
        data.truncate(1 << 30)
    return app


def until_in_the_middle(process: subprocess.Popen[bytes]) -> None:
    """Waits until the process has read 100 MB."""
    while process.poll() is None:
        if int(Path(f"/proc/{process.pid}/io").read_text().split()[1]) > 100_000_000:
            return
        time.sleep(0.005)
    pytest.fail("it was done before it could be stopped")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_leaves_nothing(long: Path, out: Path, number: signal.Signals) -> None:
    before = snapshot(out)
    command = [*COMMAND, "--from-dir", long, "--jobs", "1", "--output", out / "app.tar.gz"]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until_in_the_middle(process)
        for _ in range(100):  # impatiently
            process.send_signal(number)
            time.sleep(0.001)
        words, errors = process.communicate(timeout=30)
    assert (process.returncode, words.decode(), errors.decode()) == (128 + number, "", STOPPED)
    assert snapshot(out) == before


def test_a_signal_at_any_moment_leaves_the_older_capsule_or_the_new_one(app: Path, out: Path) -> None:
    """From the start of the interpreter, whose own way to end is quiet for SIGTERM, to the end."""
    for step in range(24):
        older = snapshot(out)
        command = [*COMMAND, "--from-dir", app, "--output", out / "app.tar.gz", "--quiet"]
        with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE) as process:
            time.sleep(step * 0.015)
            process.terminate()
            _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors.decode()) in [
            (-signal.SIGTERM, ""),
            (128 + signal.SIGTERM, STOPPED),
            (0, NO_VENV),
            (-signal.SIGTERM, NO_VENV),
        ]
        assert sorted(os.listdir(out)) == ["app.tar.gz", "other"]
        if STOPPED in errors.decode():
            assert snapshot(out) == older


# A signal at one exact place, sent by the process to itself, before capsbuild begins.
STRIKE = """
import os, signal, sys, {module}
real = {module}.{function}
def strike(*arguments, **options):
    {before}
    result = real(*arguments, **options)
    {after}
    return result
{module}.{function} = strike
from capsule_builder.cli.capsbuild import main
sys.exit(main(sys.argv[1:]))
"""
KILL = "os.kill(os.getpid(), signal.SIGTERM)"


def struck(app: Path, out: Path, module: str, function: str, *, before: str = "0", after: str = "0") -> tuple[int, str]:
    program = STRIKE.format(module=module, function=function, before=before, after=after)
    command = [sys.executable, "-c", program, "--from-dir", app, "--output", out / "app.tar.gz", "--quiet"]
    ran = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    return ran.returncode, ran.stderr


def test_a_signal_while_the_new_file_is_made_leaves_nothing(app: Path, out: Path) -> None:
    before = snapshot(out)
    assert struck(app, out, "capsule_builder.output", "_made", after=KILL) == (128 + signal.SIGTERM, STOPPED)
    assert snapshot(out) == before


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_signal_while_a_thread_starts_is_quiet(app: Path, out: Path, when: str) -> None:
    (app / "data").write_bytes(bytes(1 << 20))  # enough to wake one
    before = snapshot(out)
    for function in ("_start_new_thread", "Event"):  # what threading.Thread calls for it
        assert struck(app, out, "threading", function, **{when: KILL}) == (128 + signal.SIGTERM, STOPPED)
    assert snapshot(out) == before


@pytest.mark.parametrize("function", ["close", "unlink"])
def test_a_signal_while_a_file_is_cleared_away_leaves_nothing(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    new = NewFile(str(tmp_path / "new"))
    of: object = new.file if function == "close" else os
    real = getattr(of, function)

    def strike(*arguments: object) -> None:
        signal.raise_signal(signal.SIGTERM)  # for this thread: a test runner has others
        real(*arguments)

    if function == "close":
        new.file = Mock(wraps=new.file, close=strike)
    else:
        monkeypatch.setattr(os, function, strike)
    usual = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(Stop), new:
            pass
    finally:
        signal.signal(signal.SIGTERM, usual)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_signal_when_the_archive_is_put_in_its_place_comes_too_late(app: Path, out: Path, when: str) -> None:
    assert struck(app, out, "os", "replace", **{when: KILL}) == (0, NO_VENV)
    assert (out / "app.tar.gz").read_bytes()[:2] == b"\x1f\x8b"


def test_a_hangup_that_the_caller_ignores_stops_nothing(long: Path, out: Path) -> None:
    command = ["nohup", *COMMAND, "--from-dir", long, "--jobs", "1", "--output", out / "app.tar.gz", "--quiet"]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        until_in_the_middle(process)
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=120)
    assert process.returncode == 0


# The progress bar


def on_a_terminal(*arguments: str | Path) -> str:
    """What the command writes to a terminal that is its standard error."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen: list[bytes] = []

    def watch() -> None:
        while True:
            try:
                seen.append(os.read(ours, 65536))
            except OSError:  # EIO: nobody has the other side any more
                return

    with subprocess.Popen([*COMMAND, *arguments], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        thread = threading.Thread(target=watch)
        thread.start()
        process.communicate(timeout=120)
        thread.join()
    os.close(ours)
    assert process.returncode == 0
    return b"".join(seen).decode()


def test_a_bar_is_shown_on_a_terminal_when_the_work_is_long(long: Path, out: Path) -> None:
    seen = on_a_terminal("--from-dir", long, "--jobs", "1", "--output", out / "app.tar.gz")
    assert "%|" in seen
    assert "/1.07G" in seen
    assert seen.endswith(NO_VENV.replace("\n", "\r\n"))
    assert "\r" in seen.removesuffix(NO_VENV.replace("\n", "\r\n"))[-3:]  # it clears its line


def test_quiet_shows_no_bar(long: Path, out: Path) -> None:
    seen = on_a_terminal("--from-dir", long, "--jobs", "1", "--output", out / "app.tar.gz", "--quiet")
    assert seen == NO_VENV.replace("\n", "\r\n")


def test_no_bar_is_shown_when_the_work_is_short(app: Path, out: Path) -> None:
    assert on_a_terminal("--from-dir", app, "--output", out / "app.tar.gz") == NO_VENV.replace("\n", "\r\n")


def test_no_bar_is_shown_in_a_pipe(long: Path, out: Path) -> None:
    assert capsbuild("--from-dir", long, "--jobs", "1", "--output", out / "app.tar.gz").err == NO_VENV


def test_a_signal_while_a_command_is_imported_is_quiet() -> None:
    code = """
import os, signal
from capsule_builder.cli import capsbuild
capsbuild.importlib.import_module = lambda name: os.kill(os.getpid(), signal.SIGTERM)
raise SystemExit(capsbuild.main(["verify", "file"]))
"""
    ran = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (143, "ERROR: Stopped; nothing was written.\n")
