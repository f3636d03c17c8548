"""Releases that lie on a host as an install leaves them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping

from capsule_builder.manifest import load
from capsule_deploy.layout import Layout
from capsule_deploy.releases import RECEIPT_NAME, Receipt, Release, encode_receipt


def lay_out(
    layout: Layout, manifest: str, files: Mapping[str, str | bytes], *, installed: int | None = None
) -> Release:
    """A release of these files, with no write bits; its ID is that of its content, though not by the format's listing.

    Files that begin with ``#!`` are executable; a file whose name is ``LINK -> TARGET`` is a link.
    """
    parsed = load(manifest.encode(), "capsule.yml")[0]
    content = {"capsule.yml": manifest, **files}
    digest = hashlib.sha256(repr(sorted(content.items())).encode()).hexdigest()
    place = layout.release(digest)
    os.makedirs(place)
    size = 0
    for name, text in content.items():
        path, _, target = name.partition(" -> ")
        path = os.path.join(place, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if target:
            os.symlink(target, path)
            continue
        data = text.encode() if isinstance(text, str) else text
        size += len(data)
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, 0o555 if data.startswith(b"#!") else 0o444)
    for directory, _, _ in os.walk(place):
        os.chmod(directory, 0o555)
    receipt = Receipt(
        id=digest,
        app=parsed.name,
        version=parsed.version,
        files=len(content),
        total_size=size,
        archive_sha256="0" * 64,
        archive_size=1,
        signed_by=None,
        trusted_comment=None,
        installed=installed if installed is not None else int(time.time()),
    )
    os.makedirs(layout.receipt(digest))
    with open(os.path.join(layout.receipt(digest), RECEIPT_NAME), "wb") as file:
        file.write(encode_receipt(receipt))
    return Release(receipt, place)
