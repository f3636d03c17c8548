"""``capsbuild provenance``: what was packed, as in-toto and SLSA say it."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseError

from capsule_builder import __version__
from capsule_builder.metadata import BuildFacts
from capsule_builder.statements.packed import read_packed
from capsule_builder.statements.provenance import encode, statement
from tests.capsbuild.command import capsbuild, snapshot, write
from tests.interpreter.test_interpreter import compile_c
from tests.provenance.conftest import METADATA, Build
from tests.provenance.slsa import Provenance, Statement, Validated, check_provenance, parsed

DOCUMENT_PATHS = [
    ("_type",), ("subject",), ("predicateType",), ("predicate",), ("subject", 0, "digest"),
    ("predicate", "buildDefinition"), ("predicate", "buildDefinition", "buildType"),
    ("predicate", "buildDefinition", "externalParameters"), ("predicate", "runDetails"),
    ("predicate", "runDetails", "builder"), ("predicate", "runDetails", "builder", "id"),
]  # fmt: skip


def made(archive: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(encode(statement(read_packed(os.fspath(archive)))))
    return document


def content(archive: Path, path: str) -> bytes:
    with tarfile.open(archive) as tar:
        file = tar.extractfile(path)
        assert file
        return file.read()


def test_the_statement_is_what_the_specifications_ask_for(built: Build) -> None:
    check_provenance(made(built()))
    check_provenance(made(built("stamped", facts=BuildFacts("2026-01-02T03:04:05Z", "host"))))
    check_provenance(made(built("plain", wheels=False)))


@pytest.mark.parametrize("path", DOCUMENT_PATHS, ids=lambda path: ".".join(map(str, path)))
def test_the_check_misses_what_is_missing(capsule: Path, path: tuple[Any, ...]) -> None:
    document = copy.deepcopy(made(capsule))
    inner: Any = document
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    with pytest.raises((AssertionError, KeyError, ValueError)):
        check_provenance(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("predicate", "buildDefinition", "more"), 1),
        (("predicate", "buildDefinition", "externalParameters"), []),
        (("predicate", "buildDefinition", "resolvedDependencies", 0, "hash"), "x"),
        (("predicate", "buildDefinition", "resolvedDependencies", 0, "digest"), {"sha256": 1}),
        (("predicate", "runDetails", "builder", "version"), {"capsule-builder": 1}),
        (("predicate", "runDetails", "metadata"), {"startedOn": "yesterday"}),
        (("predicate", "runDetails", "metadata"), {"started_on": "2026-01-02T03:04:05Z"}),
        (("predicate", "run_details"), {}),
        (("subject", 0, "annotations"), "x"),
        (("subject", 0, "digest"), {}),
        (("_type",), "https://in-toto.io/Statement/v0.1"),
        (("version",), 1),
    ],
    ids=str,
)
def test_the_published_schemas_find_what_is_wrong(capsule: Path, path: tuple[Any, ...], value: Any) -> None:
    """Each by the schemas alone, without what is written down here."""
    document = made(capsule)
    inner: Any = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises((AssertionError, ParseError, ValueError)):
        Validated.copy_from_pb(parsed(document, Statement())).validate()
        parsed(document["predicate"], Provenance())


def test_the_subjects_are_the_archive_and_the_listing(capsule: Path) -> None:
    archive, listing = made(capsule)["subject"]
    capsule_id = hashlib.sha256(content(capsule, ".capsule_contents")).hexdigest()
    assert archive == {
        "name": f"capsule-alan-{capsule_id[:12]}.tar.gz",
        "digest": {"sha256": hashlib.sha256(capsule.read_bytes()).hexdigest()},
        "annotations": {"capsule": "alan@2.1.0", "id": capsule_id},
    }
    assert (listing["name"], listing["digest"]) == (".capsule_contents", {"sha256": capsule_id})


def test_the_dependencies_are_the_distributions_by_their_records(capsule: Path) -> None:
    definition = made(capsule)["predicate"]["buildDefinition"]
    found = {item["name"]: item for item in definition["resolvedDependencies"]}
    assert set(found) == {name.replace("_", "-") for name, _ in METADATA}
    place = "core_part-2.0+local.1.dist-info/RECORD"
    record = content(capsule, f"venv/lib/python3.11/site-packages/{place}")
    assert found["core-part"] == {
        "name": "core-part",
        "uri": "pkg:pypi/core-part@2.0%2Blocal.1#core_part-2.0%2Blocal.1.dist-info/RECORD",
        "digest": {"sha256": hashlib.sha256(record).hexdigest()},
    }


def test_parameters_and_builder_are_those_of_the_metadata(built: Build) -> None:
    archive = built(facts=BuildFacts("2026-01-02T03:04:05Z", "host"), level=3)
    predicate = made(archive)["predicate"]
    assert predicate["buildDefinition"]["externalParameters"] == {
        "manifest": {
            "name": "alan",
            "version": "2.1.0",
            "entrypoint": "start.py",
            "sha256": hashlib.sha256(content(archive, "capsule.yml")).hexdigest(),
        },
        "python": "3.11",
        "bundledInterpreter": False,
        "requirements": None,
        "compressionLevel": 3,
        "stamp": True,
    }
    assert predicate["buildDefinition"]["internalParameters"] == {"host": "host"}
    assert predicate["runDetails"]["builder"]["version"] == {"capsule-builder": __version__}
    assert predicate["runDetails"]["metadata"] == {"startedOn": "2026-01-02T03:04:05Z"}


def test_a_bundled_interpreter_is_a_dependency(app: Path, house: Path, tmp_path: Path) -> None:
    root = write(tmp_path / "python", {"bin/python3.11": b"", "lib/python3.11/os.py": b""})
    (root / "bin/python3.11").write_bytes(compile_c(tmp_path, "int main(void) { return 0; }\n"))
    ran = capsbuild(
        "--from-dir", app, "--wheels", house, "--no-verify-requirements", "--interpreter", root,
        "--platform", f"linux_{os.uname().machine}", "--output", tmp_path / "out",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    first = made(tmp_path / "out")["predicate"]["buildDefinition"]["resolvedDependencies"][0]
    layers = json.loads(content(tmp_path / "out", ".capsule_metadata.json"))["layers"]
    digests = {layer["name"]: layer["digest"] for layer in layers}
    assert first == {"name": "CPython 3.11", "digest": {"sha256": digests["interpreter"]}}


def test_the_command_writes_it_beside_the_capsule_and_the_same_each_time(capsule: Path, tmp_path: Path) -> None:
    ran = capsbuild("provenance", capsule)
    beside = capsule.with_name("app.tar.gz.provenance.json")
    assert ran.status == 0, ran.err
    assert ran.out.splitlines()[0] == f"✅ Provenance written: {beside}"
    renamed = capsule.rename(tmp_path / "other name")
    ran = capsbuild("provenance", renamed, "--output", tmp_path / "again", "--json", env={"TZ": "Asia/Tokyo"})
    assert json.loads(ran.out)["output"] == str(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == beside.read_bytes()


def test_what_is_no_sound_capsule_gets_no_statement(capsule: Path) -> None:
    data = bytearray(capsule.read_bytes())
    data[len(data) // 2] ^= 1
    capsule.write_bytes(data)
    before = snapshot(capsule.parent)
    ran = capsbuild("provenance", capsule, "--json")
    assert (ran.status, json.loads(ran.out)["status"]) == (4, 4)
    assert snapshot(capsule.parent) == before


def test_statuses_and_places(capsule: Path, tmp_path: Path) -> None:
    before = capsule.read_bytes()
    ran = capsbuild("provenance", capsule, "--output", capsule)
    assert (ran.status, ran.err) == (2, f"ERROR: Output is the capsule itself: {capsule}\n  Name another.\n")
    assert capsbuild("provenance", capsule, "--output", tmp_path / "no" / "x").status == 2
    assert capsbuild("provenance", tmp_path / "nothing").status == 3
    assert capsbuild("provenance", tmp_path).status == 3
    assert capsbuild("provenance").status == 2
    assert capsule.read_bytes() == before
