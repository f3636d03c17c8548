"""What ``[`` and ``test`` say of files and texts."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from itertools import takewhile

from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.shell.scene import Scene


def holds(texts: Sequence[str], scene: Scene, places: Places) -> bool | None:
    """Whether the condition ``test`` has these words for holds; None when only a run can tell."""
    negations = sum(1 for _ in takewhile("!".__eq__, texts))
    if negations:
        inner = holds(texts[negations:], scene, places)
        return None if inner is None else inner != bool(negations % 2)
    if len(texts) == 2 and texts[0] in ("-z", "-n"):
        return (texts[1] == "") == (texts[0] == "-z")
    if len(texts) == 3 and texts[1] in ("=", "==", "!="):
        return (texts[0] == texts[2]) == (texts[1] != "!=")
    if len(texts) == 2 and texts[0] in ("-f", "-d", "-e", "-r", "-s", "-x"):
        if not texts[1].startswith("/") and scene.cwd is None:
            return None
        here = places.here(posixpath.normpath(posixpath.join(scene.cwd or "/", texts[1])))
        try:
            return os.path.isdir(here) if texts[0] == "-d" else os.path.exists(here)
        except ValueError:
            return None
    return None
