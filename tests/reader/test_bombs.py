"""No archive takes much memory or time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.capsbuild.command import ENVIRONMENT
from tests.reader.bombs import BOMBS

READ = """
import json, sys, time
from capsule_builder.cli import verify
begin = time.monotonic()
status = verify.main([sys.argv[1], "--json"])
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"status": status, "seconds": time.monotonic() - begin, "peak": peak}))
"""
"""Verifies, and says how long that took (seconds) and how much memory at most (KiB)."""


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_does_not_go_off(name: str, tmp_path: Path) -> None:
    code, archive = BOMBS[name]
    (tmp_path / "bomb").write_bytes(archive())
    command = [sys.executable, "-c", READ, str(tmp_path / "bomb")]
    ran = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=True, timeout=120)
    result, measured = map(json.loads, ran.stdout.splitlines())
    assert [error["code"] for error in result.get("errors", [])] == ([] if code == "sound" else [code])
    assert measured["status"] == (0 if code == "sound" else 4)
    print(f"{name}: {measured['seconds']:.1f} s, {measured['peak'] >> 10} MiB")
    assert measured["peak"] < 256 << 10
    assert measured["seconds"] < 90
