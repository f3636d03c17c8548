"""The record of one build: what it was made of, and what came of it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from capsule_builder.cache.store import RECORD_BEGIN, Blob

DIGEST_SIZE = 33
"""Bytes that a record keeps for each line of the states: a SHA-256, and what is known of the file."""

KNOWN, PROGRAM, ELF = 1, 2, 4
"""What is known of a file, in the last of these bytes; 0 when nothing is."""


class Group(NamedTuple):
    """What lies between two borders: so many entries, their part of the index, and the blob that holds the members.

    Without a ``blob`` they lie in the spill, from ``start`` on, ``size`` bytes.
    """

    entries: int
    lines: bytes
    size: int
    blob: Blob | None
    start: int = 0


class Record(NamedTuple):
    """One build. ``result`` has what is not content (JSON); ``boot`` is that of the seals.

    ``states`` are the lines of what it was made of, sorted, below one line that is about all of it; ``digests`` has
    :data:`DIGEST_SIZE` bytes for each. ``listing`` is the capsule's, ``head`` and ``tail`` are bytes of the archive.
    """

    result: dict[str, Any]
    boot: str
    states: bytes
    digests: bytes | memoryview
    listing: bytes | memoryview
    head: bytes | memoryview
    tail: bytes | memoryview
    groups: list[Group]

    def pieces(self) -> list[bytes | memoryview]:
        """The record as it is stored."""
        index = b"".join(group.lines for group in self.groups)
        groups = [
            [group.entries, len(group.lines), group.size, group.blob.key, group.blob.seal]
            for group in self.groups
            if group.blob
        ]
        sections: list[bytes | memoryview] = [self.states, self.digests, self.listing, self.head, self.tail, index]
        sizes = [len(section) for section in sections]
        fields = {"result": self.result, "boot": self.boot, "groups": groups, "sizes": sizes}
        return [json.dumps(fields, separators=(",", ":")).encode(), b"\n", *sections]

    @staticmethod
    def read(data: bytes) -> Record:
        """The record that was stored, from what :meth:`Store.load` gave: no part of it is copied that is not wanted."""
        at = data.index(b"\n", RECORD_BEGIN) + 1
        fields = json.loads(data[RECORD_BEGIN:at])
        whole = memoryview(data)
        sections: list[memoryview] = []
        for size in fields["sizes"]:
            sections.append(whole[at : at + size])
            at += size
        states, digests, listing, head, tail, index = sections
        groups: list[Group] = []
        at -= len(index)
        for entries, length, size, key, seal in fields["groups"]:
            groups.append(Group(entries, data[at : at + length], size, Blob(key, size, seal)))
            at += length
        return Record(fields["result"], fields["boot"], bytes(states), digests, listing, head, tail, groups)
