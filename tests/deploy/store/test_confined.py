"""The process that unpacks, when it has turned against us: what it cannot do, and what is not believed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from capsule_builder.errors import CapsuleError
from capsule_builder.trust.minisign import SecretKey
from capsule_deploy import confine, install, unpacking
from capsule_deploy.layout import Layout
from capsule_deploy.unpacking import LISTING, Source
from tests.deploy.hosts import Host, capsule, check_tidy


def confined(directory: Path, script: str) -> str:
    """What a confined process prints that runs ``script``."""
    code = (
        f"import os, socket, signal, resource\nfrom capsule_deploy.confine import confine\n"
        f"held = confine(os.open({str(directory)!r}, os.O_RDONLY), 1 << 20, 10)\n"
        f"def attempt(do):\n    try:\n        do()\n    except OSError as failed:\n        print(failed.strerror)\n"
        f"    else:\n        print('done')\n{script}"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": os.getcwd()}, check=True
    )
    return ran.stdout


def test_it_writes_where_it_should_and_nowhere_else(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.mkdir()
    outer.mkdir()
    (outer / "file").write_bytes(b"x")
    script = f"""
attempt(lambda: open("new", "wb").write(b"x"))
attempt(lambda: os.unlink("new"))
attempt(lambda: open({str(outer / "new")!r}, "wb"))
attempt(lambda: open({str(outer / "file")!r}, "r+b"))
attempt(lambda: os.truncate({str(outer / "file")!r}, 0))
attempt(lambda: os.unlink({str(outer / "file")!r}))
attempt(lambda: os.mkdir({str(outer / "d")!r}))
attempt(lambda: os.mkdir("d"))
attempt(lambda: os.symlink("/", "s"))
attempt(lambda: os.mkfifo("f"))
attempt(lambda: os.link({str(outer / "file")!r}, "l"))
attempt(lambda: os.rename({str(outer / "file")!r}, "l"))
attempt(lambda: open("/tmp/d1-escape", "wb"))
"""
    said = confined(inner, script).split("\n")[:-1]
    assert said[:2] == ["done", "done"]
    assert set(said[2:]) <= {"Permission denied", "Invalid cross-device link", "Operation not permitted"}, said
    assert list(outer.iterdir()) == [outer / "file"]
    assert (outer / "file").read_bytes() == b"x"


def test_it_runs_nothing_calls_nobody_and_has_limits(tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    script = f"""
attempt(lambda: os.execv("/bin/true", ["true"]))
attempt(lambda: socket.create_connection(("127.0.0.1", {listener.getsockname()[1]})))
attempt(lambda: os.kill({os.getpid()}, 0))
attempt(lambda: open("big", "wb").write(bytes(2 << 20)))
attempt(lambda: os.setuid(0) or os.chroot("/"))
print(dict(os.environ), os.umask(0) == 0o077, os.getcwd() == {str(tmp_path)!r})
print(held)
"""
    said = confined(tmp_path, script).split("\n")
    listener.close()
    assert said[:3] == ["Permission denied", "Permission denied", "Operation not permitted"]
    assert said[3:5] == ["File too large", "Operation not permitted"]
    assert said[5] == "{} True True"
    assert said[6].startswith("['rlimits', 'no_new_privs', 'landlock ")


def hostile(
    monkeypatch: pytest.MonkeyPatch, host: Host, archive: Path, work: Callable[[int, int, int], None]
) -> BaseException:
    """Installs with a child that does ``work(directory, answers, reports)``; gives what comes of it."""

    def run(_source: Source, directory: int, answers: int, reports: int, _parent: int, _held: object) -> None:
        try:
            work(directory, answers, reports)
        finally:
            os._exit(0)

    monkeypatch.setattr(unpacking, "_run", run)
    with pytest.raises((CapsuleError, OSError)) as refused:
        install.install(Layout(str(host.root)), str(archive))
    check_tidy(host)
    assert host.releases() == []
    return refused.value


def put(directory: int, name: str, data: bytes) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600, dir_fd=directory)
    os.write(fd, data)
    os.close(fd)


@pytest.mark.parametrize(
    "frame", [b"", b"X", b"L", b"Lnot json", b"L{}", b"R", b"R[]", b'R["x"]', b"R[[1]]", b"H", b"D", b"F[2]", b'F["x"]']
)
def test_strange_words_are_no_success(
    monkeypatch: pytest.MonkeyPatch, host: Host, secret: SecretKey, tmp_path: Path, frame: bytes
) -> None:
    archive = capsule(tmp_path / "archives", secret)
    hostile(monkeypatch, host, archive, lambda _directory, _answers, reports: unpacking._send(reports, frame))


def test_a_listing_that_is_not_the_signed_one(
    monkeypatch: pytest.MonkeyPatch, host: Host, secret: SecretKey, tmp_path: Path
) -> None:
    def work(directory: int, _answers: int, reports: int) -> None:
        put(directory, LISTING, b"# capsule-contents v1\n" + b"0" * 64 + b"  capsule.yml\n")
        unpacking._send(reports, b'L["x"]')
        time.sleep(5)

    error = hostile(monkeypatch, host, capsule(tmp_path / "archives", secret), work)
    assert "signature is that of another capsule" in str(error)


@pytest.mark.parametrize("kind", ["fifo", "link", "nothing"])
def test_a_listing_that_is_no_file(
    monkeypatch: pytest.MonkeyPatch, host: Host, secret: SecretKey, tmp_path: Path, kind: str
) -> None:
    def work(directory: int, _answers: int, reports: int) -> None:
        if kind == "fifo":
            os.mkfifo(LISTING, dir_fd=directory)
        elif kind == "link":
            os.symlink("/etc/passwd", LISTING, dir_fd=directory)
        unpacking._send(reports, b'L["x"]')
        time.sleep(5)

    hostile(monkeypatch, host, capsule(tmp_path / "archives", secret), work)


@pytest.mark.parametrize("how", ["content", "link", "hard link", "fifo", "missing"])
def test_files_that_are_not_what_the_listing_says(
    monkeypatch: pytest.MonkeyPatch, host: Host, secret: SecretKey, tmp_path: Path, how: str
) -> None:
    """The child reads and writes as it should, and changes one file in the end."""
    genuine = unpacking._unpack_all

    def spoil(reader: object, wanted: set[int], reports: int) -> None:
        genuine(reader, wanted, reports)  # type: ignore[arg-type]
        name = str(max(wanted))
        if how == "content":
            os.chmod(name, 0o600)
            Path(name).write_bytes(b"#!/bin/sh\necho spoiled\n")
            return
        os.unlink(name)
        if how == "link":
            os.symlink("/bin/sh", name)
        elif how == "hard link":
            os.link(str(min(wanted)), name)
        elif how == "fifo":
            os.mkfifo(name)

    monkeypatch.setattr(unpacking, "_unpack_all", spoil)
    monkeypatch.setattr(confine, "_landlock", lambda _libc, _directory: None)
    with pytest.raises((CapsuleError, OSError)):
        install.install(Layout(str(host.root)), str(capsule(tmp_path / "archives", secret)))
    check_tidy(host)
    assert host.releases() == []


def test_what_it_starts_ends_with_it(
    monkeypatch: pytest.MonkeyPatch, host: Host, secret: SecretKey, tmp_path: Path
) -> None:
    """Or it could change a file after the parent has read it."""
    sign = tmp_path / "alive"

    def work(_directory: int, _answers: int, reports: int) -> None:
        if os.fork() == 0:
            time.sleep(1)
            sign.write_bytes(b"")
            os._exit(0)
        unpacking._send(reports, b"D")

    hostile(monkeypatch, host, capsule(tmp_path / "archives", secret), work)
    time.sleep(1.5)
    assert not sign.exists()


def test_a_request_to_stop_while_it_is_started_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch, host: Host, secret: SecretKey, tmp_path: Path
) -> None:
    """It would write where the parent clears away."""
    archive = capsule(tmp_path / "archives", secret)
    fork, started = unpacking.fork_alone, []

    def disturbed() -> tuple[int, bool]:
        pid, alone = fork()
        if pid:
            started.append(pid)
            signal.raise_signal(signal.SIGINT)  # this thread: a signal to the process may come late to it
        return pid, alone

    monkeypatch.setattr(unpacking, "fork_alone", disturbed)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            install.install(Layout(str(host.root)), str(archive))
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)
    check_tidy(host)
