"""One distribution as entries of a capsule, in the one form that it has there, whoever laid it out before.

From a wheel and from a finished environment comes the same :class:`Package`, and so the same entries.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from packaging.utils import canonicalize_name

from capsule_builder.entries import Bytes, Content, Deflated, Entry, File, Pledge
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.layer import broken_pledge
from capsule_builder.paths import shown
from capsule_builder.patterns import Patterns
from capsule_builder.python import record, scripts
from capsule_builder.python.layout import INSTALLER, VENV, Layout
from capsule_builder.python.record import Row

if TYPE_CHECKING:
    from capsule_builder.python.bytecode import Compiler

METADATA = re.compile(r"[^/~][^/]*\.(dist-info|egg-info|egg)$", re.DOTALL)
"""Names directly in site-packages that mean a distribution."""

_INTERPRETER = re.compile(r"bin/python(3(\.[0-9]+)?)?")
_LIBRARY = re.compile(r"lib/[a-z]+[0-9]+\.[0-9]+t?/")

_NOT_KEPT = frozenset(
    [
        "INSTALLER",
        "RECORD",
        "RECORD.jws",
        "RECORD.p7s",
        "REQUESTED",
        "direct_url.json",
        "uv_build.json",
        "uv_cache.json",
    ]
)
"""Files of a ``.dist-info`` that tell who installed it, whence and when, or that are written anew."""


class Opened(Content, Protocol):
    """Content that can be judged before it is read."""

    @property
    def program(self) -> bool:
        """Whether its content makes it executable."""

    @property
    def elf(self) -> bool:
        """Whether it is an ELF file of any kind."""


class Origin(Protocol):
    """Where the content of a file comes from; opened as often as asked, one at a time."""

    def opened(self) -> AbstractContextManager[Opened]:
        """Opens it."""


class PackageFile(NamedTuple):
    """A file of a distribution, and what its RECORD says of it."""

    origin: Origin
    row: Row


@dataclass(slots=True)
class Package:
    """A distribution: normalised ``name`` (PEP 503), its directory of metadata, its files, its entry points.

    ``files`` go by their paths relative to the environment; scripts that are made from entry points are not among them.
    ``label`` is what messages call it.
    """

    name: str
    version: str
    label: str
    dist_info: str
    files: dict[str, PackageFile] = field(default_factory=dict)
    entry_points: list[scripts.EntryPoint] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    """A distribution's files in a capsule, by their paths relative to the environment: kept ones, and written ones.

    ``label`` is what messages call the distribution.
    """

    label: str
    kept: dict[str, PackageFile]
    written: dict[str, bytes]

    def entries(self, executables: Patterns) -> Iterator[Entry]:
        """The entries in path order; kept files are opened one at a time, and pledged to be what their RECORD says.

        Raises:
            CapsuleError: a file cannot be read.
        """
        for path in sorted([*self.kept, *self.written]):
            place = f"{VENV}/{path}"
            if path in self.written:
                data = self.written[path]
                program = data[:2] == b"#!"
                named = not program and executables.match(place)
                yield File(place, program or named, Bytes(data), named)
                continue
            file = self.kept[path]
            with file.origin.opened() as content:
                if file.row.size not in {None, content.size}:
                    raise CapsuleError([broken_pledge(place, self.label)])
                named = executables.match(place)
                pledged = Pledge(file.row.digest.hex(), self.label) if file.row.algorithm == "sha256" else None
                if isinstance(content, Deflated):
                    yield File(place, None, content, named, pledged)
                else:
                    program = content.program
                    yield File(place, program or named, content, named and not program, pledged)


def plan(package: Package, layout: Layout, compiler: Compiler | None = None) -> Plan:
    """Lays a distribution out: scripts anew, bytecode anew or none, and a RECORD that is true.

    Raises:
        CapsuleError: files lack a hash or are not what their RECORD says, or two of them have one place, or one that is
            not theirs; all at once.
    """
    kept: dict[str, PackageFile] = {}
    written: dict[str, bytes] = {}
    problems: list[Problem] = []
    site = f"{layout.site}/"
    info = f"{site}{package.dist_info}"

    proven: set[str] = set()  # directories in site-packages that it may have, with whatever lies in them

    def check_place(path: str) -> None:
        top = path.removeprefix(site).partition("/")[0] if path.startswith(site) else ""
        if top not in proven:
            if problem := _misplaced(package, path, layout):
                problems.append(problem)
            elif top and path != site + top:
                proven.add(top)
        if path in written or path in kept:
            message = f"{package.label}: two files have one place: {shown(path)}"
            problems.append(Problem("package-collision", message, "Build the distribution again without one of them."))

    def write(path: str, data: bytes) -> None:
        check_place(path)
        written[path] = data

    for path, file in package.files.items():
        if is_dropped(path, info):
            continue
        try:
            script = _script(file) if path.startswith("bin/") else None
            if script or file.row.algorithm != "sha256":
                _check(package, path, file)
        except CapsuleError as error:
            problems += error.problems
            script = None
        name = path.removeprefix("bin/")
        if script and "/" in name:
            message = f"{package.label}: a Python script lies in a directory of bin/: {shown(path)}"
            remedy = "Installers disagree about it: build the distribution again with the script directly in bin/."
            problems.append(Problem("package-script", message, remedy))
        elif script:
            write(path, script.launcher(name))
            write(f"{scripts.LIBEXEC}/{name}", script.text)
        else:
            check_place(path)
            kept[path] = file
    for point in package.entry_points:
        write(f"bin/{point.name}", point.script)
    if compiler:
        sources = ((path, _read(kept[path])) for path in sorted(kept) if _is_module(path, layout))
        from capsule_builder.python.bytecode import pyc_path

        for path, code in compiler.compile(sources):
            if code is not None:
                write(pyc_path(path, compiler.tag), code)

    write(f"{info}/INSTALLER", INSTALLER)
    rows = [_moved(_sized(file), path, layout) for path, file in kept.items()]
    rows += [_moved(Row.of("", data), path, layout) for path, data in written.items()]
    write(f"{info}/RECORD", record.write([*rows, _moved(Row(""), f"{info}/RECORD", layout)]))
    if problems:
        raise CapsuleError(dict.fromkeys(problems))
    return Plan(package.label, kept, written)


def place_of(path: str, name: str, layout: Layout) -> str:
    """The one place of a file whose path is spelled in various ways: C headers, and site-packages by way of ``lib64``.

    ``name`` is that of its distribution, normalised; installers call the directory of its headers in any spelling.
    """
    if path.startswith(f"lib64/{layout.site.removeprefix('lib/')}/"):
        return f"lib/{path.removeprefix('lib64/')}"
    above = posixpath.dirname(layout.headers(name))
    spelled, slash, inner = path.removeprefix(f"{above}/").partition("/")
    if path.startswith(f"{above}/") and slash and canonicalize_name(spelled) == name:
        return f"{layout.headers(name)}/{inner}"
    return path


def is_dropped(path: str, info: str) -> bool:
    """Whether a file is left out of every capsule: caches, and what tells of the installation in ``info``.

    Installers take nothing of a wheel's ``__pycache__`` either, whatever it is.
    """
    where, _, name = path.rpartition("/")
    if where == info and name in _NOT_KEPT:
        return True
    return "/__pycache__/" in f"/{where}/"


def _misplaced(package: Package, path: str, layout: Layout) -> Problem | None:
    """What is wrong with a file's place, if it is not for a distribution to have."""
    inner = path.removeprefix(f"{layout.site}/") if path.startswith(f"{layout.site}/") else ""
    top, slash, _ = inner.partition("/")
    remedy = "Build the distribution again without it."
    if METADATA.match(top) and top != package.dist_info:
        message = f"{package.label}: holds the metadata of another distribution: {shown(top)}"
        return Problem("wheel-metadata", message, remedy)
    if slash and top.endswith(".data"):
        message = f"{package.label}: holds the .data directory of another distribution: {shown(top)}"
        return Problem("wheel-data", message, "Build the distribution again with a current tool.")
    library = _LIBRARY.match(path)
    foreign = library and library[0] != f"lib/python{layout.python}/"
    if foreign or path == "pyvenv.cfg" or path.split("/")[0] == "lib64" or _INTERPRETER.fullmatch(path):
        message = f"{package.label}: a file takes the place of the environment's own: {shown(path)}"
        return Problem("package-reserved", message, remedy)
    return None


def _is_module(path: str, layout: Layout) -> bool:
    return path.startswith(f"{layout.site}/") and path.endswith(".py")


def _script(file: PackageFile) -> scripts.PythonScript | None:
    with file.origin.opened() as content:
        if content.elf or content.size > scripts.MAX_SCRIPT:
            return None
        return scripts.python_script(b"".join(content.chunks()))


def _check(package: Package, path: str, file: PackageFile) -> None:
    """Checks a file whose row cannot be compared with a listing: it is a script, or has not a SHA-256."""
    if not file.row.algorithm:
        message = f"{package.label}: RECORD has no hash for {shown(path)}"
        raise CapsuleError([Problem("record-unhashed", message, "Build or install the distribution again.")])
    digest = hashlib.new(file.row.algorithm)
    with file.origin.opened() as content:
        same_size = file.row.size in {None, content.size}
        for chunk in content.chunks():
            digest.update(chunk)
    if digest.digest() != file.row.digest or not same_size:
        raise CapsuleError([broken_pledge(f"{VENV}/{path}", package.label)])


def _read(file: PackageFile) -> bytes:
    with file.origin.opened() as content:
        return b"".join(content.chunks())


def _sized(file: PackageFile) -> Row:
    """The row with its size, which a RECORD need not have, and which some installers then add."""
    if file.row.size is not None:
        return file.row
    with file.origin.opened() as content:
        return Row(file.row.path, file.row.algorithm, file.row.digest, content.size)


def _moved(row: Row, path: str, layout: Layout) -> Row:
    """The row under the path by which a RECORD knows a file: relative to site-packages."""
    site = f"{layout.site}/"
    relative = path[len(site) :] if path.startswith(site) else posixpath.relpath(path, layout.site)
    return Row(relative, row.algorithm, row.digest, row.size)
