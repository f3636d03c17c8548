"""Releases that an operator wants kept: ``apps/<app>/pins/<id>``."""

from __future__ import annotations

import os

from capsule_deploy import durable
from capsule_deploy.layout import Layout
from capsule_deploy.releases import Release


def pin(layout: Layout, release: Release) -> None:
    """Keeps a release until it is no longer pinned; safe to repeat."""
    path = _path(layout, release)
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    if not os.path.lexists(path):
        durable.write_file(path, b"")


def unpin(layout: Layout, release: Release) -> None:
    """Takes the pin away; safe to repeat."""
    path = _path(layout, release)
    if os.path.isdir(os.path.dirname(path)):
        durable.remove(path)


def is_pinned(layout: Layout, release: Release) -> bool:
    """Whether the release is to be kept."""
    return os.path.lexists(_path(layout, release))


def _path(layout: Layout, release: Release) -> str:
    return os.path.join(layout.app(release.app), "pins", release.id)
