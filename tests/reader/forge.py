"""Makes capsules by hand, sound ones and others: each step can be changed, and all that follows agrees with the change.

Shares no code with the builder or the reader; the rules come from ``tests.format.second``.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.format import second

GZIP = bytes.fromhex("1f8b08000000000000ff")
TAIL = GZIP + bytes.fromhex("631805a360148c580000" + "2eafb5ef" + "00040000")
MANIFEST = b"name: forged\nversion: 1.2.3\nentrypoint: start.sh\n"
LARGE = 1 << 20

Bytes = Callable[[bytes], bytes]


def same(data: bytes) -> bytes:
    return data


def member(plain: bytes) -> bytes:
    """One gzip member."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return GZIP + deflate.compress(plain) + deflate.flush() + struct.pack("<II", zlib.crc32(plain), len(plain))


def edited(header: bytes, start: int, new: bytes, *, block: int = -512) -> bytes:
    """A tar header with other bytes at ``start`` of its last block (or of that at ``block``), and a true checksum."""
    end = block + 512 or None
    changed = bytearray(header[block:end])
    changed[start : start + len(new)] = new
    changed[148:156] = b"        "
    changed[148:156] = b"%06o\0 " % sum(changed)
    return header[:block] + bytes(changed) + (header[end:] if end else b"")


@dataclass
class One:
    """An entry: what the listing says of it, and what is done to its header and its content in the tar."""

    path: str
    kind: str
    data: bytes = b""
    header: Bytes = same
    content: Bytes = same
    padding: Bytes = same
    listed: bool = True
    indexed: bool = True
    size: int | None = None  # as the index has it

    def tar(self) -> bytes:
        size = len(self.data) if self.kind in ("file", "executable") else 0
        target = self.data.decode() if self.kind == "symlink" else ""
        content = self.data[:size]
        header = second.header(self.path, self.kind, size, target)
        return self.header(header) + self.content(content) + self.padding(bytes(-size % 512))


def small() -> list[One]:
    """The entries of the smallest capsule with one of each kind, in order."""
    return [
        One("capsule.yml", "file", MANIFEST),
        One("data/table.txt", "file", b"one\ntwo\n" * 50),
        One("link", "symlink", b"data/table.txt"),
        One("start.sh", "executable", b"#!/bin/sh\necho started\n"),
        One("var", "dir"),
    ]


@dataclass
class Forge:
    """What goes in, and what is done to each part; ``build`` gives the archive."""

    layers: list[tuple[str, list[One]]] = field(default_factory=lambda: [("app", small())])
    listing: Bytes = same
    index: Bytes = same
    metadata: Callable[[dict[str, Any]], object] = lambda document: None
    metadata_text: Bytes = same
    head: Callable[[str, bytes], bytes] = lambda name, tar: tar
    head_members: Callable[[str, bytes], list[bytes]] | None = None
    fragment: Callable[[list[bytes]], list[bytes]] = lambda plains: plains
    member: Bytes = member
    order: Callable[[list[bytes]], list[bytes]] = lambda heads: heads
    tail: bytes = TAIL
    archive: Bytes = same

    def build(self) -> bytes:
        listing = self.listing(
            second.listing([(o.path, o.kind, o.data) for _, e in self.layers for o in e if o.listed])
        )
        index, facts, fragments = ["# capsule-index v1\n"], [], b""
        for name, entries in self.layers:
            lines, fragment = self._layer(entries)
            digest = hashlib.sha256(second.listing([(o.path, o.kind, o.data) for o in entries])).hexdigest()
            index += [f"# layer\t{name}\t{digest}\t{len(fragment)}\n", *lines]
            files = [o for o in entries if o.kind in ("file", "executable")]
            facts.append(
                {
                    "name": name,
                    "digest": digest,
                    "files": len(files),
                    "total_size": sum(len(o.data) for o in files),
                    "compressed_size": len(fragment),
                }
            )
            fragments += fragment
        index_bytes = self.index("".join(index).encode())
        metadata = self._metadata(listing, facts)
        heads = []
        for name, data in [
            (".capsule_metadata.json", metadata),
            (".capsule_contents", listing),
            (".capsule_index", index_bytes),
        ]:
            tar = self.head(name, second.tar_entry(name, "file", data))
            cut = [tar[at : at + LARGE] for at in range(0, len(tar), LARGE)]
            plains = self.head_members(name, tar) if self.head_members else cut
            heads.append(b"".join(map(member, plains)))
        return self.archive(b"".join(self.order(heads)) + fragments + self.tail)

    def _layer(self, entries: list[One]) -> tuple[list[str], bytes]:
        """The index lines and the bytes of a fragment: one member, unless ``fragment`` cuts it."""
        places, tar = [], b""
        for one in entries:
            if one.indexed:
                size = len(one.data) if one.kind in ("file", "executable") else 0
                places.append((len(tar), size if one.size is None else one.size, one.path))
            tar += one.tar()
        lines, made, begin = [], b"", 0
        for plain in self.fragment([tar] if tar else []):
            compressed = self.member(plain)
            lines.append(f"# member\t{len(compressed)}\t{len(plain)}\n")
            lines += [
                f"{at - begin}\t{size}\t{path}\n" for at, size, path in places if begin <= at < begin + len(plain)
            ]
            begin += len(plain)
            made += compressed
        return lines, made

    def _metadata(self, listing: bytes, facts: list[dict[str, Any]]) -> bytes:
        capsule_id = hashlib.sha256(listing).hexdigest()
        document = {
            "format": 1,
            "id": capsule_id,
            "short_id": capsule_id[:12],
            "name": "forged",
            "version": "1.2.3",
            "entrypoint": "start.sh",
            "files": sum(not line.startswith(b"#") for line in listing.splitlines()),
            "total_size": sum(layer["total_size"] for layer in facts),
            "compressed_size": sum(layer["compressed_size"] for layer in facts),
            "layers": facts,
            "requirements": None,
            "builder": {"name": "forge", "version": "0", "compression_level": 9},
            "build": {"time": None, "host": None},
        }
        self.metadata(document)
        return self.metadata_text((json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def with_entries(*more: One, without: str = "", **options: Any) -> bytes:
    """The small capsule with some entries more, in order, and ``without`` one."""
    entries = sorted(
        [*(one for one in small() if one.path != without), *more], key=lambda one: (one.path.encode(), one.kind)
    )
    return Forge([("app", entries)], **options).build()


def with_change(path: str, metadata: Any = lambda document: None, **changes: Any) -> bytes:
    """The small capsule with changes to one entry."""
    entries = small()
    for one in entries:
        if one.path == path:
            for name, value in changes.items():
                setattr(one, name, value)
    return Forge([("app", entries)], metadata=metadata).build()
