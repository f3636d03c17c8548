"""One file of two distributions is fine when it is the same, however their RECORDs say so."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from capsule_builder.errors import CapsuleError
from tests.relocate.environments import relocated
from tests.relocate.wheels import wheel
from tests.wheels.doors import INSTALLERS, install, through_venv, through_wheels

WAYS: dict[str, Mapping[str, Any]] = {"plain": {}, "no size": {"sizes": False}, "another hash": {"algorithm": "sha512"}}


@pytest.mark.parametrize("ways", list(itertools.product(WAYS, WAYS)), ids="-".join)
def test_the_same_file_is_shared(ways: tuple[str, str], tmp_path: Path) -> None:
    files = {"ns/__init__.py": b"# shared\n", "DATA/scripts/run": b"#!python\n1\n"}
    built = [wheel(tmp_path, f"part{number}", "1", files, **WAYS[way]) for number, way in enumerate(ways)]
    expected = through_wheels(*built)
    assert isinstance(expected, dict)
    for installer in INSTALLERS:
        assert through_venv(installer, *built) == expected


@pytest.mark.parametrize("ways", list(itertools.product(WAYS, WAYS)), ids="-".join)
def test_another_file_is_refused(ways: tuple[str, str], tmp_path: Path) -> None:
    built = [
        wheel(tmp_path, f"part{number}", "1", {"ns/__init__.py": b"%d" % number}, **WAYS[way])
        for number, way in enumerate(ways)
    ]
    assert through_venv("uv", *built) == ["package-collision"]


@pytest.mark.parametrize("path", ["demo.py", "../../../bin/run"])
def test_a_wrong_size_is_not_what_a_record_says(path: str, tmp_path: Path) -> None:
    """Wheels refuse it too; the RECORD of a capsule would not be true."""
    built = wheel(tmp_path, "demo", "1", {"demo.py": b"", "DATA/scripts/run": b"#!python\n1\n"})
    install(tmp_path / "venv", [built], "uv")
    (record,) = (tmp_path / "venv").glob("lib/*/site-packages/demo-1.dist-info/RECORD")
    text = record.read_text()
    record.write_text(re.sub(f"^({re.escape(path)},.*),[0-9]+$", r"\1,77", text, flags=re.M))
    assert record.read_text() != text
    with pytest.raises(CapsuleError) as error:
        relocated(tmp_path / "venv")
    assert [problem.code for problem in error.value.problems] == ["record-mismatch"]
