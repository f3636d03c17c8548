"""Hostile and broken ZIPs: each is refused for what it is, with its own code, and without a traceback."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest

from capsule_builder.archive.zip import ZipReader
from capsule_builder.archive.zip_members import MAX_WHOLE
from capsule_builder.errors import CapsuleError
from tests.zip.forge import DESCRIPTOR, ONES, UTF8, Entry, deflate, described, extra, forge, unicode_path, wide

SOUND = forge(Entry(), Entry(b"b"))
EMPTY_DIRECTORY = {"data": b"", "method": 0, "mode": 0o40755}
MIB = 1 << 20
BOMB = deflate(bytes(70 * MIB))
TEXT = Entry().data


def sized(size: int) -> dict[str, int]:
    return {"size": size, "deflated": size // 200}


STRUCTURE: dict[str, tuple[bytes, list[str]]] = {
    # The file as a whole
    "nothing": (b"", ["zip-not-a-zip"]),
    "text": (b"a text\n" * 30_000, ["zip-not-a-zip"]),
    "a gzip": (b"\x1f\x8b\x08" + bytes(100), ["zip-not-a-zip"]),
    "cut in the first entry": (SOUND[:20], ["zip-truncated"]),
    "cut in the central directory": (SOUND[:-40], ["zip-truncated"]),
    "cut in the end record": (SOUND[:-1], ["zip-truncated"]),
    "cut in the comment": (forge(Entry(), comment=b"words")[:-2], ["zip-truncated"]),
    "another file at its end": (SOUND + b"x", ["zip-trailing"]),
    "zeros at its end": (SOUND + bytes(8000), ["zip-trailing"]),
    "another ZIP at its end": (SOUND + SOUND, ["zip-prefix"]),
    "a ZIP as its comment": (forge(Entry(), comment=SOUND), ["zip-comment"]),
    "an end record cut off in its comment": (forge(Entry(), comment=b"PK\x05\x06"), ["zip-comment"]),
    "a program before it": (forge(Entry(), prefix=b"#!/bin/sh\nexit\n"), ["zip-prefix"]),
    "a program before it, not counted": (b"#!/bin/sh\nexit\n" + SOUND, ["zip-prefix"]),
    "a program before nothing": (forge(prefix=b"#!/bin/sh\n"), ["zip-prefix"]),
    "first of several disks": (forge(Entry(), end={"disk": 1}), ["zip-multi-disk"]),
    "central directory on another disk": (forge(Entry(), end={"start": 1}), ["zip-multi-disk"]),
    "entries on several disks": (forge(Entry(), end={"count": 2}), ["zip-multi-disk"]),
    "entry on another disk": (forge(Entry(central={"disk": 1})), ["zip-multi-disk"]),
    # The end records
    "too many entries announced": (forge(Entry(), end={"count": 2, "here": 2}), ["zip-count"]),
    "too few entries announced": (forge(Entry(), Entry(b"b"), end={"count": 1, "here": 1}), ["zip-count"]),
    "no entries announced": (forge(Entry(), end={"count": 0, "here": 0}), ["zip-count"]),
    "central directory announced too long": (forge(Entry(), end={"size": 48}), ["zip-end-record"]),
    "central directory announced too short": (forge(Entry(), end={"size": 46}), ["zip-end-record"]),
    "central directory announced elsewhere": (forge(Entry(), end={"offset": 0}), ["zip-end-record"]),
    "central directory announced beyond": (forge(Entry(), end={"offset": 1 << 31}), ["zip-end-record"]),
    "something after the central directory": (forge(Entry(), after_central=b"PK\x05\x05\0\0"), ["zip-end-record"]),
    "something in the central directory": (
        forge(Entry(), after_central=b"PK\x05\x05\0\0", end={"size": 53}),
        ["zip-central"],
    ),
    "wrong signature in the central directory": (forge(Entry(central={"signature": b"PK\x01\x03"})), ["zip-central"]),
    "2,000,001 entries": (
        forge(Entry(), wide_end=True, wide_changes={"count": 2_000_001, "here": 2_000_001}),
        ["zip-entries"],
    ),
    "central directory of a gigabyte": (
        forge(Entry(), wide_end=True, wide_changes={"size": 1 << 30}),
        ["zip-directory-size", "zip-end-record"],
    ),
    "64-bit end record lost": (forge(Entry(), wide_end=True, wide_changes={"at": 5}), ["zip-zip64"]),
    "64-bit end record of another length": (forge(Entry(), wide_end=True, wide_changes={"rest": 45}), ["zip-zip64"]),
    "64-bit end record and the other disagree": (forge(Entry(), wide_end=True, end={"count": 2}), ["zip-zip64"]),
    "64-bit end record on another disk": (
        forge(Entry(), wide_end=True, wide_changes={"locator_disk": 1}),
        ["zip-multi-disk"],
    ),
    "64-bit end record of two disks": (forge(Entry(), wide_end=True, wide_changes={"disks": 2}), ["zip-multi-disk"]),
    # How entries lie
    "a gap between entries": (forge(Entry(), Entry(b"b", before=b"hidden")), ["zip-gap"]),
    "a gap before the central directory": (forge(Entry(), gap=b"hidden"), ["zip-gap"]),
    "an entry that only the stream shows": (forge(Entry(), Entry(b"b", listed=False), Entry(b"c")), ["zip-gap"]),
    "a first entry that only the stream shows": (forge(Entry(listed=False), Entry(b"b")), ["zip-prefix"]),
    "two central headers for one entry": (
        forge(Entry(), Entry(b"b", place=0, local={"name": b"a"})),
        ["zip-mismatch", "zip-overlap", "zip-gap"],
    ),
    "entries that overlap": (
        forge(Entry(method=0, data=Entry(b"b").local_header() + Entry().body()), Entry(b"b", place=31)),
        ["zip-overlap", "zip-gap"],
    ),
    "an entry in the central directory": (forge(Entry(both={"deflated": 1000})), ["zip-overlap"]),
    "an entry beyond the file": (forge(Entry(place=1 << 30)), ["zip-local"]),
    "an entry where there is none": (forge(Entry(place=3)), ["zip-local"]),
    "an entry whose name runs over": (forge(Entry(local={"length": 3000})), ["zip-local"]),
    "a local header of another kind": (forge(Entry(local={"signature": b"PK\x03\x05"})), ["zip-local"]),
    # Headers that disagree
    "two names": (forge(Entry(local={"name": b"b"})), ["zip-mismatch"]),
    "two Unicode names": (
        forge(Entry(b"a", extra=unicode_path("x", b"a"), local_extra=unicode_path("y", b"a"))),
        ["zip-mismatch"],
    ),
    "a Unicode name for streams": (forge(Entry(local_extra=unicode_path("y", b"a"))), ["zip-mismatch"]),
    "two methods": (forge(Entry(local={"method": 0})), ["zip-mismatch"]),
    "two encodings": (forge(Entry(local={"flags": UTF8})), ["zip-mismatch"]),
    "encrypted for streams": (forge(Entry(local={"flags": 1})), ["zip-mismatch"]),
    "two CRCs": (forge(Entry(local={"crc": 1})), ["zip-mismatch"]),
    "two sizes": (forge(Entry(local={"size": 1})), ["zip-mismatch"]),
    "two deflated sizes": (forge(Entry(local={"deflated": 1})), ["zip-mismatch"]),
    "sizes for later, without a descriptor": (
        forge(Entry(local={"crc": 0, "size": 0, "deflated": 0})),
        ["zip-mismatch"],
    ),
    "a descriptor to come, with other sizes": (
        forge(Entry(flags=DESCRIPTOR, local={"size": 7}, descriptor=described().descriptor)),
        ["zip-mismatch"],
    ),
    "no descriptor": (forge(Entry(flags=DESCRIPTOR)), ["zip-descriptor"]),
    "a descriptor not announced": (forge(Entry(descriptor=described().descriptor)), ["zip-gap"]),
    "a descriptor that lies": (
        forge(Entry(flags=DESCRIPTOR, descriptor=struct.pack("<4s3L", b"PK\x07\x08", 1, 2, 3))),
        ["zip-descriptor"],
    ),
    "a descriptor and more": (
        forge(Entry(flags=DESCRIPTOR, descriptor=described().descriptor + b"more")),
        ["zip-descriptor"],
    ),
    "extra field that runs over": (forge(Entry(extra=struct.pack("<2H", 5, 9) + b"x")), ["zip-extra"]),
    "extra field cut off": (forge(Entry(extra=b"UT\x05")), ["zip-extra"]),
    "64-bit field twice": (forge(Entry(extra=wide() + wide())), ["zip-extra"]),
    "64-bit field too short": (forge(Entry(extra=wide(18), both={"size": ONES, "deflated": ONES})), ["zip-extra"]),
    "64-bit field too long": (
        forge(Entry(extra=wide(len(TEXT), 0), central={"size": ONES}, local_extra=b"")),
        ["zip-extra"],
    ),
    "64-bit field that nobody asked for and that lies": (
        forge(Entry(extra=wide(18, 1 << 40), local_extra=b"")),
        ["zip-extra"],
    ),
    # What is in an entry
    "encrypted": (forge(Entry(flags=1)), ["zip-encrypted"]),
    "strongly encrypted": (forge(Entry(flags=1 << 6)), ["zip-encrypted"]),
    "headers masked": (forge(Entry(flags=1 << 13)), ["zip-encrypted"]),
    "patched": (forge(Entry(flags=1 << 5)), ["zip-method"]),
    "stored in fewer bytes": (forge(Entry(method=0, stream=b"x")), ["zip-size"]),
    "stored in more bytes": (forge(Entry(method=0, stream=TEXT + b"more")), ["zip-size"]),
    "deflated to nothing": (forge(Entry(data=b"", stream=b"")), ["zip-size"]),
    "directory with content": (forge(Entry(b"d/", mode=0o40755)), ["zip-directory-data"]),
    "directory with something hidden": (
        forge(Entry(b"d/", data=b"", stream=b"hidden", mode=0o40755)),
        ["zip-directory-data"],
    ),
    "directory without its slash": (forge(Entry(b"d", **EMPTY_DIRECTORY)), ["zip-kind"]),
    "directory without its slash, from DOS": (
        forge(Entry(b"d", b"", 0, system=0, central={"attributes": 16})),
        ["zip-kind"],
    ),
    "link with a slash": (forge(Entry(b"l/", b"", 0, mode=0o120777)), ["zip-kind"]),
    "link with a long target": (forge(Entry(b"l", b"x" * 4097, mode=0o120777)), ["zip-link"]),
    "device": (forge(Entry(b"d", b"", 0, mode=0o20644)), ["zip-special"]),
    "block device": (forge(Entry(b"d", b"", 0, mode=0o60644)), ["zip-special"]),
    "fifo": (forge(Entry(b"d", b"", 0, mode=0o10644)), ["zip-special"]),
    "socket": (forge(Entry(b"d", b"", 0, mode=0o140644)), ["zip-special"]),
    # Bombs
    "a bomb": (forge(Entry(data=b"", stream=BOMB, both={"size": 70 * MIB})), ["zip-bomb"]),
    "many small bombs": (
        forge(*[Entry(b"%d" % n, b"", stream=deflate(bytes(60 * MIB)), both={"size": 60 * MIB}) for n in range(3)]),
        ["zip-bomb"],
    ),
    "more than 64 GiB": (
        forge(*[Entry(b"%d" % n, b"", stream=b"", both=sized(4_000_000_000)) for n in range(18)]),
        [*["zip-overlap"] * 18, "zip-total"],
    ),
}


def codes_of(data: bytes, tmp_path: Path) -> list[str]:
    """Why a ZIP of ``data`` is refused; nothing when it and all its content are sound."""
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    try:
        with ZipReader(str(path)) as reader:
            for member in reader.members:
                if member.kind != "directory":
                    member.read()
    except CapsuleError as error:
        for problem in error.problems:
            assert problem.message.startswith(f"{path}: ") and problem.remedy and "\n" not in str(problem.message)
        return [problem.code for problem in error.problems]
    return []


@pytest.mark.parametrize("case", STRUCTURE)
def test_a_zip_that_lies_is_refused_with_its_code(case: str, tmp_path: Path) -> None:
    data, codes = STRUCTURE[case]
    began = time.monotonic()
    assert codes_of(data, tmp_path) == codes
    assert time.monotonic() - began < 5


NAMES: dict[str, tuple[bytes, dict[str, int], str]] = {
    "empty": (b"", {}, "zip-name-part"),
    "up": (b"../a", {}, "zip-name-escape"),
    "up in the middle": (b"a/../../b", {}, "zip-name-escape"),
    "up at the end": (b"a/..", {}, "zip-name-escape"),
    "up from here": (b"./../a", {}, "zip-name-escape"),
    "nothing but up": (b"..", {}, "zip-name-escape"),
    "up as on DOS": (b"..\\a", {"system": 0}, "zip-name-escape"),
    "absolute": (b"/etc/passwd", {}, "zip-name-absolute"),
    "twice absolute": (b"//host/share", {}, "zip-name-absolute"),
    "absolute as on DOS": (b"\\a", {"system": 11}, "zip-name-absolute"),
    "on a drive": (b"C:\\a", {"system": 0}, "zip-name-absolute"),
    "in a drive's directory": (b"C:a", {"system": 14}, "zip-name-absolute"),
    "on a drive, from Unix": (b"C:/a", {}, "zip-name-absolute"),
    "backslash from Unix": (b"a\\b", {}, "zip-name-backslash"),
    "NUL": (b"a\0b", {}, "zip-name-nul"),
    "empty part": (b"a//b", {}, "zip-name-part"),
    "empty part at the end": (b"a//", {}, "zip-name-part"),
    "a dot": (b".", {}, "zip-name-part"),
    "dots before": (b"././", {}, "zip-name-part"),
    "a dot in the middle": (b"a/./b", {}, "zip-name-part"),
    "a dot at the end": (b"a/.", {}, "zip-name-part"),
    "not the UTF-8 that was announced": (b"caf\xe9", {"flags": UTF8}, "zip-name-encoding"),
    "a surrogate": (b"\xed\xa0\x80", {"flags": UTF8}, "zip-name-encoding"),
    "not UTF-8, from Unix": (b"caf\xe9", {}, "zip-name-encoding"),
    "too long": (b"a" * 4097, {}, "zip-name-length"),
    "too deep": (b"a/" * 256 + b"a", {}, "zip-name-length"),
}


@pytest.mark.parametrize("case", NAMES)
def test_a_name_that_cannot_be_trusted_is_refused_with_its_code(case: str, tmp_path: Path) -> None:
    name, options, code = NAMES[case]
    assert codes_of(forge(Entry(name, b"", 0, **options), Entry(b"b")), tmp_path) == [code]


PAIRS: dict[str, tuple[list[Entry], str]] = {
    "twice": ([Entry(), Entry()], "zip-name-duplicate"),
    "twice, in two encodings": ([Entry("é".encode(), flags=UTF8), Entry(b"\x82", system=0)], "zip-name-duplicate"),
    "twice, once from here": ([Entry(), Entry(b"./a")], "zip-name-duplicate"),
    "a directory twice": ([Entry(b"d/", **EMPTY_DIRECTORY)] * 2, "zip-name-duplicate"),
    "file and directory": ([Entry(b"d"), Entry(b"d/", **EMPTY_DIRECTORY)], "zip-name-duplicate"),
    "below a file": ([Entry(b"d"), Entry(b"d-"), Entry(b"d/e/f")], "zip-name-clash"),
    "below a link": ([Entry(b"l/a"), Entry(b"l", b"/etc", mode=0o120777)], "zip-name-clash"),
    "a Unicode name that leads out": ([Entry(b"a", extra=unicode_path("../a", b"a"))], "zip-name-escape"),
    "two names in one header": (
        [Entry("é".encode(), flags=UTF8, extra=unicode_path("e", "é".encode()))],
        "zip-name-encoding",
    ),
    "a Unicode name that is none": (
        [Entry(b"a", extra=extra(0x7075, unicode_path("", b"a")[4:] + b"\xe9"))],
        "zip-name-encoding",
    ),
}


@pytest.mark.parametrize("case", PAIRS)
def test_names_that_contradict_each_other_are_refused_with_their_code(case: str, tmp_path: Path) -> None:
    entries, code = PAIRS[case]
    assert codes_of(forge(*entries), tmp_path) == [code]


METHODS = {9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstd", 95: "xz", 98: "ppmd", 99: "AES", 55: "unknown"}


@pytest.mark.parametrize("method", METHODS)
def test_another_method_is_refused_by_name_with_the_way_out(method: int, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(forge(Entry(method=method)))
    with pytest.raises(CapsuleError) as refused:
        ZipReader(str(path), label="x.zip")
    (problem,) = refused.value.problems
    what = f"Compression method is neither deflate nor stored ({METHODS[method]}, {method})"
    assert (problem.code, problem.message) == ("zip-method", f"x.zip: {what}: a")
    assert "plain deflate" in problem.remedy


BIG = bytes(range(256)) * (20 * MIB // 256)  # more than what is kept in memory
CONTENT: dict[str, tuple[Entry, str]] = {
    "another CRC": (Entry(both={"crc": 1}), "zip-crc"),
    "another CRC, stored": (Entry(method=0, both={"crc": 1}), "zip-crc"),
    "another CRC, of much": (Entry(data=BIG, both={"crc": 1}), "zip-crc"),
    "trailing bytes": (Entry(stream=deflate(TEXT) + b"x"), "zip-stream-trailing"),
    "a gzip trailer and more": (
        Entry(stream=deflate(TEXT) + struct.pack("<II", zlib.crc32(TEXT), len(TEXT)) + b"more", both={"crc": 1}),
        "zip-stream-trailing",
    ),
    "a trailing stream": (Entry(stream=deflate(TEXT) + deflate(b"more")), "zip-stream-trailing"),
    "trailing bytes after much": (Entry(data=BIG, stream=deflate(BIG) + bytes(3 * MIB)), "zip-stream-trailing"),
    "cut off": (Entry(stream=deflate(TEXT)[:-1]), "zip-stream-truncated"),
    "cut off after much": (Entry(data=BIG, stream=deflate(BIG)[:-1]), "zip-stream-truncated"),
    "no last block": (Entry(stream=b"\x00\x12\x00\xed\xff" + TEXT), "zip-stream-truncated"),
    "no stream": (Entry(stream=b"\xff" * 20), "zip-stream"),
    "a zlib stream": (Entry(stream=zlib.compress(TEXT)), "zip-stream"),
    "longer than announced": (Entry(both={"size": 17}), "zip-stream-size"),
    "longer than nothing": (Entry(both={"size": 0}), "zip-stream-size"),
    "shorter than announced": (Entry(both={"size": 19}), "zip-stream-size"),
    "a bomb that is announced as small": (Entry(data=b"x", stream=BOMB), "zip-stream-size"),
}


@pytest.mark.parametrize("case", CONTENT)
def test_content_that_is_not_what_was_announced_is_refused_with_its_code(case: str, tmp_path: Path) -> None:
    entry, code = CONTENT[case]
    assert codes_of(forge(entry), tmp_path) == [code]


@pytest.mark.parametrize(("announced", "most"), [(1 * MIB, 8 * MIB), (60 * MIB, MAX_WHOLE + 8 * MIB)])
def test_a_bomb_takes_no_more_memory_than_announced(announced: int, most: int, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(forge(Entry(data=b"x", stream=deflate(bytes(200 * MIB)), both={"size": announced})))
    tracemalloc.start()
    try:
        with ZipReader(str(path)) as reader, pytest.raises(CapsuleError):
            for _ in reader.members[0].content().chunks():
                pass
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def test_everything_is_said_at_once_and_at_most_a_thousand_times(tmp_path: Path) -> None:
    assert codes_of(forge(Entry(b"../a"), Entry(b"b", flags=1), Entry(b"c", method=12)), tmp_path) == [
        "zip-name-escape",
        "zip-encrypted",
        "zip-method",
    ]
    entries = [Entry(b"../%d" % number, b"", 0) for number in range(1500)]
    assert codes_of(forge(*entries), tmp_path) == ["zip-name-escape"] * 1000


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path, message in ((tmp_path, "ZIP is not a regular file"), (tmp_path / "no.zip", "ZIP not found")):
        with pytest.raises(CapsuleError) as refused:
            ZipReader(str(path))
        assert [(p.code, p.message) for p in refused.value.problems] == [("zip-missing", f"{message}: {path}")]


def test_deep_names_take_neither_time_nor_memory(tmp_path: Path) -> None:
    """Each of 255 parts of each name is a directory of its own: half a million of them in 10 MB."""
    names = [b"%07d" % number + b"/xxxxxxx" * 255 for number in range(2000)]
    began = time.monotonic()
    assert codes_of(forge(*[Entry(name, b"", 0) for name in names]), tmp_path) == []
    assert time.monotonic() - began < 5
