"""What lies where the application is: its tree and its manifest, seen and not yet judged."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from capsule_builder.building.request import PythonOptions, Source
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import MANIFEST_NAME, shown
from capsule_builder.sources import directory
from capsule_builder.sources.files import read_manifest
from capsule_builder.sources.states import Watch
from capsule_builder.sources.tree import Tree


class Found(NamedTuple):
    """What was found at ``source``.

    ``tree`` and ``manifest`` (its bytes, which messages call ``label``) are None when there is none, which is one of
    the ``problems`` then. ``remarks`` are warnings.
    """

    source: Source
    tree: Tree | None
    manifest: bytes | None
    label: str
    problems: tuple[Problem, ...]
    remarks: tuple[Problem, ...]


def find(
    source: Source,
    manifest_path: str | None,
    python: PythonOptions,
    stack: contextlib.ExitStack,
    *,
    watch: Watch | None = None,
) -> Found:
    """Looks at everything; what is opened stays open for as long as ``stack`` does. Nothing is raised.

    ``watch`` notes the states of the files in a directory.
    """
    problems: list[Problem] = []
    tree: Tree | None = None
    manifest: bytes | None = None
    label = ""
    try:
        tree, unfit = _scan(source, [python.wish.venv, python.wish.wheels, python.interpreter], watch)
        stack.enter_context(tree)
        problems += unfit
    except CapsuleError as error:
        problems += error.problems
    try:
        manifest, label = _manifest(source, manifest_path, tree)
    except CapsuleError as error:
        problems[:0] = error.problems
    remarks = tuple(_replaced(source, manifest_path, tree)) if tree and manifest is not None else ()
    return Found(source, tree, manifest, label, tuple(problems), remarks)


def _scan(source: Source, ingredients: list[str | None], watch: Watch | None) -> tuple[Tree, list[Problem]]:
    """The source's tree, without the ``ingredients`` of the environment, in case they lie in it."""
    if source.is_zip:
        from capsule_builder.sources import ziptree

        return ziptree.scan_zip(source.path, source.strip_components)
    without = [below for path in ingredients if path and (below := _below(source, path))]
    return directory.scan(source.path, without=without, watch=watch)


def _manifest(source: Source, path: str | None, tree: Tree | None) -> tuple[bytes, str]:
    """The manifest's bytes, and what messages call it."""
    if path is None and source.is_zip:
        from capsule_builder.sources import ziptree

        if not isinstance(tree, ziptree.ZipTree):  # there is nothing to look into, which is told already
            raise CapsuleError([])
        return tree.manifest(), f"{source.path}/{MANIFEST_NAME}"
    path = path or os.path.join(source.path, MANIFEST_NAME)
    return read_manifest(path), path


def _below(source: Source, path: str) -> str:
    """The path of the directory ``path`` in the source, with a ``/`` at its end; empty when it lies elsewhere."""
    relative = os.path.relpath(os.path.realpath(path), os.path.realpath(source.path))
    outside = relative == os.curdir or relative == os.pardir or relative.startswith(os.pardir + os.sep)
    return "" if outside else relative + "/"


def _replaced(source: Source, manifest_path: str | None, tree: Tree) -> Iterator[Problem]:
    """A warning when the source has another ``capsule.yml`` than the manifest."""
    if not tree.manifest_there or manifest_path is None:
        return
    own = os.path.join(source.path, MANIFEST_NAME)
    if source.is_zip or not (os.path.exists(own) and os.path.samefile(own, manifest_path)):
        message = f"{shown(own)} is left out: {shown(manifest_path)} takes its place as {MANIFEST_NAME}"
        yield Problem("manifest-replaced", message)
