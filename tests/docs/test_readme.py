"""What the README shows is what comes out."""

from __future__ import annotations

import re
from pathlib import Path

from capsule_builder.building.build import PythonOptions, Source, build
from capsule_builder.python.gather import Wish
from tests.examples.metacog_venv import metacog_venv

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_has_the_id_that_the_readme_shows(tmp_path: Path) -> None:
    example = Source(str(ROOT / "examples" / "metacog"))
    options = PythonOptions(wish=Wish(venv=str(metacog_venv())))
    built = build(example, output=str(tmp_path / "capsule"), python=options)
    text = (ROOT / "README.md").read_text()
    assert re.findall(r"BUILD_SHA: ([0-9a-f]{64})$", text, re.M) == [built.id]
    assert set(re.findall(r"capsule-([a-z-]+-[0-9a-f]{12})\.tar\.gz", text)) == {f"{built.name}-{built.id[:12]}"}
    assert set(re.findall(r"(?:activate |tori@)([0-9a-f]+)", text)) == {built.id[:12]}
