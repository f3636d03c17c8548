"""docs/format.md and its vectors hold for the builder, for a second implementation, and for both doors."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.format import second, vectors

NAMES = sorted(vectors.VECTORS)
DOCS = vectors.DIRECTORY.parent


def golden(name: str, file: str) -> bytes:
    return (vectors.DIRECTORY / name / file).read_bytes()


def layers(name: str) -> dict[str, list[tuple[str, str, bytes]]]:
    """The entries of each layer of a vector as (path, kind, content or target), out of ``tree.json``."""
    tree = json.loads(golden(name, "tree.json"))
    found = {layer: [entry(one) for one in described] for layer, described in tree["layers"].items()}
    found["app"].append(("capsule.yml", "file", tree["manifest"].encode()))
    return found


def deflated(name: str) -> set[str]:
    """The paths whose content comes as a deflate stream."""
    tree = json.loads(golden(name, "tree.json"))
    return {one["path"] for described in tree["layers"].values() for one in described if one.get("deflated")}


def entry(described: dict[str, Any]) -> tuple[str, str, bytes]:
    path, kind = described["path"], described["kind"]
    if kind != "file":
        return path, kind, described.get("target", "").encode()
    data = vectors.content(described)
    named = path == "tools/named.bin"
    return path, "executable" if second.executable(data, named) else "file", data


def test_every_vector_is_on_disk_and_described() -> None:
    assert sorted(path.name for path in vectors.DIRECTORY.iterdir()) == NAMES
    assert set(re.findall(r"^\| `([a-z-]+)` \|", (DOCS / "format.md").read_text(), re.M)) >= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_builder_makes_the_vector_to_the_byte(name: str) -> None:
    made = vectors.build(vectors.VECTORS[name])
    assert {file: golden(name, file) for file in made} == made


@pytest.mark.parametrize("name", NAMES)
def test_a_second_implementation_gets_the_same_listing_and_id(name: str) -> None:
    listing = second.listing([one for layer in layers(name).values() for one in layer])
    assert listing == golden(name, "contents")
    assert hashlib.sha256(listing).hexdigest() == json.loads(golden(name, "expected.json"))["id"]


@pytest.mark.parametrize("name", NAMES)
def test_a_second_implementation_gets_the_same_tar_in_the_same_members(name: str) -> None:
    head = [
        (".capsule_metadata.json", golden(name, "metadata.json")),
        (".capsule_contents", golden(name, "contents")),
        (".capsule_index", golden(name, "index")),
    ]
    wanted = [second.tar_entry(path, "file", data) for path, data in head]
    wanted += [member for layer in layers(name).values() for member in second.borders(layer, deflated(name))]
    assert [plain for plain, _ in second.inflate(golden(name, "capsule.tar.gz"))] == [*wanted, bytes(1024)]


@pytest.mark.parametrize("name", NAMES)
def test_the_index_says_where_everything_lies(name: str) -> None:
    archive = golden(name, "capsule.tar.gz")
    members = second.inflate(archive)
    lines = golden(name, "index").decode().splitlines()
    assert lines[0] == "# capsule-index v1"
    position, at = 3, 0
    sizes: dict[str, int] = {}
    by_path = {path: (kind, data) for layer in layers(name).values() for path, kind, data in layer}
    layer = ""
    for line in lines[1:]:
        if line.startswith("# layer\t"):
            _, layer, digest, size = line.split("\t")
            assert digest == hashlib.sha256(second.listing(layers(name)[layer])).hexdigest()
            sizes[layer] = int(size)
        elif line.startswith("# member\t"):
            at, position = position, position + 1
            _, compressed, plain = line.split("\t")
            assert (len(members[at][0]), members[at][1]) == (int(plain), int(compressed))
            sizes[layer] -= int(compressed)
        else:
            offset, size, path = line.split("\t")
            kind, data = by_path[path]
            tar = second.tar_entry(path, kind, data)
            assert b"".join(plain for plain, _ in members[at:])[int(offset) :].startswith(tar)
            assert int(size) == (0 if kind in ("symlink", "dir") else len(data))
    assert position == len(members) - 1
    assert set(sizes.values()) == {0}


@pytest.mark.parametrize("name", NAMES)
def test_coreutils_and_tar_prove_the_vector(name: str, tmp_path: Path) -> None:
    subprocess.run(["tar", "xzf", vectors.DIRECTORY / name / "capsule.tar.gz", "-C", tmp_path], check=True)
    subprocess.run(["sha256sum", "--strict", "--quiet", "-c", ".capsule_contents"], cwd=tmp_path, check=True)
    shown = subprocess.run(
        ["sha256sum", ".capsule_contents"], cwd=tmp_path, check=True, stdout=subprocess.PIPE, text=True
    )
    expected = json.loads(golden(name, "expected.json"))
    assert shown.stdout.split()[0] == expected["id"]
    archive = golden(name, "capsule.tar.gz")
    assert hashlib.sha256(archive).hexdigest() == expected["archive_sha256"]


@pytest.mark.parametrize("name", [n for n in NAMES if set(vectors.VECTORS[n]["layers"]) == {"app"} and n != "copied"])
def test_capsbuild_makes_the_vector_from_a_directory(name: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for path, kind, data in layers(name)["app"]:
        place = source / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "symlink":
            os.symlink(data.decode(), place)
        elif kind == "dir":
            place.mkdir()
        else:
            place.write_bytes(data)
    output = tmp_path / "made.tar.gz"
    command = [sys.executable, "-m", "capsule_builder.cli.capsbuild", "--from-dir", source, "--output", output]
    subprocess.run(command, check=True, cwd=tmp_path)
    assert output.read_bytes() == golden(name, "capsule.tar.gz")


def test_streams_are_copied_as_they_are() -> None:
    archive = golden("copied", "capsule.tar.gz")
    copied = [described for described in vectors.VECTORS["copied"]["layers"]["app"] if described.get("deflated")]
    found = {d["path"]: vectors.InStoredBlocks(vectors.content(d)).stream in archive for d in copied}
    assert found == {d["path"]: d["path"] != "a/just-not" for d in copied}


def test_the_tail_and_the_sizes_are_the_documented_ones() -> None:
    from capsule_builder.archive import members, tar

    text = (DOCS / "format.md").read_text()
    tail = re.search(r"^    (1f8b08[0-9a-f ]+)$", text, re.M)
    assert tail and bytes.fromhex(tail[1]) == members.TAIL
    assert all(f"{size:,}" in text for size in (members.BLOCK_SIZE, members.PACK_SIZE, members.COPY_SIZE))
    assert f"{tar.MTIME:011o} ({tar.MTIME}," in text
