"""What ``tools/debian/bazelrc.sh`` prints, read as a checkout reads it: by ``.bazelrc``, after the system's file."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.bazel.harness import REPOSITORY, Bazel


@pytest.fixture
def checkout(bazel: Bazel) -> Iterator[Bazel]:
    rc, printed, new = (bazel.workspace / name for name in (".bazelrc", ".dev/bazelrc", "layers/gamma/new.txt"))
    rc.write_bytes((REPOSITORY / ".bazelrc").read_bytes())
    printed.parent.mkdir()
    with printed.open("w") as file:
        subprocess.run(["sh", REPOSITORY / "tools/debian/bazelrc.sh"], check=True, stdout=file)
    new.write_text(str(time.time_ns()))  # something to do, whatever was built before
    yield bazel
    for file in (rc, printed, new):
        file.unlink()
    printed.parent.rmdir()


def test_a_build_says_nothing_of_the_sandbox(checkout: Bazel) -> None:
    command = ["bazel", "--nohome_rc", "--max_idle_secs=60", f"--output_base={checkout.output_base}", "build"]
    result = subprocess.run(
        [*command, "--spawn_strategy=linux-sandbox", "//layers:gamma"],
        cwd=checkout.workspace,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "1 linux-sandbox" in result.stderr
    assert "linux-sandbox.cc" not in result.stderr
