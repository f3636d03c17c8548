"""Harnesses for ZIPs and wheels, which come from anywhere."""

from __future__ import annotations

import base64
import contextlib
import csv
import hashlib
import io
import os
import posixpath
import re
import shlex
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from capsule_builder.archive.zip import ZipMember, ZipReader
from capsule_builder.entries import Deflated, File
from capsule_builder.patterns import Patterns
from capsule_builder.python import core_metadata, record, scripts
from capsule_builder.python.layout import Layout
from capsule_builder.python.package import plan
from capsule_builder.python.wheel import Wheel, read_wheel
from tests.format.vectors import ELF_EXEC
from tests.fuzz.archives import PATHS
from tests.fuzz.choices import Choices, edited
from tests.fuzz.laws import judging, law
from tests.relocate.wheels import SCRIPTS
from tests.zip.forge import DESCRIPTOR, ONES, UTF8, Entry, described, extra, forge, unicode_path, wide
from tests.zip.test_sound import FORMS

ZIP_TOKENS = (
    b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\7\x08", b"\xff" * 4, b"\xff\xff", b"\0" * 4,
    b"\1\0\x10\0", b"up", b"\x08\0", b"../", b"/", b"\\", forge(), b"\3\0", b"\0\x08",
)  # fmt: skip
DATA = (b"", b"x", b"hello hello hello\n", b"#!/bin/sh\n", b"a/b", b"..", bytes(3000), ELF_EXEC, b"PK\5\6" + bytes(18))
NUMBERS = (0, 1, 8, 18, 255, ONES, ONES - 1, 1 << 31, 0xFFFF)


@contextlib.contextmanager
def on_disk(data: bytes) -> Iterator[str]:
    """The path of a file in memory that holds ``data``."""
    fd = os.memfd_create("fuzzed")
    try:
        os.write(fd, data)
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def zip_bytes(data: bytes) -> bool:
    """Any bytes as a ZIP: what is taken is what programs that seek find in it, and those that stream."""
    content: list[tuple[ZipMember, bytes | None]] = []
    with on_disk(data) as path, contextlib.ExitStack() as stack:
        with judging() as judgement:
            reader = stack.enter_context(ZipReader(path, label="fuzzed.zip"))
        if not judgement.taken:
            return False
        content += [(member, _content(member)) for member in reader.members]
    _check_names([member.name for member, _ in content])
    streamed = _streamed(data)
    law(len(streamed) >= len(content), "who streams finds as many entries")
    try:
        sought = zipfile.ZipFile(io.BytesIO(data))
    except (NotImplementedError, zipfile.BadZipFile):  # a version, or an extra field, that it makes nothing of
        return False
    with sought as opened:
        law(len(opened.infolist()) == len(streamed), "who seeks and who streams find as many entries")
        starts = {found.header_offset: found for found in opened.infolist()}
        law(starts.keys() == streamed.keys(), "who seeks and who streams find the same entries")
        by_data = {streamed[start].data: (found, streamed[start].content) for start, found in starts.items()}
        for member, plain in content:
            found, other = by_data[member.offset]
            _check_name(member, found)
            if plain is not None:
                law(plain == opened.read(found) == other, f"everybody reads the same content: {member.name}")
                law(streamed[found.header_offset].described, f"what follows it is its descriptor: {member.name}")
    return all(plain is not None for _, plain in content)


def _content(member: ZipMember) -> bytes | None:
    """The content, if it is sound: read in the two ways that there are."""
    plain = None
    with judging():
        is_program = member.program
        content = member.content()
        if isinstance(content, Deflated):
            pieces = list(content.pieces())
            plain = b"".join(piece for _, piece in pieces)
            stream = b"".join(raw for raw, _ in pieces)
            law(len(stream) == content.deflated_size, "a stream has the length that was announced")
            law(zlib.decompress(stream, wbits=-15) == plain, "a stream inflates to the content")
        else:
            plain = b"".join(content.chunks())
        law(plain == member.read(), "the content is the same each time")
        law(len(plain) == member.size and zlib.crc32(plain) == member.crc32, "it is what was announced")
        law(not plain.startswith(b"#!") or is_program, "a script is a program")
    return plain


def _check_names(names: list[str]) -> None:
    """Names stay below the top, each once, nothing below a file."""
    law(len({name.removesuffix("/") for name in names}) == len(names), "each name is there once")
    files = {name for name in names if not name.endswith("/")}
    for name in names:
        parts = name.removesuffix("/").split("/")
        law(not {"", ".", ".."} & set(parts) and "\0" not in name and "\\" not in name, f"a name is relative: {name!r}")
        above = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        law(not above & files, f"nothing lies below a file: {name!r}")


def _check_name(member: ZipMember, found: zipfile.ZipInfo) -> None:
    """The name is one of those that programs make of the bytes."""
    raw = found.orig_filename.encode("utf-8" if found.flag_bits & UTF8 else "cp437")
    spelled = [raw.decode("utf-8", "surrogateescape"), raw.decode("cp437"), _unicode_name(found.extra)]
    spelled += [name.replace("\\", "/") for name in spelled]
    law(member.name in [re.sub("^(\\./)+", "", name) for name in spelled], f"a name is what it says: {member.name!r}")


def _unicode_name(fields: bytes) -> str:
    while len(fields) >= 4:
        size = int.from_bytes(fields[2:4], "little")
        if fields[:2] == b"up":
            return fields[9 : 4 + size].decode("utf-8", "replace")
        fields = fields[4 + size :]
    return ""


class Streamed(NamedTuple):
    """Where the data of an entry begin; the content, None where it is damaged; whether its descriptor is true."""

    data: int
    content: bytes | None
    described: bool


def _streamed(data: bytes) -> dict[int, Streamed]:
    """What a program finds that reads from the beginning, by where each entry begins.

    A stored entry with a descriptor cannot be streamed: it is taken to end where the next header is.
    """
    found: dict[int, Streamed] = {}
    at = 0
    while data[at : at + 4] == b"PK\3\4":
        flags, method = (int.from_bytes(data[at + place : at + place + 2], "little") for place in (6, 8))
        sizes = [int.from_bytes(data[at + place : at + place + 4], "little") for place in (18, 22)]
        name, more = (int.from_bytes(data[at + place : at + place + 2], "little") for place in (26, 28))
        start = at + 30 + name + more
        wide_size = _wide_size(data[at + 30 + name : start], sizes)
        plain: bytes | None = None
        end = start + wide_size
        if method == 8 and (flags & DESCRIPTOR or wide_size):
            inflate = zlib.decompressobj(-15)
            with contextlib.suppress(zlib.error):
                plain = inflate.decompress(data[start:])
            if inflate.eof and flags & DESCRIPTOR:
                end = len(data) - len(inflate.unused_data)
        elif method == 0 and not flags & DESCRIPTOR:
            plain = data[start:end]
        described = True
        if flags & DESCRIPTOR:
            marks = [data.find(mark, end) for mark in (b"PK\3\4", b"PK\1\2")]
            mark = min((mark for mark in marks if mark >= 0), default=len(data))
            if plain is not None:
                described = data[end:mark] in _descriptors(zlib.crc32(plain), end - start, len(plain))
            end = mark
        found[at] = Streamed(start, plain, described)
        at = end
    return found


def _descriptors(*numbers: int) -> list[bytes]:
    plain = [struct.pack(form, *numbers) for form in ("<3L", "<L2Q")]
    return plain + [b"PK\7\x08" + form for form in plain]


def _wide_size(fields: bytes, sizes: list[int]) -> int:
    """The deflated size, out of the 64-bit field when the header refers to it."""
    if sizes[0] != ONES:
        return sizes[0]
    while len(fields) >= 4:
        size = int.from_bytes(fields[2:4], "little")
        if fields[:2] == b"\1\0":
            place = 4 + 8 * (sizes[1] == ONES)
            return int.from_bytes(fields[place : place + 8], "little")
        fields = fields[4 + size :]
    return sizes[0]


def zip_seeds() -> list[bytes]:
    """Every form of a sound ZIP."""
    return list(FORMS.values())


def zip_forged(data: bytes) -> bool:
    """A ZIP made field by field, each of which can lie."""
    choices = Choices(data)
    entries = [_entry(choices) for _ in range(1 + choices.below(4))]
    options = {}
    for name in ("prefix", "gap", "after_central", "comment", "suffix"):
        if choices.once_in(16):
            options[name] = choices.pick(ZIP_TOKENS)
    changes = {choices.pick(("disk", "start", "here", "count")): choices.pick(NUMBERS[:4])}
    changes |= {choices.pick(("size", "offset")): choices.pick(NUMBERS)}
    whole = forge(
        *entries,
        **options,
        wide_end=choices.once_in(4),
        end=changes if choices.once_in(8) else None,
        wide_changes=changes if choices.once_in(8) else None,
    )
    return zip_bytes(edited(choices, whole, ZIP_TOKENS, most=1) if choices.once_in(3) else whole)


def _entry(choices: Choices) -> Entry:
    name = choices.pick(("a", "b", "dir/", "dir/a", "./", "./c", "a/b", "A", "é", *PATHS))
    raw = name.encode(choices.pick(("utf-8", "utf-8", "cp437")), "replace")
    entry = Entry(raw, choices.pick(DATA))
    if name.endswith("/"):
        entry = Entry(raw, b"", method=0, mode=0o40755)
    form = choices.below(6)
    if form == 1:
        entry.method = 0
    elif form == 2:
        entry = described(choices.pick(("<4s3L", "<3L", "<4sL2Q", "<L2Q")), name=raw, data=entry.data)
        if choices.once_in(6):
            entry.descriptor = edited(choices, entry.descriptor)
    elif form == 3:
        entry.both = {"size": ONES, "deflated": ONES}
        entry.extra = wide(len(entry.data), len(entry.body()))
    elif form == 4:
        entry.extra = choices.pick((unicode_path("other", raw), unicode_path("other", b"x"), extra(1, b""), bytes(3)))
        entry.local_extra = choices.pick((None, b"", bytes(4)))
    if choices.once_in(4):
        entry.flags |= choices.pick((UTF8, DESCRIPTOR, 1, 1 << 5, 1 << 6, 1 << 1, 1 << 13))
    if choices.once_in(4):
        entry.mode = choices.pick((0o120777, 0o100755, 0o40755, 0o60644, 0, 0o104755))
    if choices.once_in(4):
        entry.system = choices.pick((0, 3, 10, 19, 255))
    for fields in (entry.both, entry.local, entry.central):
        if choices.once_in(12):
            fields[choices.pick(("crc", "size", "deflated"))] = choices.pick(NUMBERS)
            fields[choices.pick(("flags", "method"))] = choices.pick(NUMBERS[:4])
    if choices.once_in(12):
        entry.stream = edited(choices, entry.body())
    if choices.once_in(16):
        entry.central["name"] = choices.pick((b"z", b"../z", raw + b"/"))
    if choices.once_in(16):
        entry.before = choices.pick(ZIP_TOKENS)
    if choices.once_in(16):
        entry.place = choices.below(200)
    entry.listed = not choices.once_in(24)
    return entry


NAME = "foo-1.0-py3-none-any.whl"
INFO = "foo-1.0.dist-info"
METADATA = b"Metadata-Version: 2.1\nName: foo\nVersion: 1.0\n"
WHEEL = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
ENTRY_POINTS = b"[console_scripts]\nfoo = foo.cli:main\n[gui_scripts]\nfoo-gui = foo.gui:main [extra]\n"
WHEEL_TOKENS = (
    b"\n", b",", b'"', b"sha256=", b"sha512=", b"md5=", b"=", b"../", b"/", b"foo", b"1.0", b":", b"Name: ",
    b"Version: ", b"Wheel-Version: 2.0", b"Root-Is-Purelib: false", b"Tag: ", b"\xef\xbb\xbf", b"\xff", b"\0",
    b"\r\n", b" ", b"[", b"]", b"[console_scripts]\n", b"foo = a:b\n", b"pip", b"python", b"%", b"RECORD",
    b"METADATA", b";", b"#", b"\xc2\xb2",
)  # fmt: skip
PLACES = (
    "foo/__init__.py", "foo.py", "foo/data.txt", "foo-1.0.data/scripts/run", "foo-1.0.data/scripts/sub/run",
    "foo-1.0.data/data/etc/foo.conf", "foo-1.0.data/headers/foo.h", "foo-1.0.data/purelib/foo/more.py",
    "foo-1.0.data/platlib/foo/__init__.py", "foo-1.0.data/nonsense/x", "Foo-1.0.data/scripts/other",
    "bar-1.0.data/scripts/x", "foo-1.0.data/data/bin/python", "foo-1.0.data/data/pyvenv.cfg",
    "foo-1.0.data/data/lib/python3.11/site-packages/y.py", "bar-1.0.dist-info/METADATA", "foo/__pycache__/x.pyc",
    f"{INFO}/RECORD.jws", f"{INFO}/INSTALLER", f"{INFO}/direct_url.json", f"{INFO}/licenses/LICENSE",
    "foo-1.0.data/data/lib64/python3.11/site-packages/z.py", "foo-1.0.data", "é.py", "a\nb.py",
    "foo-1.0.data/purelib", "foo-1.0.data/scripts/foo", "foo-1.0.data/data/include/site/python3.11/foo/foo.h",
    "~oo-1.0.dist-info/x", "foo.pth",
)  # fmt: skip
CONTENTS = (b"", b"x = 1\n", b"print(1)\n", *SCRIPTS.values(), ELF_EXEC)
LAYOUT = Layout("3.11")


def wheel(data: bytes) -> bool:
    """A wheel with files in any place, and with edited parts: every file of one that is taken is covered by RECORD."""
    choices = Choices(data)
    files = {f"{INFO}/METADATA": METADATA, f"{INFO}/WHEEL": WHEEL, f"{INFO}/entry_points.txt": ENTRY_POINTS}
    files |= {choices.pick(PLACES): choices.pick(CONTENTS) for _ in range(1 + choices.below(5))}
    for name in list(files):
        if choices.once_in(12):
            files[name] = edited(choices, files[name], WHEEL_TOKENS)
    rows = "".join(
        f"{_quoted(name)},sha256={_digest(content)},{len(content)}\n" for name, content in files.items()
    ).encode()
    rows += f"{INFO}/RECORD,,\n".encode()
    if choices.once_in(3):
        rows = edited(choices, rows, WHEEL_TOKENS, most=2)
    for name in list(files):
        if choices.once_in(24):
            files[name] = edited(choices, files[name], WHEEL_TOKENS)
        if choices.once_in(24):
            del files[name]
    files[f"{INFO}/RECORD"] = rows
    whole = forge(*(Entry(name.encode(), content, method=0, flags=UTF8) for name, content in files.items()))
    with on_disk(whole) as path, contextlib.ExitStack() as stack:
        found: Wheel | None = None
        with judging():
            reader = stack.enter_context(ZipReader(path, label=NAME))
            found = read_wheel(reader, NAME, LAYOUT)
        return found is not None and _check_wheel(found, files)


def _check_wheel(found: Wheel, files: dict[str, bytes]) -> bool:
    """Each file has a row, of its own; what becomes of it is what the row says."""
    stated = {row[0]: row[1:] for row in csv.reader(io.StringIO(files[f"{INFO}/RECORD"].decode("utf-8-sig"))) if row}
    law({*files} <= {*stated, f"{INFO}/RECORD", f"{INFO}/RECORD.jws"}, "RECORD names every file")
    law(all(len(file.row.digest) >= 32 for file in found.package.files.values()), "every file that is kept has a hash")
    law((found.package.name, found.package.version) == ("foo", "1.0"), "it is the one that its file's name says")
    honest = all(stated.get(name, ["", ""])[0] in ("", f"sha256={_digest(data)}") for name, data in files.items())
    with judging() as judgement:
        planned = plan(found.package, LAYOUT)
        for entry in planned.entries(Patterns([])):
            law(isinstance(entry, File), "a wheel gives files")
            if not isinstance(entry, File):
                continue
            law(posixpath.normpath(entry.path) == entry.path, f"a file's place is plain: {entry.path!r}")
            law(entry.path.startswith("venv/") and ".." not in entry.path.split("/"), f"it stays in: {entry.path!r}")
            content = b"".join(entry.content.chunks())
            if entry.pledged:
                digests = {base64.urlsafe_b64decode(row[0][7:] + "==").hex() for row in stated.values() if row[0][7:]}
                law(entry.pledged.sha256 in digests, f"what is pledged stands in RECORD: {entry.path!r}")
                sound = hashlib.sha256(content).hexdigest() == entry.pledged.sha256
                law(sound or not honest, f"a pledge out of a true RECORD is kept: {entry.path!r}")
    return judgement.taken


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


def _quoted(name: str) -> str:
    return f'"{name}"' if "\n" in name else name


def wheel_record(data: bytes) -> bool:
    """Any text as a RECORD: what is taken is read back from what is written of it."""
    rows: list[record.Row] | None = None
    with judging():
        rows = record.parse(data, "fuzzed")
    if rows is None:
        return False
    again = record.parse(record.write(rows), "again")
    law(again == sorted(rows, key=lambda row: row.path), "what is written is read back")
    law(all(len(row.digest) in (0, 32, 48, 64) for row in rows), "a hash is a whole one")
    return True


def wheel_record_seeds() -> list[bytes]:
    """Rows of all sorts."""
    sha256, sha512 = _digest(b"x"), base64.urlsafe_b64encode(bytes(64)).decode().rstrip("=")
    return [f'a,sha256={sha256},1\n"b,c",sha256={sha256},\n"""d""",sha512={sha512},64\ne,,\n'.encode(), b""]


def entry_points(data: bytes) -> bool:
    """Any text as entry points: what is taken makes scripts that are Python, each a file name in ``bin/``."""
    found: list[scripts.EntryPoint] | None = None
    with judging():
        found = scripts.entry_points(data, "foo", "fuzzed")
    if found is None:
        return False
    for point in found:
        law("/" not in point.name and point.name not in (".", "..", ""), f"a script is a file name: {point.name!r}")
        compile(point.script, point.name, "exec")
    return bool(found)


def entry_points_seeds() -> list[bytes]:
    """The usual."""
    return [ENTRY_POINTS, b""]


def python_script(data: bytes) -> bool:
    """Any text as a script: all but its beginning stays, and the launcher starts it with its arguments."""
    found = scripts.python_script(data)
    if found is None:
        return False
    first, _, rest = found.text.partition(b"\n")
    law(first.startswith(b"#!") and data.endswith(rest), "all but the beginning is kept")
    law(all(argument.split() == [argument] for argument in found.arguments), "arguments are words")
    command = found.launcher("a 'b'").decode().splitlines()[-1]
    expected = ["exec", "$capsule_bin/python", *found.arguments, "$capsule_bin/../libexec/a 'b'", "$@"]
    law(shlex.split(command) == expected, "the launcher passes the arguments on")
    return True


def python_script_seeds() -> list[bytes]:
    """Those of the tests."""
    return list(SCRIPTS.values())


def core(data: bytes) -> bool:
    """Any text as METADATA: a name and a version, or a reason why not."""
    try:
        name, version = core_metadata.stated(data)
    except ValueError as error:
        law(str(error) and len(str(error)) < 200, "the reason is short")
        return False
    law(name in data.decode("utf-8", "replace") and version in data.decode("utf-8", "replace"), "they stand there")
    return True


def core_seeds() -> list[bytes]:
    """The shortest, and one with a description."""
    return [METADATA, METADATA + b"Requires-Dist: bar>=1\n\nName: not this\n"]
