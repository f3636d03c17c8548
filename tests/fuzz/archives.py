"""Harnesses for whole capsules: as bytes, and forged with faults that everything around them agrees with."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import tarfile
import zlib

from capsule_builder.archive.reader import CapsuleReader
from capsule_builder.links import destination, links_problems
from capsule_builder.manifest import Manifest
from capsule_builder.modes import is_program
from tests.format import second
from tests.format.vectors import DIRECTORY, ELF_EXEC, ELF_LIBRARY
from tests.fuzz.choices import Choices, edited
from tests.fuzz.laws import check_path, judging, law
from tests.reader.forge import MANIFEST, Forge, One, member, small

Entries = list[tuple[str, str, str, bytes]]  # layer, path, kind, content or target
FILES = ("file", "executable")

TAR_TOKENS = (
    b"\0", b"ustar\x0000", b"ustar  \0", b"../", b"/", b"0000644\0", b"0000755\0", b"0004755\0", b"00000000000\0",
    b"0", b"2", b"5", b"x", b"L", b"18 path=start.sh\n", bytes(512), b"\x80",
)  # fmt: skip
TEXT_TOKENS = (
    b"\n", b"\t", b"  ", b" *", b"# dir\t", b"# symlink\t", b"# layer\t", b"# member\t", b"app", b"0", b"512",
    b"1024", b"..", b"/", b"\\", b"capsule.yml", b"start.sh", b"\xff", b"\r\n", b"null", b"true", b'"', b"{}", b"[]",
    b",",
)  # fmt: skip
PATHS = (
    "a", "start.sh/x", "start.shx", "start.sh-x", "var/log", "data/table.txt", "data", "-", "..", "a/../b", "a//b",
    "/a", ".capsule_x", ".capsule_contents", "capsule.yml", "é", "a\\b", "a\nb", "a\u202eb", "x" * 99, "x" * 100,
    "x" * 101, "d" * 90 + "/" + "x" * 90, "d" * 160 + "/" + "x" * 90, "é" * 60, "x" * 256, "/".join(["d"] * 300),
    "link/x", " ", "z",
)  # fmt: skip
CONTENTS = (
    b"", b"x", b"#!/bin/sh\n", ELF_EXEC, ELF_LIBRARY, MANIFEST, bytes(511), bytes(512), b"#", b"ab" * 3000,
    b"name: other\nversion: 1.2.3\nentrypoint: start.sh\n", MANIFEST + b"executables: [data/]\n",
    MANIFEST + b"services:\n  web: {entrypoint: link}\n", b"name: forged\nversion: 1.2.3\nentrypoint: link\n",
)  # fmt: skip
TARGETS = (
    b"data/table.txt", b"start.sh", b"..", b"../x", b"link", b"data", b"data/", b"var", b"var/..",
    b"data/table.txt/.", b"/opt/tori/python/3.11/bin/python3.11", b"/etc/passwd", b"", b"no/such", b"." + b"/." * 60,
    b"var/../data/table.txt", b"data//table.txt", b"a\\b", "é".encode() * 60, b"z",
)  # fmt: skip
KINDS = ("file", "executable", "symlink", "dir")
LEVELS = (
    "nothing", "entry", "listing", "index", "metadata", "head", "header", "content", "padding", "fragment", "body",
    "order", "tail", "archive", "claims",
)  # fmt: skip


def archive(data: bytes) -> bool:
    """Any bytes as a capsule; those that are taken are one to everybody else as well."""
    entries: Entries = []
    manifest: Manifest | None = None
    with judging() as judgement, CapsuleReader(io.BytesIO(data), label="fuzzed") as reader:
        for entry in reader.entries():
            content = b"".join(entry.chunks())
            law(entry.kind not in FILES or len(content) == entry.size, f"the size is that of the content: {entry.path}")
            entries.append((entry.layer, entry.path, entry.kind, entry.target.encode() + content))
        manifest = reader.finish()
    with judging() as alone, CapsuleReader(io.BytesIO(data), label="fuzzed") as unread:
        law(unread.finish() == manifest, "a manifest is found whether the content is read or not")
    law(alone.problems == judgement.problems, "content is judged alike whether it is read or not")
    if judgement.taken:
        law(manifest, "a capsule has a manifest")
        _check_bytes(data, reader, entries)
        _check_index(data, reader, entries)
        _check_claims(reader, entries)
        _check_content(manifest, entries)
    return judgement.taken


def archive_seeds() -> list[bytes]:
    """Sound ones, small ones first."""
    made = [Forge().build(), Forge([("app", small()), ("lib", [One("lib/x", "file", b"x")])]).build()]
    vectors = sorted(path.read_bytes() for path in DIRECTORY.glob("*/capsule.tar.gz"))
    return made + [vector for vector in vectors if len(vector) < 8000]


def forged(data: bytes) -> bool:
    """A capsule made by hand, with faults; what is around a fault is made to agree with it."""
    return archive(forge(Choices(data)))


def forge(choices: Choices) -> bytes:
    """The archive that the choices come to; the small sound one when there are none."""
    layers = [("app", small())]
    made = Forge(layers)
    for _ in range(choices.below(4)):
        _fault(choices, made)
    return made.build()


def _fault(choices: Choices, made: Forge) -> None:
    level = choices.pick(LEVELS)
    text = functools.partial(_edit, choices, TEXT_TOKENS)
    tar = functools.partial(_edit, choices, TAR_TOKENS)
    one = choices.pick(choices.pick(made.layers)[1] or [One("none", "file")])
    if level == "entry":
        _entry(choices, made)
    elif level == "listing":
        made.listing = text
    elif level == "index":
        made.index = text
    elif level == "metadata":
        made.metadata_text = text
    elif level == "claims":
        made.metadata = lambda document: document.update(_claim(choices, document))
    elif level == "head":
        name = choices.pick((".capsule_metadata.json", ".capsule_contents", ".capsule_index"))
        made.head = lambda found, data: tar(data) if found == name else data
    elif level == "header":
        one.header = tar
    elif level == "content":
        one.content = tar
    elif level == "padding":
        one.padding = tar
    elif level == "fragment":
        at = choices.below(6000)
        made.fragment = lambda plains: [part for plain in plains for part in (plain[:at], plain[at:]) if part]
    elif level == "body":
        made.member = lambda plain: edited(choices, member(plain), most=1)
    elif level == "order":
        made.order = lambda heads: heads[choices.below(3) :] + heads[: choices.below(3)]
    elif level == "tail":
        made.tail = edited(choices, made.tail)
    elif level == "archive":
        made.archive = lambda whole: edited(choices, whole)


def _edit(choices: Choices, tokens: tuple[bytes, ...], data: bytes) -> bytes:
    return edited(choices, data, tokens, most=2)


def _claim(choices: Choices, document: dict[str, object]) -> dict[str, object]:
    key = choices.pick(list(document))
    value = choices.pick((0, 1, "", "x", None, True, [], {}, -1, 1.0, document["id"], document["layers"]))
    return {key: value}


def _entry(choices: Choices, made: Forge) -> None:
    """An entry more, in this layer or another, or one that is not what it was."""
    kind = choices.pick(KINDS)
    data = choices.pick(TARGETS) if kind == "symlink" else b"" if kind == "dir" else choices.pick(CONTENTS)
    path = choices.pick(PATHS)
    change = choices.below(5)
    if change == 4:
        made.layers.append((choices.pick(("lib", "app", "l\tib", "é", "a b")), [One(path, kind, data)]))
        return
    entries = choices.pick(made.layers)[1]
    if change < 2:
        entries.append(One(path, kind, data))
    else:
        number = choices.below(len(entries)) if entries else 0
        del entries[number : number + 1]
        if change == 2:
            entries.append(One(path, kind, data))
    if entries and choices.once_in(8):
        odd = choices.pick(entries)
        odd.listed, odd.indexed = choices.once_in(2), choices.once_in(2)
        odd.size = choices.pick((None, 0, 1, 512, len(odd.data) + 1))
    if not choices.once_in(16):
        entries.sort(key=lambda entry: entry.path.encode())


def _check_bytes(data: bytes, reader: CapsuleReader, entries: Entries) -> None:
    """Every byte that is inflated is one that the second implementation of the format writes."""
    tar = b"".join(plain for plain, _ in second.inflate(data))
    head = b"".join(second.tar_entry(name, "file", bytes(text)) for name, text in _generated(reader).items())
    body = b"".join(second.tar_entry(path, kind, content) for _, path, kind, content in entries)
    law(tar == head + body + bytes(1024), "the tar is the one that the format has for this content")
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as opened:
        seen = [(found.name, found.linkname, found.isfile() and _content(opened, found)) for found in opened]
    names = [(name, "", bytes(text)) for name, text in _generated(reader).items()]
    names += [
        (path, content.decode() if kind == "symlink" else "", content if kind in FILES else False)
        for _, path, kind, content in entries
    ]
    law(seen == names, "tar sees the same names, links and contents")


def _content(opened: tarfile.TarFile, found: tarfile.TarInfo) -> bytes:
    file = opened.extractfile(found)
    return file.read() if file else b""


def _generated(reader: CapsuleReader) -> dict[str, bytes | bytearray]:
    return {
        ".capsule_metadata.json": reader.metadata_bytes,
        ".capsule_contents": reader.listing.data,
        ".capsule_index": b"".join(reader.index.text()),
    }


def _check_index(data: bytes, reader: CapsuleReader, entries: Entries) -> None:
    """What the index names is where it says: each member can be inflated alone, each entry begins in it."""
    head = sum(len(second.tar_entry(name, "file", bytes(text))) for name, text in _generated(reader).items())
    members = second.inflate(data)
    position = 0
    while head > 0:
        plain, size = members.pop(0)
        head, position = head - len(plain), position + size
    law(head == 0, "no member holds more than one file of the head")
    left = list(entries)
    tar, begin = b"", 0  # of one layer
    for line in bytes(b"".join(reader.index.text())).splitlines()[1:]:
        fields = line.decode().split("\t")
        if fields[0] == "# layer":
            tar, begin = b"", 0
        elif fields[0] == "# member":
            plain = zlib.decompress(data[position : position + int(fields[1])], wbits=31)
            law(len(plain) == int(fields[2]), "a member inflates to what the index says")
            begin, tar, position = len(tar), tar + plain, position + int(fields[1])
        else:
            _, path, kind, content = left.pop(0)
            target = content.decode() if kind == "symlink" else ""
            header = second.header(path, kind, len(content) if kind in FILES else 0, target)
            start = begin + int(fields[0])
            law(path == fields[2], "the index has the entries in their order")
            found = tar[start : start + 512]
            law(found and header.startswith(found), f"an entry begins where the index says: {path}")
    law(not left, "the index has every entry")
    law(data[position:] == data[-28:], "after the layers comes the tail")


def _check_claims(reader: CapsuleReader, entries: Entries) -> None:
    """The listing, the ID and the metadata are those of the content."""
    alone = [(path, kind, content) for _, path, kind, content in entries]
    listing = second.listing(alone)
    law(bytes(reader.listing.data) == listing, "the listing is that of the content")
    law(reader.id == hashlib.sha256(listing).hexdigest(), "the ID is the listing's SHA-256")
    metadata = json.loads(reader.metadata_bytes)
    law((metadata["id"], metadata["short_id"]) == (reader.id, reader.id[:12]), "the metadata have the ID")
    first = {path: len(content) for path, kind, content in alone if kind in FILES}
    law(metadata["files"] == len(first), "the metadata count the files")
    for number, (layer, facts) in enumerate(zip(reader.index.layers, metadata["layers"], strict=True)):
        start = sum(len(list(other.entries())) for other in reader.index.layers[:number])
        own = alone[start : start + len(list(layer.entries()))]
        digest = hashlib.sha256(
            b"# capsule-contents v1\n"
            + b"".join(
                second.line(
                    path, kind, hashlib.sha256(content).hexdigest() if kind in FILES else content.decode()
                ).encode()
                for path, kind, content in own
            )
        ).hexdigest()
        total = sum(len(content) for _, kind, content in own if kind in FILES)
        law((facts["digest"], facts["total_size"]) == (digest, total), f"a layer is what is claimed: {facts['name']}")


def _check_content(manifest: Manifest | None, entries: Entries) -> None:
    """Names stay in the capsule, links lead to something, programs are executable, the entrypoint is there."""
    kinds = {path: kind for _, path, kind, _ in entries}
    links = {path: content.decode() for _, path, kind, content in entries if kind == "symlink"}
    for _, path, kind, content in entries:
        check_path(path)
        law(not path.startswith(".capsule_"), f"no content has a generated file's name: {path}")
        program = kind in FILES and is_program(content[:64], lambda size, at, of=content: of[at : at + size])
        law(not program or kind == "executable", f"a program is executable: {path}")
    paths = [f"{path}/" if kind == "dir" else path for path, kind in kinds.items()]
    law(not links_problems(links, paths), "every link leads to something in the capsule")
    end = destination(manifest.entrypoint, links) if manifest else None
    law(end and (end.startswith("/") or kinds.get(end) in FILES), "the entrypoint is there")
