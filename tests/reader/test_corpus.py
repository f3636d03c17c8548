"""Whatever pretends to be a capsule gets no further than a clear message."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.capsbuild.command import ENVIRONMENT
from tests.reader.corpus import CORPUS, sound
from tests.reader.reading import code_of

IN_ONE_PROCESS = """
import contextlib, io, json, os, sys, time
from capsule_builder.cli import verify
results = {}
for name in sorted(os.listdir(".")):
    out, err = io.StringIO(), io.StringIO()
    begin = time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = verify.main([name, "--json", "--extract-to", "../elsewhere/" + name])
    codes = [error["code"] for error in json.loads(out.getvalue()).get("errors", [])]
    results[name] = [status, codes, err.getvalue(), time.monotonic() - begin]
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
json.dump({"results": results, "peak": peak}, sys.stdout)
"""


def test_there_are_many() -> None:
    assert len(CORPUS) > 200
    assert code_of(sound()) == "sound"


@pytest.mark.parametrize("name", CORPUS)
def test_what_is_not_sound_is_refused_for_what_is_wrong_with_it(name: str) -> None:
    code, archive = CORPUS[name]
    assert code_of(archive()) == code


def test_the_command_says_so_writes_nothing_and_stays_small(tmp_path: Path) -> None:
    for number, (_, archive) in enumerate(CORPUS.values()):
        (tmp_path / "archives").mkdir(exist_ok=True)
        (tmp_path / "archives" / f"{number:03}").write_bytes(archive())
    (tmp_path / "elsewhere").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", IN_ONE_PROCESS],
        cwd=tmp_path / "archives", env=ENVIRONMENT, capture_output=True, check=True, timeout=250,
    )  # fmt: skip
    report = json.loads(ran.stdout)
    assert len(report["results"]) == len(CORPUS)
    for (name, (code, _)), (status, codes, err, seconds) in zip(
        CORPUS.items(), report["results"].values(), strict=True
    ):
        assert (status, codes[0]) == (4, code), name
        assert "Traceback" not in err, name
        assert err.startswith("ERROR: ") or "error:" in err.splitlines()[0], name
        assert seconds < 30, name
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archives", "elsewhere"]
    assert report["peak"] < 256 << 10, "KiB"
