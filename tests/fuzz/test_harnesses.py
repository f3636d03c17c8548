"""Every harness, for a bounded number of inputs, the same each time; and the proof that each can find something."""

from __future__ import annotations

import re
import types
import zlib
from collections.abc import Callable

import pytest

from capsule_builder import minisign
from capsule_builder.archive import gzip_reader, index_reader, listing_reader, reader, zip_members
from capsule_builder.archive import zip as zip_reader
from capsule_builder.archive.link_reader import Walker
from capsule_builder.archive.mode_reader import ModeReader
from capsule_builder.archive.tar_reader import Tar
from capsule_builder.manifest import structure
from capsule_builder.python import record, scripts, wheel
from capsule_builder.requirements import references
from tests.fuzz.harnesses import HARNESSES

Patch = pytest.MonkeyPatch


@pytest.mark.parametrize("name", HARNESSES)
def test_nothing_is_found(name: str) -> None:
    fuzzed = HARNESSES[name]
    inputs = fuzzed.inputs(name, fuzzed.runs)
    taken = sum(fuzzed.harness(data) for data in inputs)
    assert 0 < taken < len(inputs)  # neither is everything refused, nor is everything taken


def no_crc(patch: Patch) -> None:
    """Members are taken whatever their CRC-32 is."""
    patch.setattr(gzip_reader, "struct", types.SimpleNamespace(unpack=lambda _, data: (0, _length(data))))
    patch.setattr(gzip_reader, "zlib", _without_crc())


def _length(data: bytes) -> int:
    return int.from_bytes(data[4:], "little")


def _without_crc() -> types.SimpleNamespace:
    return types.SimpleNamespace(**{**vars(zlib), "crc32": lambda *_: 0})


def no_hash(patch: Patch) -> None:
    """Contents are taken whatever their SHA-256 is."""
    same = types.SimpleNamespace(hexdigest=lambda: Anything(), update=lambda _: None)
    patch.setattr(reader, "hashlib", types.SimpleNamespace(sha256=lambda: same))


class Anything(str):
    """Text that is equal to every other."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False


def nothing(owner: object, name: str, result: object = None) -> Callable[[Patch], None]:
    """A check that finds nothing."""
    return lambda patch: patch.setattr(owner, name, lambda *_, **__: result)


def tar_headers(patch: Patch) -> None:
    patch.setattr(Tar, "header", lambda self, expected, _: self.take(len(expected)) and None)


def tar_padding(patch: Patch) -> None:
    patch.setattr(Tar, "_padding", lambda self, size, _: self.take(-size % 512) and None)


def index_digests(patch: Patch) -> None:
    patch.setattr(index_reader, "hashlib", types.SimpleNamespace(sha256=lambda *_: _Same()))


class _Same:
    def update(self, _: bytes) -> None: ...

    def hexdigest(self) -> str:
        return Anything("0" * 64)


def short_descriptors(patch: Patch) -> None:
    patch.setattr(zip_reader, "is_descriptor", lambda *_: True)


def whole_regex(patch: Patch) -> None:
    """A claim that is searched for, not matched."""
    loose = re.compile(r"capsule=([!-?A-~]+)@([!-?A-~]+) id=([0-9a-f]{64}).*", re.DOTALL)
    patch.setattr(minisign, "_CLAIM", loose)


DEFECTS: dict[str, tuple[str, Callable[[Patch], None]]] = {
    "a CRC-32 that is not checked": ("gzip", no_crc),
    "contents that are not hashed": ("forged", no_hash),
    "tar headers that are not compared": ("forged", tar_headers),
    "padding that is not looked at": ("forged", tar_padding),
    "claims that are not checked": ("forged", nothing(reader, "check_claims")),
    "claims about layers that are not checked": ("metadata", nothing(reader, "check_claims")),
    "programs that are listed as files": ("forged", nothing(ModeReader, "executable", False)),
    "links that are not followed": ("listing", nothing(Walker, "check_links")),
    "links of a capsule that are not followed": ("forged", nothing(Walker, "check_links")),
    "an entrypoint that is not looked for": ("forged", nothing(Walker, "file", True)),
    "paths that lead anywhere": ("listing", nothing(listing_reader, "path_problem")),
    "entries below entries": ("listing", nothing(listing_reader.contents.Nesting, "parent")),
    "layers with another digest": ("index", index_digests),
    "members that end elsewhere": ("index", nothing(index_reader.Index, "_close")),
    "pieces that matter": ("program", nothing(ModeReader, "_begin")),
    "descriptors that say anything": ("zip-forged", short_descriptors),
    "gaps between entries": ("zip", nothing(zip_reader._Examination, "_tile")),
    "headers that contradict each other": ("zip-forged", nothing(zip_reader._Examination, "_compare")),
    "content with another CRC-32": ("zip", nothing(zip_members.ZipMember, "_check_crc")),
    "a hash of no length": ("record", lambda patch: patch.setattr(record, "_STRONG", {"sha256": 3})),
    "files that RECORD does not name": ("wheel", nothing(wheel, "is_of", True)),
    "a program of any name": ("entry-points", nothing(scripts, "_complaint", "")),
    "a comment after the claim": ("claim", whole_regex),
    "a signature that is not checked": ("signature", nothing(minisign, "_is_signed", True)),
    "keys in any base64": ("public-key", nothing(minisign, "_unbase64", b"Ed" + bytes(40))),
    "markers of any depth": ("requirements", nothing(references, "_parsed")),
    "tags in a manifest": ("manifest", nothing(structure, "reading")),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_found(defect: str, monkeypatch: Patch) -> None:
    name, plant = DEFECTS[defect]
    fuzzed = HARNESSES[name]
    plant(monkeypatch)
    found = 0
    for data in fuzzed.inputs(name, fuzzed.runs):
        try:
            fuzzed.harness(data)
        except Exception:
            found += 1
            break
    assert found
