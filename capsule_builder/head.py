"""The head of an archive: the generated files, in members of their own (``docs/format.md``, section 4.4)."""

from __future__ import annotations

from collections.abc import Callable

from capsule_builder.archive.effort import DEFAULT_LEVEL
from capsule_builder.archive.members import Member, MemberWriter
from capsule_builder.entries import Content, File
from capsule_builder.layer import write_entry
from capsule_builder.paths import CONTENTS_NAME, INDEX_NAME, METADATA_NAME


def write_head(
    sink: Callable[[Member], None],
    document: Content,
    listing: Content,
    index: Content,
    *,
    level: int = DEFAULT_LEVEL,
    jobs: int = 1,
) -> None:
    """Gives ``sink`` the members of the head: the metadata, the listing and the index, each in members of its own."""
    with MemberWriter(sink, level=level, jobs=jobs) as writer:
        for path, content in ((METADATA_NAME, document), (CONTENTS_NAME, listing), (INDEX_NAME, index)):
            write_entry(writer, File(path, False, content))
            writer.flush()
