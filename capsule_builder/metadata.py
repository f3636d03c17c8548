"""``.capsule_metadata.json``: what a capsule says of itself (``docs/format.md``, section 4.4). Never part of the ID."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from capsule_builder import __version__

FORMAT_VERSION = 1


class LayerFacts(NamedTuple):
    """One layer: its name, digest (64 hex digits), files, and sizes in bytes, plain and as a fragment."""

    name: str
    digest: str
    files: int
    total_size: int
    compressed_size: int


class BuildFacts(NamedTuple):
    """Facts of one build: RFC 3339 time in UTC and host name. Both are None unless the build is stamped."""

    time: str | None = None
    host: str | None = None


UNSTAMPED = BuildFacts()


def short_id(capsule_id: str) -> str:
    """The first 12 digits of an ID."""
    return capsule_id[:12]


def archive_name(name: str, capsule_id: str) -> str:
    """The file name of a capsule: ``capsule-<name>-<short id>.tar.gz``."""
    return f"capsule-{name}-{short_id(capsule_id)}.tar.gz"


def encode(
    *,
    capsule_id: str,
    name: str,
    version: str,
    entrypoint: str,
    files: int,
    layers: Sequence[LayerFacts],
    requirements: bool | None,
    level: int,
    build: BuildFacts = UNSTAMPED,
) -> bytes:
    """The file's bytes: UTF-8, keys in this order, two spaces of indent, one line end at the end.

    ``requirements``: whether the environment was verified against a requirements file; None when there was none.
    """
    document = {
        "format": FORMAT_VERSION,
        "id": capsule_id,
        "short_id": short_id(capsule_id),
        "name": name,
        "version": version,
        "entrypoint": entrypoint,
        "files": files,
        "total_size": sum(layer.total_size for layer in layers),
        "compressed_size": sum(layer.compressed_size for layer in layers),
        "layers": [layer._asdict() for layer in layers],
        "requirements": None if requirements is None else "verified" if requirements else "unverified",
        "builder": {"name": "capsule-builder", "version": __version__, "compression_level": level},
        "build": build._asdict(),
    }
    return dumped(document)


def dumped(document: Mapping[str, object]) -> bytes:
    """The bytes of the file that says ``document``."""
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
