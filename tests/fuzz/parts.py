"""Harnesses for the parts of a capsule, each read alone: much faster than a whole one."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import io
import json
import struct
import zlib
from typing import Any

from capsule_builder import contents
from capsule_builder.archive.gzip_reader import Source, read_member
from capsule_builder.archive.index_reader import Index, IndexMember
from capsule_builder.archive.link_reader import Walker
from capsule_builder.archive.listing_reader import Listing
from capsule_builder.archive.metadata_reader import check_claims, read_metadata
from capsule_builder.archive.mode_reader import ModeReader
from capsule_builder.elf import read_linkage
from capsule_builder.errors import CapsuleError
from capsule_builder.links import links_problems
from capsule_builder.metadata import LayerFacts
from capsule_builder.modes import is_program
from tests.format import second
from tests.format.vectors import DIRECTORY, ELF_EXEC, ELF_LIBRARY
from tests.fuzz.archives import CONTENTS, FILES, TEXT_TOKENS
from tests.fuzz.choices import Choices, edited
from tests.fuzz.laws import check_path, judging, law
from tests.reader.forge import GZIP, member, small
from tests.relocate.elf import library

Entry = tuple[str, str, bytes]  # path, kind, content or target

LISTING_TOKENS = (
    *TEXT_TOKENS, b"# symlink\tl\ta\n", b"# dir\td\n", b"# symlink\tm\td/..\n", b"# symlink\tn\tl/x\n", b"./", b"../",
    b"0" * 64 + b"  a\n", b"0" * 64 + b" *d/b\n", b"# symlink\tk\tl/../d/\n", b"/opt/tori/python/3.11/bin/python3.11",
)  # fmt: skip


def listing(data: bytes) -> bool:
    """Any text as a content listing."""
    found: Listing | None = None
    with judging():
        found = Listing(data)
    if found is None:
        return False
    entries = list(found)
    paths = [entry.path.encode() for entry in entries]
    law(found.id == hashlib.sha256(data).hexdigest(), "the ID is the listing's SHA-256")
    law(data == contents.LISTING_HEADER + b"".join(entry.line() for entry in entries), "its lines are all there is")
    law(paths == sorted(set(paths)), "its paths are in order, each once")
    lines = "".join(second.line(entry.path, entry.kind, entry.detail) for entry in entries).encode()
    law(data.endswith(lines), "its lines are those of the format")
    for number, entry in enumerate(entries):
        check_path(entry.path)
        law(found.find(entry.path.encode()) == number, f"an entry is found: {entry.path}")
        above = {"/".join(entry.path.split("/")[:depth]) for depth in range(1, entry.path.count("/") + 1)}
        law(all(found.has_below(path.encode()) for path in above), f"what lies above is known: {entry.path}")
        law(not above & {other.path for other in entries[:number]}, f"nothing lies below an entry: {entry.path}")
    law(found.files == sum(entry.kind in FILES for entry in entries), "the files are counted")
    crowded: set[str] = set()
    law([entry for entry, _ in contents.merge([[(entry, "") for entry in entries]], crowded)] == entries, "it merges")
    law(not crowded, "no directory of it is empty and is not")
    _check_links(found)
    return True


def _check_links(found: Listing) -> None:
    """The reader's bounded way along links comes to the same judgement as the builder's."""
    links = {entry.path: entry.detail for entry in found if entry.kind == "symlink"}
    paths = [f"{entry.path}/" if entry.kind == "dir" else entry.path for entry in found]
    expected = links_problems(links, paths)
    try:
        Walker(found).check_links()
    except CapsuleError as error:
        law(expected or error.problems[0].code == "limit-links", f"no good link is refused: {error}")
        return
    law(not expected, f"no bad link is taken: {expected}")


def listing_seeds() -> list[bytes]:
    """The vectors', and one of each kind."""
    some = second.listing([(one.path, one.kind, one.data) for one in small()])
    return [b"# capsule-contents v1\n", some, *(path.read_bytes() for path in sorted(DIRECTORY.glob("*/contents")))]


LISTED = ("a", "a-b", "a/b", "a/b/c", "b", "d", "d/l", "l", "l/x", "m", "n", "é", "..", "a//b", ".capsule_x", "-")
LED_TO = (
    "a", "b", "l", "m", "n", "d", "..", ".", "../a", "d/..", "d/../a", "l/..", "a/", "a/.", "no", "d/l/b", "./d", "",
    "/opt/tori/python/3.11/bin/python3.11", "/opt/tori/python/3.11/bin/python3.1", "/etc", "d//l", "m/../n", "a/b/../c",
)  # fmt: skip


def listing_forged(data: bytes) -> bool:
    """A listing of entries that lie in each other and links that lead to each other."""
    choices = Choices(data)
    entries: dict[str, Entry] = {}
    for _ in range(1 + choices.below(7)):
        path, kind = choices.pick(LISTED), choices.pick(("file", "executable", "dir", "symlink", "symlink"))
        entries[path] = (path, kind, choices.pick(LED_TO).encode() if kind == "symlink" else b"")
    lines = [second.listing([entry]).splitlines(keepends=True)[1] for _, entry in sorted(entries.items())]
    text = contents.LISTING_HEADER + b"".join(lines)
    return listing(edited(choices, text, LISTING_TOKENS, most=1) if choices.once_in(4) else text)


ENTRIES: tuple[Entry, ...] = (
    ("a", "file", b"a"),
    ("a-b", "dir", b""),
    ("capsule.yml", "file", b"x" * 600),
    ("d", "dir", b""),
    ("d/" + "x" * 120, "executable", b""),
    ("l", "symlink", b"y" * 120),
    ("é", "file", b"z" * 512),
)


def index(data: bytes) -> bool:
    """An index of a few entries in any layers and members, and edits of it."""
    choices = Choices(data)
    chosen = choices.below(1 << len(ENTRIES)) or (1 << len(ENTRIES)) - 1
    layers = [[entry for bit, entry in enumerate(ENTRIES) if chosen >> bit & 1]]
    for _ in range(choices.below(3)):
        own = choices.below(1 << len(ENTRIES))
        layers.append([entry for bit, entry in enumerate(ENTRIES) if own >> bit & 1])
    text = b"# capsule-index v1\n" + b"".join(
        _index_layer(choices, b"l%d" % number, layer) for number, layer in enumerate(layers)
    )
    text = edited(choices, text, TEXT_TOKENS, most=2)
    listed = Listing(second.listing([entry for layer in layers for entry in layer]))
    found: Index | None = None
    with judging():
        found = Index([text], listed)
    if found is None:
        return False
    _check_index(text, found, listed)
    return True


def _index_layer(choices: Choices, name: bytes, entries: list[Entry]) -> bytes:
    """The lines of one layer, whose members end somewhere."""
    tars = [
        (second.tar_entry(path, kind, content), path, len(content) if kind in FILES else 0)
        for path, kind, content in entries
    ]
    whole = sum(len(tar) for tar, _, _ in tars)
    cuts = sorted({choices.below(whole) for _ in range(choices.below(4)) if whole} - {0}) + [whole] * bool(whole)
    lines, size, begin = b"", 0, 0
    for end in cuts:
        length = 20 + choices.below(200)
        size += length
        lines += b"# member\t%d\t%d\n" % (length, end - begin)
        at = 0
        for tar, path, kept in tars:
            if begin <= at < end:
                lines += b"%d\t%d\t%s\n" % (at - begin, kept, path.encode())
            at += len(tar)
        begin = end
    digest = hashlib.sha256(second.listing(entries)).hexdigest().encode()
    return b"# layer\t%s\t%s\t%d\n" % (name, digest, size) + lines


def _check_index(text: bytes, found: Index, listed: Listing) -> None:
    lines = ["# capsule-index v1\n"]
    seen: set[str] = set()
    kinds = {entry.path: entry for entry in listed}
    for layer in found.layers:
        facts = layer.facts
        lines.append(f"# layer\t{facts.name}\t{facts.digest}\t{facts.compressed_size}\n")
        begin = end = place = 0
        own = b"# capsule-contents v1\n"
        for line in layer.lines():
            if isinstance(line, IndexMember):
                lines.append(f"# member\t{line.size}\t{line.plain_size}\n")
                begin, end = end, end + line.plain_size
                continue
            lines.append(f"{line.offset}\t{line.size}\t{line.path}\n")
            law(begin + line.offset == place < end, f"an entry begins where the one before ends: {line.path}")
            entry = kinds.get(line.path, contents.Listed(line.path, "dir"))
            target = entry.detail if entry.kind == "symlink" else ""
            place += len(second.header(line.path, entry.kind, line.size, target)) + line.size + -line.size % 512
            own += second.line(line.path, entry.kind, entry.detail).encode()
            seen.add(line.path)
        law(place == end, "the members hold the entries and nothing else")
        law(facts.digest == hashlib.sha256(own).hexdigest(), "a layer's digest is that of its entries")
    law(text == "".join(lines).encode(), "its lines are all there is")
    law(seen >= kinds.keys(), "everything listed is in a layer")


def metadata(data: bytes) -> bool:
    """Any text as metadata; what is claimed must be so."""
    document = None
    with judging():
        document = read_metadata(data)
    if document is None:
        return False
    law((json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode() == data, "it is written in one way")
    law(document == json.loads(data), "it is what JSON readers read")
    true = _true_metadata()
    try:
        check_claims(document, true["id"], true["files"], [LayerFacts(**layer) for layer in true["layers"]])
    except CapsuleError:
        return False
    for key in ("format", "id", "short_id", "files", "total_size", "compressed_size", "layers"):
        law(document[key] == true[key], f"it claims what is so: {key}")
    return True


@functools.lru_cache
def metadata_seeds() -> list[bytes]:
    """Those of the vectors, the one with the true claims first."""
    return [path.read_bytes() for path in sorted(DIRECTORY.glob("*/metadata.json"))]


VALUES: tuple[object, ...] = (
    0, 1, -1, 1 << 62, 10**18, True, None, "", "x", "a\nb", "\u202e", "é", "x" * 5000, 1.5, [], {}, [[]], {"name": "x"},
    "2000-01-01T00:00:00Z", "2000-13-01T00:00:00Z", "2000-01-01T00:00:00+00:00", "verified", "0" * 64, "\ud800",
)  # fmt: skip


def metadata_forged(data: bytes) -> bool:
    """Metadata in which some values are others, or some keys elsewhere, written as they should be."""
    choices = Choices(data)
    document = json.loads(choices.pick(metadata_seeds()))
    for _ in range(choices.below(4)):
        place = document
        inner = place[choices.pick(list(place))]
        if isinstance(inner, list) and inner:
            inner = choices.pick(inner)
        if isinstance(inner, dict) and inner and choices.below(4):
            place = inner
        key = choices.pick(list(place))
        value = copy.deepcopy(choices.pick(VALUES))
        change = choices.below(4)
        if change == 0:
            place[key] = place.pop(key)
        elif change == 1:
            place[str(value)[:9]] = value
        else:
            place[key] = value
    text = json.dumps(document, indent=2, ensure_ascii=choices.once_in(16)) + "\n"
    return metadata(text.encode("utf-8", "surrogatepass"))


@functools.lru_cache
def _true_metadata() -> Any:
    return json.loads(metadata_seeds()[0])


def gzip_member(data: bytes) -> bool:
    """A gzip member, of a length that is known or not, whose trailer is true of a stream that was edited."""
    choices = Choices(data)
    plain = edited(choices, choices.pick(CONTENTS))
    body = edited(choices, member(plain)[10:-8], (b"\0\0\0\xff\xff", b"\1\0\0\xff\xff", b"\3\0"), most=2)
    inflate = zlib.decompressobj(-15)
    try:
        plain = inflate.decompress(body, 1 << 22)
    except zlib.error:
        plain = b""
    trailer = zlib.crc32(plain).to_bytes(4, "little") + len(plain).to_bytes(4, "little")
    whole = edited(choices, GZIP + body + trailer, most=1)
    known = choices.below(2) == 0
    size = len(whole) + choices.pick((0, 0, 0, 1, -1, 8)) if known else None
    after = choices.pick((b"", b"\0", GZIP))
    plain_size = len(plain) + choices.pick((0, 0, 0, 1, -1)) if known else choices.pick((1 << 20, len(plain), 0))
    source = Source(io.BytesIO(whole + after))
    pieces: list[bytes] = []
    with judging() as judgement:
        pieces += read_member(source, size, plain_size)
    if not judgement.taken:
        return False
    taken = (whole + after)[: source.position]
    law(zlib.decompress(taken, wbits=31) == b"".join(pieces), "gzip makes the same of it")
    law(size in (None, source.position), "a member of known length is that long")
    made = sum(map(len, pieces))
    law(made == plain_size if known else made <= plain_size, "it inflates to as much as it may")
    law(all(0 < len(piece) <= 1 << 20 for piece in pieces), "it comes in pieces of at most 1 MiB")
    law(source.take(len(whole + after) - source.position) == (whole + after)[len(taken) :], "what follows is untouched")
    return True


GAPS = (0, 70_000, 200_000)


def program(data: bytes) -> bool:
    """Whether a file is a program does not depend on the pieces that it comes in.

    The first two bytes say how long these are, and how far from an ELF file's header all else is.
    """
    choices = Choices(data)
    step, gap = choices.below(256) + 1, choices.pick(GAPS)
    content = data[2:66] + bytes(gap) + data[66:]
    step *= 1 + gap // 100
    reader = ModeReader()
    with contextlib.closing(reader), judging():
        expected = is_program(content[:64], lambda size, at: content[at : at + size])
        read_linkage(lambda size, at: content[at : at + size])
        for at in range(0, len(content), step):
            reader.feed(content[at : at + step])
        found = reader.executable()
    law(found == expected, f"in pieces of {step} bytes it is {found}, in one {expected}")
    return found


def program_seeds() -> list[bytes]:
    """ELF files of the tests, near and far from their headers, and a script."""
    dynamic = library("$ORIGIN", "$ORIGIN/../lib")
    position = struct.pack("<QQ", 0x6FFFFFFB, 0x08000000)  # DT_FLAGS_1, DF_1_PIE
    found = [b"\x07\0" + content for content in (ELF_EXEC, ELF_LIBRARY, b"#!/bin/sh\n", dynamic)]
    for number, gap in enumerate(GAPS):
        for kind in (2, 3):  # PT_DYNAMIC, PT_INTERP
            head = dynamic[:32] + struct.pack("<Q", 64 + gap) + dynamic[40:64]
            loaded = struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, 4096, 4096, 4096)
            place = 64 + gap + 2 * 56
            asked = struct.pack("<IIQQQQQQ", kind, 6, place, place, place, 32, 32, 8)
            found.append(bytes([7, number]) + head + loaded + asked + position + bytes(16))
    return found
