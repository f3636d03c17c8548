"""What a capsule's file name says, held against the capsule (``docs/verify.md``)."""

from __future__ import annotations

import os
import re

from capsule_builder.archive.damage import damaged
from capsule_builder.archive.reader import CapsuleReader
from capsule_builder.metadata import archive_name
from capsule_builder.paths import shown

_LIKE_A_CAPSULE = re.compile(r"capsule-.+-[0-9a-f]{12}\.tar\.gz", re.DOTALL)


def check_file_name(path: str, reader: CapsuleReader) -> None:
    """Refuses an archive at ``path`` that has the name of another capsule; a name of another form says nothing.

    Raises:
        CapsuleError: it is named after another.
    """
    wanted = archive_name(reader.metadata["name"], reader.id)
    found = os.path.basename(path)
    if found != wanted and _LIKE_A_CAPSULE.fullmatch(found):
        raise damaged("file-name", f"Named after another capsule than {wanted}: {shown(path)}")
