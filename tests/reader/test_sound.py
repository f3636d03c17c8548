"""What the builder makes is read back, entry by entry."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsule_builder.archive.reader import CapsuleReader
from capsule_builder.errors import CapsuleError
from tests.capsbuild.command import capsbuild, write
from tests.format import vectors
from tests.format.test_vectors import layers as vector_layers
from tests.reader.corpus import stored_empty
from tests.reader.forge import GZIP, Forge, One, small, with_entries
from tests.reader.reading import read

WHEELS = Path(__file__).parents[2] / ".dev" / "wheels"


@pytest.mark.parametrize("name", vectors.VECTORS)
def test_the_vectors_of_the_format_are_taken(name: str) -> None:
    archive = (vectors.DIRECTORY / name / "capsule.tar.gz").read_bytes()
    expected = [
        (layer, path, kind, data)
        for layer, entries in vector_layers(name).items()
        for path, kind, data in sorted(entries, key=lambda entry: entry[0].encode())
    ]
    assert read(archive) == expected


def test_the_head_is_known_before_the_rest_is_read() -> None:
    archive = (vectors.DIRECTORY / "layers" / "capsule.tar.gz").read_bytes()
    golden = vectors.DIRECTORY / "layers"
    file = io.BytesIO(archive)
    with CapsuleReader(file, label="x") as reader:
        assert reader.metadata_bytes == (golden / "metadata.json").read_bytes()
        assert reader.metadata == json.loads(reader.metadata_bytes)
        assert reader.listing.data == (golden / "contents").read_bytes()
        assert b"".join(reader.index.text()) == (golden / "index").read_bytes()
        assert reader.id == json.loads((golden / "expected.json").read_bytes())["id"]
        assert [entry.line() for entry in reader.listing] == (golden / "contents").read_bytes().splitlines(True)[1:]
        assert [layer.facts.name for layer in reader.index.layers] == ["app", "config", "plugins"]
        assert [entry.path for entry in reader.index.layers[1].entries()] == ["config/settings.ini", "shared.txt"]
        assert [member.size for member in reader.index.layers[1].members()] == [
            reader.index.layers[1].facts.compressed_size
        ]
        assert [(e.path, e.first) for e in reader.entries() if e.path == "shared.txt"] == [
            ("shared.txt", True), ("shared.txt", False),
        ]  # fmt: skip
        assert reader.finish().name == "layers"
    assert not file.closed


def test_what_is_not_read_is_checked_all_the_same() -> None:
    entries = small()
    entries[1].content = lambda data: data[:-1] + b"X"
    reader = CapsuleReader(io.BytesIO(Forge([("app", entries)]).build()), label="x")
    with reader, pytest.raises(CapsuleError, match=r"x: not what the listing says: data/table.txt"):
        reader.finish()


def test_every_byte_is_told_to_who_watches() -> None:
    archive = (vectors.DIRECTORY / "copied" / "capsule.tar.gz").read_bytes()
    seen: list[bytes] = []
    with CapsuleReader(io.BytesIO(archive), label="x", watch=seen.append) as reader:
        reader.finish()
    assert b"".join(seen) == archive


def test_any_members_are_taken_whose_index_is_true() -> None:
    """A header, and content, over many members."""
    cut = Forge(fragment=lambda plains: [plains[0][at : at + 100] for at in range(0, len(plains[0]), 100)]).build()
    assert read(cut) == read(Forge().build())


def test_a_stream_that_inflates_to_nothing_is_taken_when_it_was_copied() -> None:
    empty = GZIP + stored_empty(20_000) + bytes(8)

    def fragment(plains: list[bytes]) -> list[bytes]:
        return [*plains, b""]

    from tests.reader import forge

    archive = Forge(fragment=fragment, member=lambda plain: forge.member(plain) if plain else empty).build()
    assert read(archive) == read(Forge().build())


def test_files_named_by_a_layer_alone_are_taken() -> None:
    assert ("app", "tool", "executable", b"x") in read(with_entries(One("tool", "executable", b"x")))


def test_a_stamped_capsule_is_taken(tmp_path: Path) -> None:
    app = write(tmp_path / "app", {"capsule.yml": "name: a\nversion: 1.0.0\nentrypoint: a.py\n", "a.py": ""})
    ran = capsbuild("--from-dir", app, "--output", tmp_path / "a", "--stamp", "--compression-level", "12")
    assert ran.status == 0, ran.err
    assert [path for _, path, _, _ in read((tmp_path / "a").read_bytes())] == ["a.py", "capsule.yml"]


def test_a_capsule_of_wheels_is_taken(tmp_path: Path) -> None:
    """Streams are copied out of wheels, some of them of more than 1 MiB."""
    manifest = 'name: a\nversion: 1.0.0\nentrypoint: a.py\ndependencies:\n  python: "3.11"\n'
    app = write(tmp_path / "app", {"capsule.yml": manifest, "a.py": "", "requirements.txt": "numpy\ndjango\n"})
    ran = capsbuild(
        "--from-dir", app, "--output", tmp_path / "a", "--wheels", WHEELS, "--requirements",
        app / "requirements.txt", "--no-verify-requirements",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    with open(tmp_path / "a", "rb") as file, CapsuleReader(file, label="a") as reader:
        sizes = [member.size for layer in reader.index.layers for member in layer.members()]
        assert max(sizes) > 1 << 20
        assert len(sizes) > 100
        assert sum(1 for _ in reader.entries()) == len(reader.listing) > 3000
        reader.finish()


NAMES = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "S", "Zs"), exclude_characters="\\"), min_size=1, max_size=40
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join).filter(lambda path: not path.startswith(".capsule_"))
FILES = st.binary(max_size=2000) | st.builds(
    lambda head, size: head * size, st.binary(max_size=9), st.integers(0, 200_000)
)


def entry(path: str, content: bytes | None) -> dict[str, Any]:
    if content is None:
        return vectors.empty_dir(path)
    return {"path": path, "kind": "file", "hex": content.hex(), "deflated": len(content) > 100}


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(PATHS, st.none() | FILES, max_size=8), st.dictionaries(PATHS, FILES, max_size=4))
def test_any_capsule_of_the_builder_is_read_back(app: dict[str, bytes | None], lib: dict[str, bytes]) -> None:
    trees: dict[str, dict[str, bytes | None]] = {"app": dict(app), "lib": dict(lib)}
    trees["app"]["start.sh"] = b"#!/bin/sh\n"
    taken: set[str] = set()
    for tree in trees.values():  # no path twice, or below another
        for path in sorted(tree):
            parts = path.split("/")
            above = {"/".join(parts[:n]) for n in range(1, len(parts) + 1)}
            if above & taken or any(other.startswith(f"{path}/") for other in taken) or path in {"capsule.yml", "."}:
                del tree[path]
            else:
                taken.add(path)
    layers = {name: [entry(path, data) for path, data in sorted(tree.items())] for name, tree in trees.items()}
    made = vectors.build({"manifest": vectors.manifest("any"), "layers": layers})
    expected = [(name, path, data or b"") for name, tree in trees.items() for path, data in tree.items()]
    expected.append(("app", "capsule.yml", vectors.manifest("any").encode()))
    found = read(made["capsule.tar.gz"])
    assert [(layer, path, data) for layer, path, _, data in found] == sorted(
        expected, key=lambda one: (one[0], one[1].encode())
    )


def test_a_layer_with_nothing_in_it_has_no_members() -> None:
    layers = [("app", small()), ("empty", []), ("more", [One("z", "file")])]
    with CapsuleReader(io.BytesIO(Forge(layers).build()), label="x") as reader:
        assert [len(list(layer.lines())) > 0 for layer in reader.index.layers] == [True, False, True]
        assert b"".join(reader.index.text()).count(b"# layer\t") == 3
        reader.finish()
