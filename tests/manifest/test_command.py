"""The command ``caps_validate``, run as its users run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import capsule_builder
from capsule_builder.cli.caps_validate import main
from capsule_builder.manifest.schema import schema_text
from tests.manifest.test_model import SPECIFIED

COMMAND = [sys.executable, "-m", "capsule_builder.cli.caps_validate"]
PACKAGE_ROOT = str(Path(capsule_builder.__file__).parent.parent)


def run(
    *arguments: str | bytes, cwd: Path, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "PYTHONPATH": PACKAGE_ROOT, **environment}
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, input=stdin, env=env, capture_output=True, timeout=60)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "capsule.yml").write_bytes(SPECIFIED)
    (tmp_path / "wrong.yml").write_bytes(SPECIFIED.replace(b'"80%"', b'"80"').replace(b'"3.11"', b"3.10"))
    (tmp_path / "odd.yml").write_bytes(b"name: a\nversion: 1.0.0\nentrypoint: python main.py\n")
    return tmp_path


WRONG = (
    b'wrong.yml:12:11: error: dependencies.python: YAML reads 3.10 as the number 3.1; write "3.10"\n'
    b'wrong.yml:15:14: error: resources.cpu_quota: "80" is not a percentage; write "80%"\n'
)


def test_a_valid_manifest_is_ok(app: Path) -> None:
    done = run("capsule.yml", cwd=app)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"capsule.yml: ok\n", b"")


def test_quiet_says_nothing_of_a_valid_manifest(app: Path) -> None:
    done = run("--quiet", "capsule.yml", "wrong.yml", cwd=app)
    assert (done.returncode, done.stdout, done.stderr) == (1, WRONG, b"")


def test_every_file_is_checked_whatever_the_others_are(app: Path) -> None:
    (app / "sub").mkdir()
    done = run("missing.yml", "sub", "wrong.yml", "capsule.yml", cwd=app)
    assert done.returncode == 1
    assert done.stderr == b""
    assert done.stdout == (
        b"missing.yml: error: cannot be read: No such file or directory; check the path\n"
        b"sub: error: is a directory; name the manifest in it: sub/capsule.yml\n" + WRONG + b"capsule.yml: ok\n"
    )


def test_a_file_that_cannot_be_opened_is_an_error(app: Path) -> None:
    # Permissions would not stop root; a link to itself stops everybody.
    (app / "loop.yml").symlink_to("loop.yml")
    done = run("loop.yml", "capsule.yml", cwd=app)
    assert (done.returncode, done.stderr) == (1, b"")
    first, last = done.stdout.splitlines()
    assert re.fullmatch(rb"loop\.yml: error: cannot be read: .*; check that you may read it", first)
    assert last == b"capsule.yml: ok"


def test_warnings_are_shown_and_do_not_fail(app: Path) -> None:
    done = run("odd.yml", cwd=app)
    assert done.returncode == 0
    first, last = done.stdout.decode().splitlines()
    assert first.startswith("odd.yml:3:13: warning: entrypoint: ")
    assert last == "odd.yml: ok"


def test_a_dash_is_standard_input(app: Path) -> None:
    assert run("-", cwd=app, stdin=SPECIFIED).stdout == b"<stdin>: ok\n"
    done = run("-", cwd=app, stdin=b"name: a\n")
    assert done.returncode == 1
    assert done.stdout.startswith(b"<stdin>:1:1: error: version: is missing;")


def test_json_is_one_object_and_nothing_else(app: Path) -> None:
    done = run("--format", "json", "capsule.yml", "wrong.yml", "missing.yml", cwd=app)
    assert (done.returncode, done.stderr) == (1, b"")
    report = json.loads(done.stdout)
    assert {key: report[key] for key in ("format", "valid", "errors", "warnings")} == {
        "format": 1,
        "valid": False,
        "errors": 3,
        "warnings": 0,
    }
    assert [(one["file"], one["valid"], len(one["problems"])) for one in report["files"]] == [
        ("capsule.yml", True, 0),
        ("wrong.yml", False, 2),
        ("missing.yml", False, 1),
    ]
    assert report["files"][1]["problems"][1] == {
        "file": "wrong.yml",
        "line": 15,
        "column": 14,
        "severity": "error",
        "code": "bad-cpu-quota",
        "field": "resources.cpu_quota",
        "message": '"80" is not a percentage',
        "remedy": 'write "80%"',
    }
    assert report["files"][2]["problems"][0]["line"] is None


def test_json_of_valid_files_says_so(app: Path) -> None:
    done = run("--format=json", "--quiet", "capsule.yml", cwd=app)
    assert done.returncode == 0
    assert json.loads(done.stdout)["valid"] is True


def test_the_schema_is_printed_to_the_byte(tmp_path: Path) -> None:
    done = run("--print-schema", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == schema_text().encode()


@pytest.mark.parametrize("arguments", [[], ["--formal=json", "x"], ["--format", "xml", "x"], ["--qui", "x"]])
def test_a_wrong_command_line_is_two(arguments: list[str], tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.startswith(b"usage: caps_validate ")


def test_help_and_version_are_there(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    for word in (b"example:", b"exit status:", b"capsule.yml:15:14: error: ", b"--print-schema", b"docs/manifest.md"):
        assert word in done.stdout
    assert run("--version", cwd=tmp_path).stdout == f"caps_validate {capsule_builder.__version__}\n".encode()


def test_names_and_values_beyond_the_terminal_are_escaped(tmp_path: Path) -> None:
    name = b"\xff\n.yml"
    (tmp_path / os.fsdecode(name)).write_bytes("name: é\n".encode())
    done = run(name, cwd=tmp_path, LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 1
    assert done.stderr == b""
    first = done.stdout.splitlines()[-1]
    assert first.startswith(b'\\udcff\\n.yml:1:7: error: name: "\\xe9" is not a name;')
    assert json.loads(run("--format=json", name, cwd=tmp_path).stdout)["files"][0]["file"] == os.fsdecode(name)


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "long.yml").write_text("".join(f"k{i}: 1\n" for i in range(100)))
    arguments = [*COMMAND, *["long.yml"] * 100]
    env = {**os.environ, "PYTHONPATH": PACKAGE_ROOT}
    # Unbuffered, Python itself would swallow the broken pipe.
    env.pop("PYTHONUNBUFFERED", None)
    with subprocess.Popen(arguments, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1


def test_a_full_disk_is_told_not_traced(app: Path) -> None:
    with open("/dev/full", "wb") as full:
        env = {**os.environ, "PYTHONPATH": PACKAGE_ROOT, "PYTHONUNBUFFERED": ""}
        done = subprocess.run([*COMMAND, "capsule.yml"], cwd=app, env=env, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr == b"caps_validate: error: cannot write the report: No space left on device\n"


def test_closed_standard_streams_are_told_not_traced(app: Path) -> None:
    env = {**os.environ, "PYTHONPATH": PACKAGE_ROOT}
    shell = 'exec "$@" <&- >&-'
    arguments = ["sh", "-c", shell, "sh", *COMMAND, "-"]
    done = subprocess.run(arguments, cwd=app, env=env, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


def test_main_can_be_called_from_python(app: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(app / "capsule.yml")]) == 0
    assert capsys.readouterr().out == f"{app / 'capsule.yml'}: ok\n"
