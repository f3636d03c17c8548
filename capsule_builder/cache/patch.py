"""A capsule in which the content of some files has changed, and nothing else, out of the one that was built before.

No name comes or goes, no mode changes, and what the builder checks depends on neither: so all of it holds still, and
only the members with the changed files, the listing and what follows from it are made again.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from capsule_builder import contents, metadata
from capsule_builder.archive import tar
from capsule_builder.archive.gzip_member import gzip_member
from capsule_builder.archive.sizes import BLOCK_SIZE
from capsule_builder.archive.threads import Threads
from capsule_builder.cache.groups import Item, LayerWriter
from capsule_builder.cache.meanwhile import meanwhile
from capsule_builder.cache.record import DIGEST_SIZE, ELF, KNOWN, PROGRAM, Group, Record
from capsule_builder.cache.store import Store
from capsule_builder.paths import CONTENTS_NAME, INDEX_NAME, MANIFEST_NAME, METADATA_NAME
from capsule_builder.sources.directory import DirectoryTree, KnownFile

_MOST = 256
"""With more changed files than this, a build from the ground up is no slower."""

_FEW = 2
"""As few changed files are not worth the threads."""


class _Change(NamedTuple):
    """A file that has changed: its lines in the states and in the listing, its size, its SHA-256 and what it is."""

    state: int
    place: int
    line: bytes
    size: int
    digest: bytes


def patched(
    record: Record, states: bytes, tree: DirectoryTree, store: Store, *, maker: bytes, level: int, jobs: int
) -> Record | None:
    """The record of the capsule that is now to be built; None when more has changed than can be dealt with here.

    Raises:
        CapsuleError: a file cannot be read, or changes meanwhile.
    """
    changed = _changed(record.states.split(b"\n"), states.split(b"\n"))
    if changed is None:
        return None
    lines = bytes(record.listing).splitlines(keepends=True)
    changes = _changes(record, changed, lines, tree)
    if changes is None:
        return None
    sizes = {change.place: change.size for change in changes}
    digests = bytearray(record.digests)
    for change in changes:
        lines[change.place] = change.line
        digests[change.state * DIGEST_SIZE : (change.state + 1) * DIGEST_SIZE] = change.digest
    with Threads(jobs, "deflate") as pool:

        def deflate(plain: bytes | bytearray) -> Callable[[], bytes]:
            if len(changes) > _FEW:
                return pool.submit(gzip_member, plain, level).result
            member = gzip_member(plain, level)  # sooner done than a thread is started
            return lambda: member

        known = {group.blob.key: group for group in record.groups if group.blob}
        settings: dict[str, Any] = {"maker": maker, "level": level, "known": known}
        writer = LayerWriter(io.BytesIO(), io.BytesIO(), store, deflate=deflate, room=2 * jobs + 2, **settings)
        grown = _write(writer, record.groups, lines, sizes, tree)
    groups = writer.fragment.groups
    if not all(group.blob for group in groups):
        return None
    listing = b"".join(lines)
    result = {**record.result, "id": hashlib.sha256(listing).hexdigest(), "sha256": None}
    result["document"] = _document(record.result["document"], result["id"], grown, writer.fragment.size)
    blocks = _head(result["document"], listing, groups)
    members = _members(blocks, _made(record, blocks), level, jobs)
    result["members"] = [len(member) for member in members]
    head = b"".join(members)
    return Record(result, store.boot, states, bytes(digests), listing, head, record.tail, groups)


def _changed(old: list[bytes], new: list[bytes]) -> list[tuple[int, bytes, bytes]] | None:
    """The number of each line (the first is not counted) that differs, and both; None when names or kinds do too."""
    if len(old) != len(new) or old[0] != new[0]:
        return None
    found = [(number, *pair) for number, pair in enumerate(zip(old[1:], new[1:], strict=True)) if pair[0] != pair[1]]
    if len(found) > _MOST:
        return None
    for _, one, other in found:
        before, now = one.partition(b"\0"), other.partition(b"\0")
        if before[0] != now[0] or not before[2][:1].isdigit() or not now[2][:1].isdigit():
            return None
    return found


def _changes(
    record: Record, changed: list[tuple[int, bytes, bytes]], lines: list[bytes], tree: DirectoryTree
) -> list[_Change] | None:
    """The changed files, read once; None when one of them is not what it was to the manifest and its warnings."""
    found: list[_Change] = []
    for number, old, new in changed:
        path = new.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        place = 1 + number + (path > MANIFEST_NAME)
        entry = contents.parse_line(lines[place])
        known = record.digests[number * DIGEST_SIZE + DIGEST_SIZE - 1]
        if entry.path != path or not known & KNOWN:
            return None
        with tree.read(path) as file:
            program, elf, bit = file.program, file.elf, file.executable_bit
            digest = hashlib.sha256()
            for chunk in file.chunks():
                digest.update(chunk)
        had_bit = int(old.rpartition(b" ")[2].partition(b"?")[0]) & 0o100
        if program != bool(known & PROGRAM) or (entry.kind == "file" and (bit or had_bit)):
            return None
        line = entry._replace(detail=digest.hexdigest()).line()
        what = bytes([KNOWN | PROGRAM * program | ELF * elf])
        found.append(_Change(number, place, line, file.size, digest.digest() + what))
    return found


def _write(
    writer: LayerWriter, groups: list[Group], lines: list[bytes], sizes: dict[int, int], tree: DirectoryTree
) -> int:
    """Writes the layer's groups, most of them as they were; gives by how many bytes the files have grown.

    Borders are found anew from the one before a changed entry, or from the one before that, where the entry begins a
    group (as one that did not fit), up to the first that is where it was.
    """
    grown = 0
    touched = set(sizes) | {place - 1 for place in sizes}
    place, open_ = 1, False  # of the line of the next entry; whether a group is in the making
    for group in groups:
        after = place + group.entries
        if not open_ and not any(place <= each < after for each in touched):
            writer.take(group)
            place = after
            continue
        for was, line in zip(_sizes(group), range(place, after), strict=True):
            size = sizes.get(line, was)
            grown += size - was
            item = _item(lines[line], size, tree)
            if item.is_large:
                writer.large(item)
            else:
                writer.add(item)
        open_ = writer.is_open
        place = after
    writer.end_group()
    writer.drain(0)
    return grown


def _sizes(group: Group) -> Iterator[int]:
    """The sizes of a group's entries."""
    return (int(line.split(b"\t", 2)[1]) for line in group.lines.splitlines() if not line.startswith(b"#"))


def _item(line: bytes, size: int, tree: DirectoryTree) -> Item:
    entry = contents.parse_line(line)
    if entry.kind not in {"file", "executable"}:
        return Item(entry, tar.header(entry.path, entry.kind, target=entry.detail), 0, data=b"")
    head = tar.header(entry.path, entry.kind, size)
    return Item(entry, head, size, KnownFile(tree, entry.path, size, entry.detail, False, False, False))


def _document(document: dict[str, Any], capsule_id: str, grown: int, size: int) -> dict[str, Any]:
    """The metadata of the capsule, whose one layer has the listing that it has itself."""
    (layer,) = document["layers"]
    total = document["total_size"] + grown
    layer = {**layer, "digest": capsule_id, "total_size": total, "compressed_size": size}
    about = {"id": capsule_id, "short_id": metadata.short_id(capsule_id), "total_size": total, "compressed_size": size}
    return {**document, **about, "layers": [layer]}


def _head(document: dict[str, Any], listing: bytes, groups: list[Group]) -> list[bytes]:
    """What the members of :func:`capsule_builder.head.write_head` hold: each file its own, all but the last full."""
    (layer,) = document["layers"]
    first = f"# capsule-index v1\n# layer\t{layer['name']}\t{layer['digest']}\t{layer['compressed_size']}\n"
    index = b"".join([first.encode(), *(group.lines for group in groups)])
    blocks: list[bytes] = []
    for path, data in ((METADATA_NAME, metadata.dumped(document)), (CONTENTS_NAME, listing), (INDEX_NAME, index)):
        plain = b"".join((tar.header(path, "file", len(data)), data, tar.padding(len(data))))
        blocks += [plain[at : at + BLOCK_SIZE] for at in range(0, len(plain), BLOCK_SIZE)]
    return blocks


def _made(record: Record, blocks: list[bytes]) -> dict[int, bytes | memoryview]:
    """Those members of the head, by their numbers, that the archive before had too, if it is known where they lie."""
    sizes = record.result["members"]
    if not sizes:
        return {}
    found: dict[int, bytes | memoryview] = {}
    before = _head(record.result["document"], bytes(record.listing), record.groups)
    at = 0
    for number, (block, other, size) in enumerate(zip(blocks, before, sizes, strict=False)):  # of an index more or less
        if block == other:
            found[number] = record.head[at : at + size]
        at += size
    return found


def _members(
    blocks: list[bytes], made: dict[int, bytes | memoryview], level: int, jobs: int
) -> list[bytes | memoryview]:
    """A member for each block; those that are not ``made`` are deflated on as many threads."""
    done = dict(made)
    left = [number for number in range(len(blocks)) if number not in made]
    todo = iter(left)

    def work() -> None:
        for number in todo:
            done[number] = gzip_member(blocks[number], level)

    others = [meanwhile(work) for _ in range(min(jobs, len(left)) - 1)]
    work()
    for wait in others:
        wait()
    return [done[number] for number in range(len(blocks))]
