"""A wheel as a :class:`~capsule_builder.python.package.Package`, read in place (the binary distribution format).

PyPA's ``installer`` does the reading; its source is our strict ZIP reader, and its destination only notes where
everything goes, so that nothing is unpacked.
"""

from __future__ import annotations

import contextlib
import posixpath
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, cast

import installer
from installer.destinations import WheelDestination
from installer.exceptions import InstallerError
from installer.records import RecordEntry
from installer.sources import WheelContentElement, WheelSource
from installer.utils import Scheme, parse_metadata_file
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from capsule_builder.archive.zip import ZipMember, ZipReader
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import shown
from capsule_builder.python import record
from capsule_builder.python.core_metadata import is_of, stated
from capsule_builder.python.layout import Layout
from capsule_builder.python.package import Opened, Package, PackageFile, is_dropped, place_of
from capsule_builder.python.record import Row
from capsule_builder.python.scripts import entry_points

_REBUILD = "Fetch it again; if it is the same then, build the wheel anew with a current tool."
_UNRECORDED = {"RECORD", "RECORD.jws", "RECORD.p7s"}  # what a RECORD cannot, or need not, hold a hash of
_MORE_ROWS = 1000  # than files: for what is named twice, or is not there, which is refused by name


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that was read: how it goes into a capsule, and what it says of itself.

    ``metadata`` is its METADATA, ``tags`` are those of its WHEEL file ("py3-none-any"), expanded.
    """

    package: Package
    metadata: bytes
    wheel: bytes
    tags: tuple[str, ...]


class _Member(NamedTuple):
    """A member of the wheel as an origin of content."""

    member: ZipMember

    def opened(self) -> AbstractContextManager[Opened]:
        return contextlib.nullcontext(cast(Opened, self.member.content()))


class _Source(WheelSource):
    """The wheel as ``installer`` wants to see it: names and rows, with members in place of streams.

    ``data`` are its ``.data`` directories as they are spelled; ``installer`` knows one spelling. Of the files, it sees
    those in there alone: all others go to site-packages as they are named, and it takes long over each.
    """

    def __init__(self, info: str, members: dict[str, ZipMember], rows: dict[str, Row], data: set[str]) -> None:
        stem = info.removesuffix(".dist-info")
        distribution, _, version = stem.partition("-")
        super().__init__(distribution, version)
        self._members = members
        self._rows = rows
        self._data = data

    @property
    def dist_info_filenames(self) -> list[str]:
        prefix = self.dist_info_dir + "/"
        return [name[len(prefix) :] for name in self._members if name.startswith(prefix)]

    def read_dist_info(self, filename: str) -> str:
        data: bytes = self._members[f"{self.dist_info_dir}/{filename}"].read()
        return data.decode("utf-8-sig")

    def get_contents(self) -> Iterator[WheelContentElement]:
        for path in self._rows:
            top, slash, rest = path.partition("/")
            if slash and top in self._data:
                # The destination gets the path alone: it knows the member and its row.
                yield (f"{self.data_dir}/{rest}", "", ""), cast(BinaryIO, path), False


class _Destination(WheelDestination):
    """Notes where the files go that it is given; writes nothing."""

    def __init__(self, name: str, layout: Layout) -> None:
        self.places: dict[str, str] = {}  # path in the wheel: path in the environment
        site = layout.site
        self._roots = {
            "purelib": site,
            "platlib": site,
            "headers": layout.headers(name),
            "scripts": "bin",
            "data": "",
        }

    def write_script(self, name: str, *_: object, **__: object) -> RecordEntry:
        return RecordEntry(name, None, None)  # made from the entry points by whoever lays the package out

    def write_file(self, scheme: Scheme, path: object, stream: BinaryIO, is_executable: bool) -> RecordEntry:  # noqa: ARG002
        self.places[str(stream)] = posixpath.join(self._roots[scheme], str(path))
        return RecordEntry(str(path), None, None)

    def finalize_installation(self, scheme: Scheme, record_file_path: str, records: object) -> None:
        pass


def read_wheel(reader: ZipReader, file_name: str, layout: Layout) -> Wheel:
    """Reads the wheel that ``reader`` has open; ``file_name`` is the one it was built with.

    Contents are not read yet: that they are what RECORD says is checked as they are packed.

    Raises:
        CapsuleError: the file is no wheel of format 1, or its parts contradict each other; every reason, at once.
    """
    stem = _file_name(file_name)
    members = {member.name: member for member in reader.members if member.kind != "directory"}
    problems = [
        Problem("wheel-link", f"{file_name}: holds a link: {shown(name)}", _REBUILD)
        for name, member in members.items()
        if member.kind == "symlink"
    ]
    info = _dist_info(file_name, stem, members)
    rows = _rows(file_name, info, members, problems)
    name, version = canonicalize_name(stem[0]), stem[1]
    tops = {path.partition("/")[0] for path in members}
    data = {top for top in tops if top.endswith(".data") and is_of(top.removesuffix(".data"), name, version)}
    problems += [
        Problem("wheel-data", f"{file_name}: has a file beside the directories of its .data: {shown(path)}", _REBUILD)
        for path in sorted(members)
        if path.count("/") < 2 and path.partition("/")[0] in data  # installer would search them without end
    ]
    if problems:
        raise CapsuleError(problems)

    package = Package(name, str(version), file_name, info)
    destination = _Destination(name, layout)
    if points := members.get(f"{info}/entry_points.txt"):
        package.entry_points = entry_points(points.read(), name, file_name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bytecode, which is left out
            installer.install(_Source(info, members, rows, data), destination, {})
    except (InstallerError, ValueError, KeyError) as error:
        said = str(error.args[-1] if error.args else error).partition("\n")[0]  # the first may be the source
        reason = shown(said)[:200]
        raise refusal("wheel-format", f"{file_name}: not a wheel of format 1: {reason}", _REBUILD) from error
    site = layout.site
    for path, row in rows.items():
        if path in destination.places:
            place = place_of(destination.places[path], name, layout)
        elif path.partition("/")[0] in data or "__pycache__" in path.split("/")[:-1]:
            continue  # installer leaves bytecode out
        else:
            place = f"{site}/{path}"
        if place.startswith(f"{site}/{info}/") and not path.startswith(f"{info}/"):
            message = f"{file_name}: holds files of its own metadata elsewhere: {shown(path)}"
            problems.append(Problem("wheel-metadata", message, _REBUILD))
        file = PackageFile(_Member(members[path]), row)
        if not package.files.setdefault(place, file).row.says_as(file.row):
            message = f"{file_name}: two of its files have one place: {shown(place)}"
            problems.append(Problem("package-collision", message, _REBUILD))
    if problems:
        raise CapsuleError(problems)

    wheel = members[f"{info}/WHEEL"].read()
    tags = parse_metadata_file(wheel.decode("utf-8-sig")).get_all("Tag") or []
    return Wheel(package, members[f"{info}/METADATA"].read(), wheel, tuple(str(tag) for tag in tags))


def _file_name(file_name: str) -> tuple[str, Version]:
    """The distribution's name and version, as the file is called."""
    if file_name.endswith((".tar.gz", ".tar.bz2", ".zip")):
        message = f"Not a wheel, but a source distribution: {shown(file_name)}"
        raise refusal("wheel-sdist", message, "Build a wheel from it first (pip wheel --no-deps), and name that.")
    try:
        name, version, _, _ = parse_wheel_filename(file_name)
    except (InvalidWheelFilename, InvalidVersion) as error:
        message = f"Not the name of a wheel: {shown(file_name)}"
        raise refusal(
            "wheel-name", message, "Name it name-version-python-abi-platform.whl, as it was built."
        ) from error
    return name, version


def _dist_info(file_name: str, stem: tuple[str, Version], members: dict[str, ZipMember]) -> str:
    """The name of the one directory of metadata, which must agree with the file's name."""
    found = sorted({name.partition("/")[0] for name in members if name.partition("/")[0].endswith(".dist-info")})
    if len(found) != 1:
        what = "no .dist-info" if not found else f"more than one .dist-info: {', '.join(map(shown, found[:5]))}"
        raise refusal("wheel-metadata", f"{file_name}: holds {what}", _REBUILD)
    info = found[0]
    missing = [name for name in ("METADATA", "RECORD", "WHEEL") if f"{info}/{name}" not in members]
    if missing:
        raise refusal("wheel-metadata", f"{file_name}: lacks {', '.join(missing)} in {info}", _REBUILD)
    try:
        name, version = stated(members[f"{info}/METADATA"].read())
    except ValueError as error:
        raise refusal("wheel-metadata", f"{file_name}: its METADATA {error}", _REBUILD) from error
    for spelled in (f"{canonicalize_name(name)}-{version}", info.removesuffix(".dist-info")):
        if not is_of(spelled, canonicalize_name(stem[0]), stem[1]):
            message = f"{file_name}: its metadata are those of another: {shown(spelled[:200])}"
            raise refusal("wheel-metadata", message, "Give the file the name that it was built with.")
    return info


def _rows(file_name: str, info: str, members: dict[str, ZipMember], problems: list[Problem]) -> dict[str, Row]:
    """The rows of RECORD for what is to be installed; what does not agree with the members goes to ``problems``."""
    own = {f"{info}/{name}" for name in _UNRECORDED}
    rows: dict[str, Row] = {}
    for row in record.parse(members[f"{info}/RECORD"].read(), file_name, len(members) + _MORE_ROWS):
        if not (rows.setdefault(row.path, row).says_as(row) or is_dropped(row.path, info)):
            message = f"{file_name}: RECORD names a file twice, and not as the same: {shown(row.path)}"
            problems.append(Problem("record-duplicate", message, _REBUILD))
    for path in rows.keys() - members.keys() - own:
        problems.append(
            Problem("record-missing", f"{file_name}: RECORD names a file that is not there: {shown(path)}", _REBUILD)
        )
    for path in members.keys() - rows.keys() - own:
        problems.append(Problem("record-unnamed", f"{file_name}: RECORD does not name {shown(path)}", _REBUILD))
    kept: dict[str, Row] = {}
    for path, row in sorted(rows.items()):
        if path in own or path not in members:
            continue
        if not row.algorithm:
            problems.append(Problem("record-unhashed", f"{file_name}: RECORD has no hash for {shown(path)}", _REBUILD))
        elif row.size is not None and row.size != members[path].size:
            message = (
                f"{file_name}: not what its RECORD says: {shown(path)} has {members[path].size} bytes, not {row.size}"
            )
            problems.append(Problem("record-mismatch", message, _REBUILD))
        kept[path] = row
    problems.sort(key=lambda problem: problem.message)
    del problems[record.MAX_PROBLEMS :]
    return kept
