"""A finished environment as relocation reads it: a directory or a ZIP, behind one small interface."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from capsule_builder.errors import refusal
from capsule_builder.paths import shown
from capsule_builder.python.package import Origin

MAX_METADATA = 64 << 20
"""The largest file of metadata that is read, in bytes."""


class VenvTree(Protocol):
    """The files and links below an environment's root; paths are relative to it. It is read, and never written to."""

    @property
    def label(self) -> str:
        """What messages call the environment."""

    @property
    def files(self) -> Collection[str]:
        """The regular files."""

    @property
    def links(self) -> Mapping[str, str]:
        """The symbolic links, with their targets to the letter."""

    def origin(self, path: str) -> Origin:
        """Where the content of a file comes from."""


def read(tree: VenvTree, path: str) -> bytes:
    """All of a small file.

    Raises:
        CapsuleError: it cannot be read, or is larger than any such file.
    """
    with tree.origin(path).opened() as content:
        if content.size > MAX_METADATA:
            remedy = "Install the distribution that it belongs to again."
            raise refusal("venv-metadata", f"{tree.label}: too large to be metadata: {shown(path)}", remedy)
        return b"".join(content.chunks())


def head(tree: VenvTree, path: str, limit: int) -> bytes:
    """The first bytes of a file, ``limit`` at most."""
    with tree.origin(path).opened() as content:
        return next(iter(content.chunks()), b"")[:limit]


def size(tree: VenvTree, path: str) -> int:
    """The size of a file, in bytes."""
    with tree.origin(path).opened() as content:
        return content.size
