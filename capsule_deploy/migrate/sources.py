"""The files that start the old service."""

from __future__ import annotations

from collections.abc import Sequence

from capsule_deploy.migrate.places import Places


def read_sources(paths: Sequence[str], places: Places) -> list[tuple[str, str]]:
    """The files with their texts; ``places`` learns from them where the directory lay on the old host.

    Raises:
        CapsuleError: one cannot be read.
    """
    found = [(path, places.text(path)) for path in paths]
    places.guess_home("\n".join(text for _, text in found))
    return found
