"""Neither a huge file nor a multitude of small ones takes much memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.capsbuild.command import COMMAND, ENVIRONMENT

MIB = 1 << 20
LIMIT = 256 * MIB


# A process begins with the greatest size of the one that made it, and the tests' own may be large.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_memory(*arguments: str | Path) -> int:
    """Runs ``capsbuild`` and gives its greatest resident size, in bytes."""
    begun = time.perf_counter()
    command = [sys.executable, "-c", MEASURE, *COMMAND, *arguments, "--quiet"]
    ran = subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True)
    peak = int(ran.stdout) * (1 if sys.platform == "darwin" else 1024)
    print(f"{peak / MIB:.0f} MiB, {time.perf_counter() - begun:.1f} s")
    return peak


@pytest.mark.parametrize("jobs", ["2", "64"])
def test_a_file_of_a_gibibyte_is_built_in_little_memory(app: Path, out: Path, jobs: str) -> None:
    """tests/long/ does the same with 5 and with 9 GiB."""
    with open(app / "data", "wb") as data:
        data.write(os.urandom(64 * MIB))
        data.truncate(1 << 30)
    assert peak_memory("--from-dir", app, "--output", out / "new", "--compression-level", "1", "--jobs", jobs) < LIMIT


def test_a_hundred_thousand_files_are_built_in_little_memory(app: Path, out: Path) -> None:
    for number in range(100_000):
        if number % 1000 == 0:
            (app / f"lib/package_{number // 1000:03}").mkdir(parents=True)
        name = app / f"lib/package_{number // 1000:03}/module_with_a_usual_name_{number:06}.py"
        fd = os.open(name, os.O_CREAT | os.O_WRONLY)
        os.write(fd, b"# %d\n" % number)
        os.close(fd)
    assert peak_memory("--from-dir", app, "--output", out / "new") < LIMIT


def test_the_measure_itself_sees_memory() -> None:
    command = [sys.executable, "-c", "x = bytearray(b'x') * (300 << 20)"]
    subprocess.run(command, check=True)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 > 300 * MIB
