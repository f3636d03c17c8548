"""What ``capsbuild inspect`` says is so, held against tar and against the files that went in."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

from tests.capsbuild.command import capsbuild, write
from tests.inspection.capsules import APPLICATION, HOSTILE, SITE, build


def inspected(capsule: Path, *arguments: str) -> dict[str, Any]:
    ran = capsbuild("inspect", capsule, "--json", *arguments)
    assert (ran.status, ran.err, ran.out.count("\n")) == (0, "", 1)
    document: dict[str, Any] = json.loads(ran.out)
    return document


def files_of(capsule: Path) -> dict[str, int]:
    with tarfile.open(capsule) as tar:
        return {file.name: file.size for file in tar if file.isreg() and not file.name.startswith(".capsule_")}


def test_the_facts_are_those_of_the_metadata(capsule: Path) -> None:
    with tarfile.open(capsule) as tar:
        file = tar.extractfile(".capsule_metadata.json")
        assert file
        metadata = json.load(file)
    del metadata["format"]
    document = inspected(capsule)
    assert {key: document[key] for key in metadata} == metadata
    assert (document["archive"], document["size"]) == (str(capsule), capsule.stat().st_size)


def test_every_file_has_one_owner_and_every_byte_is_counted_once(capsule: Path) -> None:
    document = inspected(capsule, "--top", "1000000")
    owners = document["distributions"] + document["others"]
    assert [f"{each['name']}" for each in document["distributions"]] == ["click", "demo-lib", "mdurl", "pyyaml"]
    assert document["distributions"][1]["version"] == "1.0"
    assert sorted(each["name"] for each in document["others"]) == ["application", "environment"]
    for key in ("files", "total_size", "compressed_size"):
        assert sum(each[key] for each in owners) == document[key]
    assert {file["path"]: file["total_size"] for file in document["largest_files"]} == files_of(capsule)
    by_path = {file["path"]: file["owner"] for file in document["largest_files"]}
    assert by_path[f"{SITE}/demonstration/same.py"] == "demo-lib 1.0"
    assert by_path[f"{SITE}/yaml/__init__.py"].startswith("pyyaml ")
    assert by_path[HOSTILE] == "application"
    assert by_path["venv/pyvenv.cfg"] == "environment"


def test_the_shares_of_a_layer_are_its_compressed_size(capsule: Path) -> None:
    """But for what its links take, which are no files."""
    document = inspected(capsule, "--top", "1000000")
    links = {"python"}
    assert len(document["layers"]) == 6
    for layer in document["layers"]:
        shares = sum(f["compressed_size"] for f in document["largest_files"] if f["layer"] == layer["name"])
        assert (shares == layer["compressed_size"]) is (layer["name"] not in links)


def test_the_largest_come_first_and_no_more_than_asked_for(capsule: Path) -> None:
    document = inspected(capsule, "--top", "3")
    sizes = [each["total_size"] for each in document["largest_files"]]
    assert sizes == sorted(files_of(capsule).values(), reverse=True)[:3]
    directories = {each["path"]: each["total_size"] for each in document["largest_directories"]}
    assert len(directories) == 3
    for path, size in directories.items():
        assert size == sum(each for name, each in files_of(capsule).items() if name.startswith(f"{path}/"))
    assert "venv" not in directories  # all that counts in it is deeper


def test_what_the_lines_to_ignore_name_is_left_out_and_nothing_else(capsule: Path, tmp_path: Path) -> None:
    suggested = {each["line"]: each for each in inspected(capsule)["ignore"]}
    assert list(suggested) == ["/data/big \\[1].bin\\ ", "/tests/", "*.pyi"]
    assert suggested["/tests/"]["total_size"] == len(APPLICATION["tests/test_main.py"])
    smaller = build(tmp_path / "smaller", changed={".capsuleignore": "\n".join(suggested)})
    left_out = files_of(capsule).keys() - files_of(smaller).keys()
    assert left_out == {"data/big [1].bin ", "tests/test_main.py", "lib/stubs.pyi"}
    assert inspected(smaller)["ignore"] == []


def test_nothing_is_suggested_that_the_manifest_starts(tmp_path: Path) -> None:
    write(
        tmp_path / "app",
        {"capsule.yml": "name: a\nversion: 1.0.0\nentrypoint: tests/run.sh\n", "tests/run.sh": "#!/bin/sh\n"},
    )
    assert capsbuild("--from-dir", tmp_path / "app", "--output", tmp_path / "a.tar.gz").status == 0
    assert inspected(tmp_path / "a.tar.gz")["ignore"] == []


def test_packages_get_figures(capsule: Path) -> None:
    figures = {each["what"]: each for each in inspected(capsule)["in_packages"]}
    files = [name for name in files_of(capsule) if name.startswith("venv/")]
    assert figures["tests"]["files"] == sum("/tests/" in name for name in files) == 1
    assert figures["type stubs"]["files"] == sum(name.endswith(".pyi") for name in files) == 1
    assert figures["tests"]["total_size"] == len("assert True\n")


def test_the_text_has_the_same_in_tables(capsule: Path) -> None:
    document = inspected(capsule)
    ran = capsbuild("inspect", capsule)
    lines = ran.out.splitlines()
    assert (ran.status, ran.err) == (0, "")
    assert lines[:5] == [
        f"alan 2.1.0: {capsule}",
        f"   BUILD_SHA: {document['id']}",
        "   Entrypoint: main.py",
        "   Requirements: verified",
        f"   Build: not stamped; capsule-builder {document['builder']['version']}, level 6",
    ]
    assert sum(line.endswith("  demo-lib 1.0") for line in lines) == 1
    assert sum(line.endswith("  data/big [1].bin ") for line in lines) == 1
    assert "  /tests/" in lines


def test_a_damaged_capsule_is_refused(capsule: Path, tmp_path: Path) -> None:
    data = bytearray(capsule.read_bytes())
    data[len(data) // 2] ^= 1
    damaged = tmp_path / "damaged.tar.gz"
    damaged.write_bytes(data)
    for arguments in (["inspect", damaged], ["diff", capsule, damaged], ["diff", damaged, capsule]):
        ran = capsbuild(*arguments)
        assert (ran.status, ran.out) == (4, "")
        assert ran.err.startswith("ERROR: ") and "Traceback" not in ran.err
    ran = capsbuild("inspect", damaged, "--json")
    failure = json.loads(ran.out)
    assert (ran.status, failure["status"], [error["code"][:5] for error in failure["errors"]]) == (4, 4, ["gzip-"])


def test_what_cannot_be_read_and_wrong_usage_have_statuses_of_their_own(tmp_path: Path, capsule: Path) -> None:
    assert capsbuild("inspect", tmp_path / "none").status == 3
    assert capsbuild("inspect", tmp_path).status == 3
    assert capsbuild("diff", capsule, tmp_path / "none").status == 3
    for wrong in (
        ["inspect"],
        ["inspect", capsule, "--top", "0"],
        ["inspect", capsule, "--top", "²"],
        ["diff", capsule],
    ):
        assert capsbuild(*wrong).status == 2
