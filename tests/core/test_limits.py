"""Nobody builds what no reader takes."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from capsule_builder import capsule
from capsule_builder.archive import index_reader, limits, listing_reader, reader
from capsule_builder.archive.reader import CapsuleReader
from capsule_builder.entries import Bytes, Entry, File
from capsule_builder.errors import CapsuleError
from capsule_builder.layer import LayerFiles, write_layer
from capsule_builder.manifest import Manifest

MANIFEST = Manifest("alan", "1.0.0", "a/b/start")
TEXT = b'name: alan\nversion: "1.0.0"\nentrypoint: a/b/start\n'


def entries(count: int) -> Iterator[Entry]:
    """``count`` of them, and two directories."""
    yield File("a/b/start", True, Bytes(b"#!/bin/sh\n"))
    yield File("capsule.yml", False, Bytes(TEXT))
    for number in range(count - 2):
        yield File(f"file{number:03}", False, Bytes(b""))


def build(count: int) -> bytes:
    files = LayerFiles(io.BytesIO(), io.BytesIO(), io.BytesIO())
    write_layer(entries(count), files)
    layers = [capsule.Layer("app", "//:app", files)]
    merged = capsule.merge(layers, MANIFEST, io.BytesIO())
    out = io.BytesIO()
    capsule.write_archive(out, io.BytesIO(), merged, layers, MANIFEST)
    return out.getvalue()


def verify(archive: bytes) -> None:
    with CapsuleReader(io.BytesIO(archive), label="x") as capsule_reader:
        capsule_reader.finish()


def lower(monkeypatch: pytest.MonkeyPatch, name: str, limit: int, *readers: object) -> None:
    for module in (capsule, *readers):
        assert getattr(module, name) == getattr(limits, name), "one limit for both sides"
        monkeypatch.setattr(module, name, limit)


def refused(count: int, archive: bytes) -> tuple[str, str]:
    """The code with which the builder refuses a tree, and that with which the reader refuses it all the same."""
    with pytest.raises(CapsuleError) as built:
        build(count)
    with pytest.raises(CapsuleError) as read:
        verify(archive)
    return built.value.problems[0].code, read.value.problems[0].code


@pytest.mark.parametrize(
    ("name", "modules", "code"),
    [
        ("MAX_ENTRIES", (listing_reader,), "limit-entries"),
        ("MAX_LISTING", (reader,), "limit-listing"),
        ("MAX_INDEX", (reader,), "limit-index"),
        ("MAX_MEMBERS", (index_reader,), "limit-members"),
    ],
)
def test_builder_and_reader_have_the_same_limits(
    name: str, modules: tuple[object, ...], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    larger = build(100)
    verify(larger)
    with CapsuleReader(io.BytesIO(larger), label="x") as opened:
        exact = {
            "MAX_ENTRIES": 102,
            "MAX_LISTING": len(opened.listing.data),
            "MAX_INDEX": sum(map(len, opened.index.text())),
            "MAX_MEMBERS": sum(1 for layer in opened.index.layers for _ in layer.members()),
        }[name]
    lower(monkeypatch, name, exact, *modules)
    assert build(100) == larger
    verify(larger)

    lower_still = pytest.MonkeyPatch()
    with lower_still.context() as patch:
        for module in (capsule, *modules):
            patch.setattr(module, name, exact - 1)
        assert refused(100, larger) == (code, code)
