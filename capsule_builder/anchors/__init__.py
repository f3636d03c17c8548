"""Anchors: every byte that ties a tree to the host, or to the place, that it was made at.

*model* says what an anchor and a detector are; *programs*, *installation*, *compiled* and *places* hold the detectors,
one small class for each kind; *search* goes through a tree with all of them. Nothing is changed, imported or run.
"""

from __future__ import annotations

from capsule_builder.anchors.model import Anchor
from capsule_builder.anchors.search import Tree

__all__ = ["Anchor", "Tree"]
