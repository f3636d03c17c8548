"""Files too large for every day: ``./dev long`` (two or three minutes, 300 MB of disk)."""

from __future__ import annotations

import gzip
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.capsbuild.conftest import app, out
from tests.capsbuild.test_large_inputs import LIMIT, MIB, peak_memory

__all__ = ["app", "out"]


@pytest.mark.parametrize("gibibytes", [5, 9])
def test_a_huge_file_is_built_in_little_memory_and_can_be_read_back(app: Path, out: Path, gibibytes: int) -> None:
    size = (gibibytes << 30) + 7
    with open(app / "data", "wb") as data:
        data.write(os.urandom(64 * MIB))
        data.truncate(size)
    assert peak_memory("--from-dir", app, "--output", out / "new") < LIMIT
    if gibibytes == 9:  # over 8 GiB the size is in a pax record
        listed = subprocess.run(["tar", "tvzf", out / "new"], capture_output=True, text=True, check=True).stdout
        assert f" {size} 2000-01-01" in listed
        with tarfile.open(out / "new") as tar:
            assert tar.getmember("data").size == size
        with gzip.open(out / "new") as plain:
            assert b"size=%d\n" % size in plain.read(4 << 20)
