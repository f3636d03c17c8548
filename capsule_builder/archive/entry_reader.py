"""The entries of a capsule, held against its listing and its index while the tar goes by.

What not every process needs that checks entries is imported when it is needed: what reads YAML, above all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from capsule_builder.archive.damage import damaged, named
from capsule_builder.archive.tar import header
from capsule_builder.archive.tar_reader import Tar
from capsule_builder.contents import Listed
from capsule_builder.paths import MANIFEST_NAME, shown

if TYPE_CHECKING:
    from capsule_builder.archive.mode_reader import ModeReader
    from capsule_builder.manifest import Manifest

FILES = frozenset({"file", "executable"})
_PROGRAM = (b"#!", b"\x7fELF")  # what every script or program begins with


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
        with named(self._label):
            _header(tar, listed, size)

    def content(self, tar: Tar, listed: Listed, size: int) -> Iterator[bytes | bytearray]:
        """What follows the header: a file's content, in pieces, checked once they are all taken.

        Raises:
            CapsuleError: it is damaged, or not what the listing says.
            OSError: the file cannot be read.
        """
        if listed.kind in FILES:
            with named(self._label):
                yield from self._content(tar.content(size, listed.path), listed, size)

    def check(self, tar: Tar, entries: Iterable[tuple[Listed, int]]) -> None:
        """Takes all of these entries and gives nothing of them; raises what the others do."""
        with named(self._label):
            for listed, size in entries:
                _header(tar, listed, size)
                if listed.kind in FILES:
                    whole = tar.whole(size, listed.path)
                    if whole is None:
                        pieces: Iterable[bytes | bytearray] = tar.content(size, listed.path)
                    elif _is_plainly(listed, whole):
                        continue
                    else:
                        pieces = (whole,)
                    for _ in self._content(pieces, listed, size):
                        pass

    def _content(self, pieces: Iterable[bytes | bytearray], listed: Listed, size: int) -> Iterator[bytes | bytearray]:
        digest = hashlib.sha256()
        manifest, most = None, 0
        if listed.path == MANIFEST_NAME:
            from capsule_builder.manifest.encoding import MAX_BYTES

            manifest, most = bytearray(), MAX_BYTES
        mode = _mode_reader()
        try:
            for piece in pieces:
                digest.update(piece)
                mode.feed(piece, last=len(piece) == size)
                if manifest is not None and len(manifest) <= most:
                    manifest += piece
                yield piece
            if digest.hexdigest() != listed.detail:
                raise damaged("content-hash", f"Not what the listing says: {shown(listed.path)}")
            if listed.kind != "executable" and mode.executable():
                raise damaged("mode-content", f"A program that is listed as a file like others: {shown(listed.path)}")
            if manifest is not None and self.manifest is None:
                self.manifest = self._load(bytes(manifest))
        finally:
            mode.close()

    def _load(self, data: bytes) -> Manifest:
        from capsule_builder.manifest.reading import load

        return load(data, f"{self._label}/{MANIFEST_NAME}")[0]


def _header(tar: Tar, listed: Listed, size: int) -> None:
    target = listed.detail if listed.kind == "symlink" else ""
    tar.header(header(listed.path, listed.kind, size, target), listed.path)


def _is_plainly(listed: Listed, content: bytes | bytearray) -> bool:
    """Whether it is the content that is listed, and that is all to be said of it; False if it takes a closer look."""
    return (
        (listed.kind == "executable" or not content.startswith(_PROGRAM))
        and hashlib.sha256(content).hexdigest() == listed.detail
        and listed.path != MANIFEST_NAME
    )


def _mode_reader() -> ModeReader:
    from capsule_builder.archive.mode_reader import ModeReader

    return ModeReader()
