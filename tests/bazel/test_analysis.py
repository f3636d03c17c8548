"""Many capsules that share one environment: its wheels are packed once.

That analysis takes time by their number, and no more, is in benchmarks/cases/analysis.py.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.bazel.harness import Bazel
from tests.bazel.many import write_capsules, write_environment
from tests.bazel.wheels import wheel

WHEELS, FEW, MANY = 50, 100, 300


@pytest.fixture(scope="module")
def many(bazel: Bazel) -> Iterator[Bazel]:
    folder = bazel.workspace / "many"
    for number in range(WHEELS):
        wheel(folder / "python", f"package{number}", "1.0", {f"package{number}.py": b""})
    write_environment(folder / "python")
    for count in (FEW, MANY):
        write_capsules(folder / str(count), count, "//many/python")
    yield bazel
    shutil.rmtree(folder)


@pytest.mark.parametrize("count", [FEW, MANY])
def test_what_capsules_share_is_packed_once_for_all(many: Bazel, count: int) -> None:
    query = f"mnemonic('Capsule.*', deps(//many/{count}:all))"
    said = many.run("aquery", query, "--include_commandline=false", "--include_artifacts=false").stdout
    assert Counter(re.findall(r"^  Mnemonic: (\w+)$", said, re.M)) == {
        "CapsuleWheelLayer": WHEELS,
        "CapsulePythonBase": 1,
        "CapsuleLayer": count,
        "CapsuleAssemble": count,
        "CapsuleProvenance": count,
        "CapsuleSbom": count,
    }
