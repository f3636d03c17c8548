"""The builder's own reading of its command line: whatever it gets, it answers in words."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from capsule_builder.actions.main import main
from tests.bazel.harness import REPOSITORY

LAYER = ("layer", "--fragment", "fragment", "--contents", "contents", "--index=index", "--level=6")
REMEDY = "Builder and rules must be of one release."


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["src\tfile"], "not a line of a known kind: src\tfile"),
        (["src\tfile\tplace\tand more"], "not a line of a known kind: src\tfile\tplace\tand more"),
        (["the second half of a broken name"], "not a line of a known kind: the second half of a broken name"),
        (["unfit"], "not a line of a known kind: unfit"),
        (["frobnicate\tfile\tplace"], "not a line of a known kind: frobnicate\tfile\tplace"),
        (["--manifest"], "--manifest has no value"),
        (["--layer", "app", "//a:b"], "--layer has no value"),
        (["@absent.params"], "[Errno 2] No such file or directory: 'absent.params'"),
    ],
)
def test_what_the_grammar_lacks_is_refused_with_a_remedy(
    lines: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, *LAYER, *lines) == f"ERROR: Cannot read the command line: {fault}\n  {REMEDY}\n"


def test_bytes_that_are_no_text_are_refused_with_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    twice = b"--letter=" + "\N{LATIN SMALL LETTER E WITH ACUTE}".encode().decode("latin-1").encode()
    for name in (b"\xff", "\N{GREEK SMALL LETTER OMEGA}".encode()):
        pathlib.Path("params").write_bytes(b"layer\n" + twice + b"\nsrc\t" + name + b"\tplace\n")
        assert REMEDY in refused(capsys, "@params")


def test_a_name_that_no_line_can_hold_is_refused_as_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, *LAYER, "unfit\ttree/a\\tb", "unfit\tc\\nd\x1b") == (
        "ERROR: Name holds a control character: tree/a\\tb\n  Rename the file, or leave it out.\n"
        "ERROR: Name holds a control character: c\\nd\\x1b\n  Rename the file, or leave it out.\n"
    )


def test_every_pattern_that_matches_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    patterns = [f"--executable={pattern}" for pattern in ("bin/*", "[", "", "#x")]
    assert refused(capsys, *LAYER, *patterns).splitlines() == [
        'ERROR: executables: "[" matches nothing: no name, an open bracket, or a backslash at its end',
        '  Write a pattern such as "bin/*", "*.sh" or "tools/**/run".',
        "ERROR: executables: is empty",
        '  Write a pattern such as "bin/*", or remove it.',
        'ERROR: executables: "#x" is a comment and matches nothing',
        '  Write "\\\\#x" if the name begins so.',
    ]


def test_more_layers_than_files_may_be_open_are_assembled_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    pathlib.Path("start.sh").write_text("#!/bin/sh\n")
    pathlib.Path("capsule.yml").write_text("name: many\nversion: 1.0.0\nentrypoint: start.sh\n")
    assert main([*LAYER, "src\tstart.sh\tstart.sh"]) == 0
    lines = ["assemble", "--level=6", "--manifest", "capsule.yml"]
    for output in ("archive", "id", "metadata", "listing", "file-name"):
        lines += [f"--{output}", output]
    for number in range(100):
        lines += ["--layer", f"layer-{number}", "//a:b", "fragment", "contents", "index"]
    pathlib.Path("params").write_text("\n".join(lines))
    program = "from capsule_builder.actions.main import main; raise SystemExit(main(['@params']))"
    limited = ["sh", "-c", 'ulimit -S -n 64 && exec "$@"', "sh", sys.executable, "-c", program]
    done = subprocess.run(limited, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(pathlib.Path("metadata").read_text())["layers"]) == 100
