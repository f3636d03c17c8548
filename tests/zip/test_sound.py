"""ZIPs as they should be: written by hand in every form that is allowed, and by the programs that people use."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsule_builder.archive.zip import ZipMember, ZipReader
from capsule_builder.entries import Deflated
from capsule_builder.errors import CapsuleError
from tests.zip.forge import DESCRIPTOR, ONES, UTF8, Entry, deflate, described, extra, forge, unicode_path, wide

TEXT = Entry().data
PACKED = len(deflate(TEXT))
MIB = 1 << 20
WIDE = {"size": ONES, "deflated": ONES}
DIRECTORY = {"data": b"", "method": 0, "mode": 0o40755}

FORMS: dict[str, bytes] = {
    "plain": forge(Entry()),
    "with a comment": forge(Entry(central={"comment": b"of the entry"}), comment=b"of the ZIP"),
    "descriptor": forge(described()),
    "descriptor without signature": forge(described("<3L")),
    "wide descriptor": forge(described("<4sL2Q")),
    "wide descriptor without signature": forge(described("<L2Q")),
    "descriptor, and sizes all the same": forge(Entry(flags=DESCRIPTOR, descriptor=described().descriptor)),
    "descriptor, wide for streams": forge(
        Entry(
            flags=DESCRIPTOR,
            local={"crc": 0, **WIDE},
            local_extra=wide(0, 0),
            descriptor=described("<4sL2Q").descriptor,
        )
    ),
    "wide": forge(Entry(both=WIDE, extra=wide(len(TEXT), PACKED)), wide_end=True),
    "wide end record": forge(Entry(), wide_end=True),
    "wide end record that is not needed": forge(
        Entry(), wide_end=True, end={"here": 1, "count": 1, "size": 47, "offset": 31 + PACKED}
    ),
    "wide size alone": forge(Entry(central={"size": ONES}, extra=wide(len(TEXT)), local_extra=b"")),
    "wide offset alone": forge(Entry(central={"offset": ONES}, extra=wide(0), local_extra=b"")),
    "wide fields that nobody asked for": forge(Entry(extra=wide(len(TEXT), PACKED), local_extra=b"")),
    "other extra fields": forge(Entry(extra=extra(0x5455, b"\x01abcd") + extra(0x7875, b"x"), local_extra=b"")),
    "extra field filled up with zeros": forge(Entry(local_extra=b"\0\0\0")),
    "empty comment in the Unicode name": forge(Entry(extra=unicode_path("other", b"not a"))),
    "from here": forge(Entry(b"./", **DIRECTORY), Entry(b"./a")),
    "with modes that say nothing": forge(Entry(mode=0)),
    "from DOS": forge(Entry(system=0, mode=0, central={"attributes": 32})),
}  # fmt: skip


def members_of(data: bytes, tmp_path: Path) -> dict[str, tuple[str, bytes]]:
    """Kind and content of each member."""
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    with ZipReader(str(path)) as reader:
        return {m.name: (m.kind, b"" if m.kind == "directory" else m.read()) for m in reader.members}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_one_file_is_read(form: str, tmp_path: Path) -> None:
    assert members_of(FORMS[form], tmp_path) == {"a": ("file", TEXT)}


def test_an_empty_zip_is_one(tmp_path: Path) -> None:
    assert members_of(forge(), tmp_path) == members_of(forge(wide_end=True, comment=b"x"), tmp_path) == {}


def test_directories_and_links_and_empty_files(tmp_path: Path) -> None:
    entries = [
        Entry(b"d/", **DIRECTORY),
        Entry(b"e/", b"", 8, mode=0),  # an empty stream of two bytes, as Java writes it
        Entry(b"l", b"d/f", 0, mode=0o120777),
        Entry(b"m", b"d/f", 8, mode=0o120777),
        Entry(b"d/f", b"", 0),
        Entry(b"d/g", b"", 8),
        Entry(b"n", b"d/f", 0, system=0, mode=0o120777),  # DOS knows no links
    ]
    assert members_of(forge(*entries), tmp_path) == {
        "d/": ("directory", b""),
        "e/": ("directory", b""),
        "l": ("symlink", b"d/f"),
        "m": ("symlink", b"d/f"),
        "d/f": ("file", b""),
        "d/g": ("file", b""),
        "n": ("file", b"d/f"),
    }


ENCODINGS: dict[str, tuple[Entry, str]] = {
    "announced": (Entry("é/ü".encode(), flags=UTF8), "é/ü"),
    "by Info-ZIP": (Entry("é".encode()), "é"),
    "by a Mac": (Entry("é".encode(), system=19), "é"),
    "of the first PC": (Entry(b"caf\x82", system=0), "café"),
    "of the first PC, though it looks like UTF-8": (Entry("é".encode(), system=0), "├⌐"),
    "Unicode beside": (Entry(b"caf\x82", system=0, extra=unicode_path("cafè", b"caf\x82")), "cafè"),
    "Unicode beside, outdated": (Entry(b"caf\x82", system=0, extra=unicode_path("cafè", b"x")), "café"),
    "Unicode beside, and announced": (
        Entry("é".encode(), flags=UTF8, extra=unicode_path("é", "é".encode())),
        "é",
    ),
    "backslashes of DOS": (Entry(b"a\\b\\c", system=0), "a/b/c"),
    "backslashes of NTFS": (Entry(b"a\\b", system=11), "a/b"),
    "a colon": (Entry(b"a:b"), "a:b"),
    "control characters": (Entry(b"a\nb"), "a\nb"),  # for whoever uses the name to judge
}


@pytest.mark.parametrize("case", ENCODINGS)
def test_names_are_decoded_as_they_were_encoded(case: str, tmp_path: Path) -> None:
    entry, name = ENCODINGS[case]
    assert list(members_of(forge(entry), tmp_path)) == [name]


# Content

ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0" + bytes(100)


def opened(tmp_path: Path, *entries: Entry) -> tuple[ZipReader, tuple[ZipMember, ...]]:
    (tmp_path / "x.zip").write_bytes(forge(*entries))
    reader = ZipReader(str(tmp_path / "x.zip"))
    return reader, reader.members


@pytest.mark.parametrize("size", [0, 1, 100_000, MIB, MIB + 1, 16 * MIB, 20 * MIB])
@pytest.mark.parametrize("judged", [False, True])
@pytest.mark.parametrize("method", [0, 8])
def test_content_comes_in_pieces_with_its_stream(tmp_path: Path, size: int, judged: bool, method: int) -> None:
    data = (os.urandom(4096) * (size // 4096 + 1))[:size]
    reader, (member,) = opened(tmp_path, Entry(data=data, method=method))
    with reader:
        if judged:
            assert not member.program and not member.elf
        content = member.content()
        if isinstance(content, Deflated):
            pieces = list(content.pieces())
            assert all(len(stream) <= MIB and len(plain) <= MIB for stream, plain in pieces)
            stream = b"".join(stream for stream, _ in pieces)
            assert (content.deflated_size, content.crc32) == (len(stream), zlib.crc32(data))
            assert zlib.decompress(stream, -15) == data
            assert b"".join(plain for _, plain in pieces) == data
        else:
            chunks = list(content.chunks())
            assert method == 0 and b"".join(chunks) == data and max(map(len, chunks), default=0) <= MIB
        assert member.read() == data  # and again


@pytest.mark.parametrize("method", [0, 8])
@pytest.mark.parametrize("filling", [0, 20 * MIB])
def test_programs_are_known_by_their_content(tmp_path: Path, method: int, filling: int) -> None:
    more = bytes(range(256)) * (filling // 256)
    contents = [b"#!/bin/sh\n", ELF, b"\x7fELF", b"text", b""]
    entries = [Entry(b"%d" % n, data + more, method, mode=0o100755 - n) for n, data in enumerate(contents)]
    reader, members = opened(tmp_path, *entries)
    with reader:
        assert [(m.program, m.elf) for m in members] == [
            (True, False),
            (True, True),
            (False, True),
            (False, False),
            (False, False),
        ]
        assert [m.content().program for m in members] == [True, True, False, False, False]


def test_only_a_unix_has_executable_bits(tmp_path: Path) -> None:
    entries = [
        Entry(b"a", mode=0o100755),
        Entry(b"b", mode=0o100655),
        Entry(b"c", mode=0o100755, system=0),
        Entry(b"d", mode=0o100755, system=19),
    ]
    reader, members = opened(tmp_path, *entries)
    with reader:
        assert [m.executable_bit for m in members] == [True, False, False, True]


def test_a_long_member_is_not_read_at_once(tmp_path: Path) -> None:
    reader, (member,) = opened(tmp_path, Entry())
    with reader, pytest.raises(CapsuleError) as refused:
        member.read(limit=17)
    assert refused.value.problems[0].code == "zip-member-size"


# Flips of single bits

SMALL = forge(
    Entry(b"d/", **DIRECTORY),
    Entry("d/é".encode(), flags=UTF8),
    described(name=b"s"),
    Entry(b"z", b"stored", 0, extra=extra(0x5455, b"\x01abcd")),
    Entry(b"l", b"d", 0, mode=0o120777),
    Entry(b"w", both=WIDE, extra=wide(len(TEXT), PACKED)),
    comment=b"hello",
    wide_end=True,
)


@given(st.integers(0, len(SMALL) * 8 - 1))
@settings(deadline=None, max_examples=600)
def test_a_flipped_bit_is_refused_or_changes_neither_names_nor_contents(bit: int) -> None:
    """What may flip unnoticed: times, comments, versions, and what says nothing but how a name or a link is meant."""
    flipped = bytearray(SMALL)
    flipped[bit // 8] ^= 1 << bit % 8
    with tempfile.TemporaryDirectory() as folder:
        true = members_of(SMALL, Path(folder))
        try:
            found = members_of(bytes(flipped), Path(folder))
        except CapsuleError:
            return
    assert {name: content for name, (_, content) in found.items()} == {name: c for name, (_, c) in true.items()}


# What people make ZIPs with

WHEELS = sorted((Path(__file__).parents[2] / ".dev" / "wheels").glob("*.whl"))


@pytest.mark.parametrize("wheel", WHEELS, ids=lambda path: path.name.split("-")[0])
def test_wheels_are_read_as_zipfile_reads_them(wheel: Path) -> None:
    with ZipReader(str(wheel)) as reader, zipfile.ZipFile(wheel) as reference:
        assert [m.name for m in reader.members] == reference.namelist()
        for member in reader.members:
            if member.kind == "file" and member.size < MIB:
                assert member.read() == reference.read(member.name)


def test_there_are_wheels_to_read() -> None:
    assert len(WHEELS) >= 4


def zip_stream(source: Path, target: Path) -> None:
    with target.open("wb") as out:
        subprocess.run(["zip", "-qr", "-", "."], cwd=source, stdout=out, check=True)


def zipfile_stream(source: Path, target: Path) -> None:
    class Pipe:
        def __init__(self) -> None:
            self.file = target.open("wb")
            self.write, self.flush = self.file.write, self.file.flush

    pipe = Pipe()
    with pipe.file, zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as out:  # type: ignore[call-overload]
        for path in sorted(source.rglob("*")):
            out.write(path, path.relative_to(source))


PROGRAMS = {
    "zip": lambda source, target: subprocess.run(["zip", "-qr", target, "."], cwd=source, check=True),
    "zip -y": lambda source, target: subprocess.run(["zip", "-qry", target, "."], cwd=source, check=True),
    "zip -0": lambda source, target: subprocess.run(["zip", "-qr0", target, "."], cwd=source, check=True),
    "zip -fz": lambda source, target: subprocess.run(["zip", "-qr", "-fz", target, "."], cwd=source, check=True),
    "zip to a pipe": zip_stream,
    "bsdtar": lambda source, target: subprocess.run(
        ["bsdtar", "--format", "zip", "-cf", target, "."], cwd=source, check=True
    ),
    "make_archive": lambda source, target: shutil.make_archive(str(target.with_suffix("")), "zip", source),
    "zipfile to a pipe": zipfile_stream,
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_programs_write_is_read(program: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    files = {"a": TEXT, "empty": b"", "d/zeros": bytes(100_000), "d/é": b"x", "random": os.urandom(3000)}
    for name, content in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    PROGRAMS[program](source, tmp_path / "x.zip")
    with ZipReader(str(tmp_path / "x.zip")) as reader:
        assert {m.name: m.read() for m in reader.members if m.kind == "file"} == files
        assert {m.name for m in reader.members if m.kind == "directory"} <= {"d/"}
