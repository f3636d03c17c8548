"""Python environments on the command line: what is left out, what is refused, what cannot hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from capsule_builder.errors import CapsuleError
from capsule_builder.python import bytecode
from capsule_builder.requirements.dialect import logical_lines
from tests.capsbuild.command import capsbuild, write
from tests.relocate.wheels import wheel

MANIFEST = b'name: alan\nversion: 2.1.0\nentrypoint: start.py\ndependencies:\n  python: "3.11"\n'


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return write(tmp_path / "app", {"capsule.yml": MANIFEST, "start.py": "print('hello')\n"})


@pytest.fixture
def house(tmp_path: Path) -> Path:
    (tmp_path / "house").mkdir()
    wheel(tmp_path / "house", "one", "1.0", {"one.py": b"ONE = 1\n"})
    wheel(tmp_path / "house", "two", "1.0", {"two.py": b"TWO = 2\n"})
    return tmp_path / "house"


def listing(archive: Path) -> str:
    return subprocess.run(
        ["tar", "xzOf", archive, ".capsule_contents"], check=True, stdout=subprocess.PIPE
    ).stdout.decode()


def test_wheels_inside_the_application_are_no_files_of_it(app: Path, house: Path, tmp_path: Path) -> None:
    capsbuild("--from-dir", app, "--wheels", house, "--output", tmp_path / "outside")
    house.rename(app / "wheels")
    ran = capsbuild("--from-dir", app, "--wheels", app / "wheels", "--output", tmp_path / "inside")
    assert ran.status == 0, ran.err
    assert listing(tmp_path / "inside") == listing(tmp_path / "outside")
    assert ".whl" not in listing(tmp_path / "inside")


def test_only_what_is_required_is_taken_of_the_wheels(app: Path, house: Path, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("two==1.0\n")
    options = ["--wheels", house, "--requirements", tmp_path / "requirements.txt", "--output", tmp_path / "out"]
    ran = capsbuild("--from-dir", app, *options)
    assert ran.err.startswith("WARNING: Wheels that nothing requires are left out: one-1.0-py3-none-any.whl\n")
    assert "site-packages/two.py" in listing(tmp_path / "out")
    assert "site-packages/one.py" not in listing(tmp_path / "out")


def test_what_is_missing_is_refused_or_else_a_warning_and_a_fact_in_the_metadata(
    app: Path, house: Path, tmp_path: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("two==1.0\nthree\n")
    options = ["--wheels", house, "--requirements", tmp_path / "requirements.txt", "--output", tmp_path / "out"]
    ran = capsbuild("--from-dir", app, *options)
    assert (ran.status, ran.err.partition("\n")[0].split(" (")[0]) == (1, "ERROR: three: there is no wheel of it")
    ran = capsbuild("--from-dir", app, *options, "--no-verify-requirements")
    assert (ran.status, ran.err.partition("\n")[0].split(" (")[0]) == (0, "WARNING: three: there is no wheel of it")
    facts = ["tar", "xzOf", tmp_path / "out", ".capsule_metadata.json"]
    assert '"requirements": "unverified"' in subprocess.run(facts, check=True, capture_output=True, text=True).stdout


def test_two_wheels_that_disagree_are_both_named(app: Path, house: Path, tmp_path: Path) -> None:
    wheel(house, "three", "1.0", {"one.py": b"ONE = 3\n"})
    ran = capsbuild("--from-dir", app, "--wheels", house, "--output", tmp_path / "out")
    place = "venv/lib/python3.11/site-packages/one.py"
    wheels = "one-1.0-py3-none-any.whl and three-1.0-py3-none-any.whl"
    assert (ran.status, ran.err.partition("\n")[0]) == (
        1,
        f"ERROR: Two layers disagree about {place}: {wheels} (different bytes)",
    )


def test_a_requirements_file_must_be_a_file_of_sensible_size_inside_the_application(app: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with open(tmp_path / "large", "wb") as large:
        large.truncate(17 << 20)
    for file, message in (
        ("/dev/zero", "Not a regular file, but a device: /dev/zero"),
        (tmp_path / "fifo", f"Not a regular file, but a fifo: {tmp_path}/fifo"),
        (tmp_path / "large", f"Requirements file is larger than 16 MiB: {tmp_path}/large"),
        (tmp_path / "none", f"no such requirements file: {tmp_path}/none"),
    ):
        ran = capsbuild("--from-dir", app, "--requirements", file, "--output", tmp_path / "out")
        assert (ran.status, ran.err.partition("\n")[0]) == (1, f"ERROR: {message}")
    write(app, {"capsule.yml": MANIFEST + b"  pip_requirements: r.txt\n", "r.txt": "-r ../secret.txt\n"})
    (tmp_path / "secret.txt").write_text("one\n")
    ran = capsbuild("--from-dir", app, "--output", tmp_path / "out")
    assert ran.err.startswith("ERROR: Requirements file lies outside of the application: ../secret.txt\n")


def test_a_long_line_of_spaces_is_read_in_no_time() -> None:
    text = "flask" + " " * 300_000 + "x" + " # a comment"
    assert [line[-1] for _, line in logical_lines(text)] == ["x"]
    assert list(logical_lines("a  # b\n  # c\n#d\n\ne#f\n")) == [(1, "a"), (5, "e#f")]


def test_a_command_that_is_stopped_says_so(tmp_path: Path) -> None:
    write(tmp_path / "venv", {"pyvenv.cfg": "include-system-site-packages = false\n"})
    (tmp_path / "venv/bin").mkdir()
    (tmp_path / "venv/bin/python3.11").symlink_to("/usr/bin/python3.11")
    (tmp_path / "r.txt").write_text("".join(f"name{number}==1.0\n" for number in range(40_000)))
    command = [sys.executable, "-m", "capsule_builder.cli.capsbuild", "requirements", "--venv", "venv", "r.txt"]
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    time.sleep(1.5)
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (143, "ERROR: Stopped; nothing was written.\n")


def test_a_compiler_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode, "PATIENCE", 1)
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o755)
    with pytest.raises(CapsuleError, match="Not a Python that runs"):
        bytecode.find_compiler("3.11", str(silent))


def test_a_compiler_that_answers_too_much_is_refused(tmp_path: Path) -> None:
    boasting = tmp_path / "python"
    greeting = "cpython\\n3.11.2\\ncpython-311\\n\\na70d0d0a\\n"
    boasting.write_text(
        f"#!/bin/sh\nprintf '{greeting}\\377\\377\\377\\377\\377\\377\\377\\377'\nexec cat >/dev/null\n"
    )
    boasting.chmod(0o755)
    with (
        bytecode.find_compiler("3.11", str(boasting)) as compiler,
        pytest.raises(CapsuleError, match=r"writes an unknown kind of bytecode: .* bytes for one file"),
    ):
        list(compiler.compile([("a.py", b"a = 1\n")]))
