"""From what a build was asked for to the environment that it gets, found to be all that is required."""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
from collections.abc import Callable
from dataclasses import dataclass, field

from capsule_builder.building.request import DEFAULT_PLATFORM, Wish
from capsule_builder.entries import Content
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.links import destination
from capsule_builder.manifest import Manifest
from capsule_builder.paths import shown
from capsule_builder.python.environment import Environment
from capsule_builder.python.finished import Below, from_finished
from capsule_builder.python.layout import VENV
from capsule_builder.python.seeds import without_seeds
from capsule_builder.python.wheelhouse import from_wheels
from capsule_builder.requirements import Report, Requirements, Target, read_requirements, verify
from capsule_builder.sources.files import open_regular
from capsule_builder.sources.plain import scan_plain
from capsule_builder.sources.tree import Tree

__all__ = ["DEFAULT_PLATFORM", "MAX_REQUIREMENTS", "Gathered", "Wish", "gather", "read_file"]

MAX_REQUIREMENTS = 16 << 20
"""The largest requirements file that is read, in bytes."""

Read = Callable[[str], bytes]


@dataclass(slots=True)
class Gathered:
    """The environment (None if there is none), the SHA-256 of the requirements files it was to satisfy, and notes."""

    environment: Environment | None = None
    requirements: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Root:
    """A requirements file that is to be satisfied, and the SHA-256 of its own bytes."""

    requirements: Requirements
    sha256: str


def gather(tree: Tree, manifest: Manifest, wish: Wish, stack: contextlib.ExitStack, *, jobs: int = 1) -> Gathered:
    """The environment for ``tree``; wheels stay open for as long as ``stack`` does.

    Raises:
        CapsuleError: it cannot be made, or is not all that is required; every reason, at once.
    """
    roots = _roots(tree, manifest, wish)
    problems = [*_refused(tree, manifest, wish, bool(roots))]
    if problems:
        raise CapsuleError(problems)
    environment = _environment(tree, manifest, wish, roots, stack, jobs)
    python = environment.layout.python if environment else manifest.python
    if not python:
        return Gathered()
    target = Target(python, wish.platform)
    if environment and not wish.wheels:
        environment = without_seeds(environment, [root.requirements for root in roots], target)
    gathered = Gathered(environment, [root.sha256 for root in roots])
    if wish.verify:
        for root in roots or ([_Root(Requirements(), "")] if environment else []):
            report = verify(environment.distributions if environment else [], root.requirements, target)
            problems += report.problems()
            gathered.notes += _notes(report) if root.sha256 else []
    if problems:
        remedy = "To build it all the same: --no-verify-requirements. The metadata will say so."
        problems.append(Problem("requirements", "The Python environment is not all that is required", remedy))
        raise CapsuleError(dict.fromkeys(problems))
    return gathered


def _roots(tree: Tree, manifest: Manifest, wish: Wish) -> list[_Root]:
    """The files to satisfy: the one of the command line, and the manifest's, which lies in the tree."""
    roots: dict[str, _Root] = {}
    problems: list[Problem] = []
    named = manifest.pip_requirements
    end = destination(named, tree.links) if named else None
    wanted: list[tuple[str, Read]] = []
    if wish.requirements:
        wanted.append((wish.requirements, read_file))
    if named and end in set(tree.files):  # its absence is a doubt of the manifest's own
        wanted.append((named, lambda path: _read_from(tree, path)))
    for path, read in wanted:
        try:
            requirements = read_requirements(path, read)
            sha256 = hashlib.sha256(read(path)).hexdigest()
            roots.setdefault(sha256, _Root(requirements, sha256))
        except CapsuleError as error:
            problems += error.problems
    if problems:
        raise CapsuleError(problems)
    return list(roots.values())


def _refused(tree: Tree, manifest: Manifest, wish: Wish, required: bool) -> list[Problem]:
    """What cannot be meant."""
    problems: list[Problem] = []
    given = {f"{VENV}/": tree.has_venv, "--wheels": wish.wheels, "--venv": wish.venv}
    sources = [name for name, value in given.items() if value]
    if len(sources) > 1:
        message = f"More than one Python environment: {' and '.join(sources)}"
        remedy = f"Leave one out (a {VENV}/ in the source by a line /{VENV}/ in .capsuleignore)."
        problems.append(Problem("environment-twice", message, remedy))
    if not manifest.python and (wish.wheels or (required and wish.verify and not sources)):
        message = "Manifest does not say for which Python the environment is"
        problems.append(Problem("python-undeclared", message, 'Add to it: dependencies: {python: "3.11"}'))
    return problems


def _environment(
    tree: Tree, manifest: Manifest, wish: Wish, roots: list[_Root], stack: contextlib.ExitStack, jobs: int
) -> Environment | None:
    if wish.wheels:
        target = Target(manifest.python or "", wish.platform)
        requirements = roots[0].requirements if roots else None
        # Reading every byte twice takes long: only where hashes are compared.
        files = [root.requirements for root in roots]
        compared = any(file.is_hashed or any(line.requirement.url for line in file.lines) for file in files)
        return from_wheels(wish.wheels, requirements, target, stack, complete=wish.verify, hashed=compared, jobs=jobs)
    if wish.venv:
        plain = scan_plain(wish.venv, "virtual environment")
        return from_finished(plain, manifest.python, [os.path.abspath(wish.venv), os.path.realpath(wish.venv)])
    if tree.has_venv:
        place = os.path.join(tree.root, VENV)
        places = [os.path.abspath(place), os.path.realpath(place)] if os.path.isdir(place) else []
        return from_finished(Below(tree, VENV), manifest.python, places)
    return None


def _notes(report: Report) -> list[str]:
    lines = [str(note) for note in report.notes]
    if report.passengers:
        lines.append(f"Required by nothing: {', '.join(report.passengers)}")
    return lines


def read_file(path: str) -> bytes:
    """A requirements file on disk.

    Raises:
        FileNotFoundError: there is none.
        CapsuleError: it cannot be read, is no regular file, or too large.
    """
    if "\0" in path or not os.path.exists(path):
        raise FileNotFoundError(path)
    file = open_regular(path, path, follow=True, remedy="Name a file.")
    try:
        return _limited(file, path)
    finally:
        os.close(file.fd)


def _read_from(tree: Tree, path: str) -> bytes:
    """A file of the tree, by its path in the capsule."""
    plain = posixpath.normpath(path)
    if plain.startswith(("/", "../")):
        message = f"Requirements file lies outside of the application: {shown(path)}"
        raise refusal("requirements-outside", message, "Put it into the application, or give it with --requirements.")
    end = destination(plain, tree.links)
    if end not in set(tree.files):
        raise FileNotFoundError(path)
    with tree.opened(end) as content:
        return _limited(content, path)


def _limited(content: Content, path: str) -> bytes:
    if content.size > MAX_REQUIREMENTS:
        message = f"Requirements file is larger than {MAX_REQUIREMENTS >> 20} MiB: {shown(path)}"
        raise refusal("requirements-size", message, "Name a text file with one requirement a line.")
    return b"".join(content.chunks())
