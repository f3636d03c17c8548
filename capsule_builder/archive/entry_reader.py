"""The entries of a capsule, held against its listing and its index while the tar goes by.

What not every process needs that checks entries is imported when it is needed: what reads YAML, above all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from capsule_builder.archive.damage import damaged, labelled
from capsule_builder.archive.tar import header
from capsule_builder.archive.tar_reader import Tar
from capsule_builder.contents import Listed
from capsule_builder.errors import CapsuleError
from capsule_builder.paths import MANIFEST_NAME, shown

if TYPE_CHECKING:
    from capsule_builder.archive.mode_reader import ModeReader
    from capsule_builder.manifest import Manifest

FILES = frozenset({"file", "executable"})
_SCRIPT, _ELF = b"#\x7f"  # what every file begins with that may be a program


class EntryReader:
    """Takes one entry after the other; ``label`` names the archive in messages."""

    def __init__(self, label: str) -> None:
        self.manifest: Manifest | None = None
        """The manifest, once it has come."""
        self._label = label

    def header(self, tar: Tar, listed: Listed, size: int) -> None:
        """Takes the header of the next entry, which must be ``listed``.

        Raises:
            CapsuleError: it is another, or damaged.
            OSError: the file cannot be read.
        """
        try:
            target = listed.detail if listed.kind == "symlink" else ""
            tar.header(header(listed.path, listed.kind, size, target), listed.path)
        except CapsuleError as error:
            raise labelled(error, self._label) from None

    def content(self, tar: Tar, listed: Listed, size: int) -> Iterator[bytes | bytearray]:
        """What follows the header: a file's content, in pieces, checked once they are all taken.

        Raises:
            CapsuleError: it is damaged, or not what the listing says.
            OSError: the file cannot be read.
        """
        if listed.kind not in FILES:
            return
        digest = hashlib.sha256()
        manifest, most = None, 0
        if listed.path == MANIFEST_NAME:
            from capsule_builder.manifest.encoding import MAX_BYTES

            manifest, most = bytearray(), MAX_BYTES
        mode: ModeReader | None = None
        plain = listed.kind != "executable"
        try:
            for piece in tar.content(size, listed.path):
                digest.update(piece)
                if plain:
                    if mode is None and piece[0] not in (_SCRIPT, _ELF):
                        plain = False  # no program, whatever follows
                    else:
                        mode = mode or _mode_reader()
                        mode.feed(piece, last=len(piece) == size)
                if manifest is not None and len(manifest) <= most:
                    manifest += piece
                yield piece
            if digest.hexdigest() != listed.detail:
                raise damaged("content-hash", f"Not what the listing says: {shown(listed.path)}")
            if mode and mode.executable():
                raise damaged("mode-content", f"A program that is listed as a file like others: {shown(listed.path)}")
            if manifest is not None and self.manifest is None:
                self.manifest = self._load(bytes(manifest))
        except CapsuleError as error:
            raise labelled(error, self._label) from None
        finally:
            if mode:
                mode.close()

    def check(self, tar: Tar, listed: Listed, size: int) -> None:
        """Takes all of the next entry, and gives nothing of it; raises what the others do."""
        self.header(tar, listed, size)
        for _ in self.content(tar, listed, size):
            pass

    def _load(self, data: bytes) -> Manifest:
        from capsule_builder.manifest.reading import load

        return load(data, f"{self._label}/{MANIFEST_NAME}")[0]


def _mode_reader() -> ModeReader:
    from capsule_builder.archive.mode_reader import ModeReader

    return ModeReader()
