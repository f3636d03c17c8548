"""Environments that no builder of ours makes: every reason why a distribution cannot be told, at once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from capsule_builder.errors import CapsuleError
from capsule_builder.requirements import Target
from capsule_builder.statements.packed import MAX_FILE, read_packed
from capsule_builder.statements.sbom import write_sbom
from tests.capsbuild.command import capsbuild, write
from tests.provenance.conftest import Build

SITE = "venv/lib/python3.11/site-packages"  # without a pyvenv.cfg it is a directory like any other


def metadata(name: str, version: str, more: str = "") -> str:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}"


def test_all_that_is_wrong_is_told_at_once(app: Path, built: Build) -> None:
    files = {
        "bare-1.dist-info/RECORD": "",
        "empty-1.dist-info/METADATA": "",
        "empty-1.dist-info/RECORD": "",
        "loose-1.dist-info/METADATA": metadata("loose", "1"),
        "one-1.dist-info/METADATA": metadata("one", "1"),
        "one-1.dist-info/RECORD": "",
        "one-2.dist-info/METADATA": metadata("One", "2"),
        "one-2.dist-info/RECORD": "",
    }
    write(app, {f"{SITE}/{name}": content for name, content in files.items()})
    archive = built(wheels=False)
    with pytest.raises(CapsuleError) as caught:
        read_packed(os.fspath(archive))
    assert [(problem.code, problem.message) for problem in caught.value.problems] == [
        ("packed-incomplete", f"Distribution without METADATA: {SITE}/bare-1.dist-info"),
        ("distribution-metadata", f"{SITE}/empty-1.dist-info: its METADATA is empty"),
        ("packed-incomplete", f"Distribution without RECORD: {SITE}/loose-1.dist-info"),
        ("distribution-duplicate", f"one is there twice: {SITE}/one-1.dist-info, {SITE}/one-2.dist-info"),
    ]
    assert capsbuild("provenance", archive).status == 4


def test_metadata_without_end_are_not_read(app: Path, built: Build) -> None:
    write(app, {f"{SITE}/foo-1.dist-info/METADATA": metadata("foo", "1", "\n") + "x" * MAX_FILE})
    with pytest.raises(CapsuleError) as caught:
        read_packed(os.fspath(built(wheels=False)))
    assert caught.value.problems[0].code == "packed-size"


def test_names_elsewhere_are_no_distributions(app: Path, built: Build) -> None:
    for place in ("lib", f"{SITE}/pip/_vendor", "venv/lib/site-packages"):
        write(app, {f"{place}/foo-1.dist-info/METADATA": metadata("foo", "1")})
    assert read_packed(os.fspath(built(wheels=False))).distributions == ()


@pytest.mark.parametrize(
    "more",
    [
        "License-Expression: " + "(" * 100_000,
        "License-Expression: \x00\x1f\ufffe",
        "Summary: \u202e\x07",
        "Requires-Dist: ]]]\nRequires-Dist: foo; nothing == 'x'\nRequires-Dist: " + "a" * 10_000,
        "Classifier: License :: \nClassifier: License ::\nClassifier: License :: MIT OR ISC\nClassifier: License :: X",
        "Keywords: \udcff",
    ],
    ids=["deep", "control", "bidi", "requires", "classifiers", "bytes"],
)
def test_hostile_metadata_make_a_document_or_a_refusal(app: Path, built: Build, more: str) -> None:
    content = metadata("foo", "1", more + "\n").encode("utf-8", "surrogateescape")
    write(app, {f"{SITE}/foo-1.dist-info/METADATA": content, f"{SITE}/foo-1.dist-info/RECORD": ""})
    packed = read_packed(os.fspath(built(wheels=False)))
    data = write_sbom(packed, Target()).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data) is None
    assert json.loads(data)["components"][0]["purl"] == "pkg:pypi/foo@1"
