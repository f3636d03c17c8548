"""Every harness, for a bounded number of inputs, the same each time; and the proof that each can find something."""

from __future__ import annotations

import re
import types
import zlib
from collections.abc import Callable

import installer.utils
import pytest

from capsule_builder.archive import entry_reader, gzip_reader, index_reader, listing_reader, reader, zip_members
from capsule_builder.archive import zip as zip_reader
from capsule_builder.archive.link_reader import Walker
from capsule_builder.archive.mode_reader import ModeReader
from capsule_builder.archive.tar_reader import Tar
from capsule_builder.archive.zip_members import ZipMember
from capsule_builder.errors import Problem
from capsule_builder.manifest import structure
from capsule_builder.patterns import Patterns
from capsule_builder.python import record, scripts, wheel
from capsule_builder.requirements import references
from capsule_builder.trust import minisign
from tests.fuzz import parts
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
    patch.setattr(entry_reader, "hashlib", types.SimpleNamespace(sha256=lambda: same))


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


def loose_claims(patch: Patch) -> None:
    patch.setattr(minisign, "_CLAIM", re.compile(minisign._CLAIM.pattern + ".*", re.DOTALL))


def trailing_bytes(patch: Patch) -> None:
    some = gzip_reader.Source.some
    patch.setattr(gzip_reader.Source, "some", lambda self, size: b"" if size == 1 else some(self, size))


def unread_tables(patch: Patch) -> None:
    """A table that has not come yet is taken to be empty."""
    patch.setattr(ModeReader, "_read_so_far", lambda self, size, at: bytes(self._first[at : at + size]))


def unnamed_files(patch: Patch) -> None:
    """What RECORD does not name has a row all the same."""
    rows = wheel._rows

    def lenient(label: str, info: str, members: dict[str, ZipMember], problems: list[Problem]) -> dict[str, record.Row]:
        found = rows(label, info, members, [])
        return {path: found.get(path, record.Row.of(path, member.read())) for path, member in members.items()}

    patch.setattr(wheel, "_rows", lenient)


def unquoted_rows(patch: Patch) -> None:
    patch.setattr(record, "write", lambda rows: b"".join(f"{row.path},{row.hash},\n".encode() for row in rows))


def first_pattern(patch: Patch) -> None:
    """The first pattern that names a path decides, and not the last."""
    made = Patterns.__init__

    def turned(self: Patterns, lines: list[str]) -> None:
        made(self, lines)
        self._rules.reverse()

    patch.setattr(Patterns, "__init__", turned)


def any_case(patch: Patch) -> None:
    parse = installer.utils.parse_metadata_file
    patch.setattr(installer.utils, "parse_metadata_file", lambda text: parse(text.upper()))


DEFECTS: dict[str, tuple[str, Callable[[Patch], None]]] = {
    "a CRC-32 that is not checked": ("gzip", no_crc),
    "something after the end": ("archive", trailing_bytes),
    "contents that are not hashed": ("forged", no_hash),
    "tar headers that are not compared": ("forged", tar_headers),
    "padding that is not looked at": ("forged", tar_padding),
    "claims that are not checked": ("forged", nothing(reader, "check_claims")),
    "claims about layers that are not checked": ("metadata", nothing(parts, "check_claims")),
    "claims of other counts that are not checked": ("metadata-forged", nothing(parts, "check_claims")),
    "programs that are listed as files": ("forged", nothing(ModeReader, "executable", False)),
    "links that are not followed": ("listing", nothing(Walker, "check_links")),
    "links among links that are not followed": ("listing-forged", nothing(Walker, "check_links")),
    "links of a capsule that are not followed": ("forged", nothing(Walker, "check_links")),
    "an entrypoint that is not looked for": ("forged", nothing(Walker, "file", True)),
    "paths that lead anywhere": ("listing", nothing(listing_reader, "path_problem")),
    "entries below entries": ("listing-forged", nothing(listing_reader.Listing, "_parent")),
    "layers with another digest": ("index", index_digests),
    "members that end elsewhere": ("index", nothing(index_reader.Index, "_close")),
    "tables that have not come yet": ("program", unread_tables),
    "descriptors that say anything": ("zip-forged", nothing(zip_reader, "is_descriptor", True)),
    "gaps between entries": ("zip-forged", nothing(zip_reader._Examination, "_tile")),
    "headers that contradict each other": ("zip-forged", nothing(zip_reader._Examination, "_compare")),
    "content with another CRC-32": ("zip", nothing(zip_members.ZipMember, "_check_crc")),
    "rows without quotes": ("record", unquoted_rows),
    "files that RECORD does not name": ("wheel", unnamed_files),
    "a program of any name": ("entry-points", nothing(scripts, "_complaint", "")),
    "arguments without quotes": ("script", lambda patch: patch.setattr(scripts, "_quoted", str)),
    "names in another case": ("core-metadata", any_case),
    "a comment after the claim": ("claim", loose_claims),
    "a signature that is not checked": ("signature", nothing(minisign, "_is_signed", True)),
    "a key of any base64": ("public-key", nothing(minisign, "_unbase64", b"Ed" + bytes(40))),
    "halves of different keys": ("secret-key", nothing(minisign.hmac, "compare_digest", True)),
    "requirements that are not parsed": ("requirements", nothing(references, "_parsed")),
    "the first pattern that matches": ("patterns", first_pattern),
    "keys that YAML takes for numbers": ("manifest", nothing(structure, "reading")),
}


def test_there_is_a_defect_for_every_harness() -> None:
    assert {name for name, _ in DEFECTS.values()} == HARNESSES.keys()


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_found(defect: str, monkeypatch: Patch) -> None:
    name, plant = DEFECTS[defect]
    fuzzed = HARNESSES[name]
    plant(monkeypatch)
    with pytest.raises(Exception):  # noqa: B017  what is found first depends on the defect
        for data in fuzzed.inputs(name, fuzzed.runs):
            fuzzed.harness(data)
