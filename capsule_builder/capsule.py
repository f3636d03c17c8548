"""Layers into a capsule: merge the listings, write the head, copy the fragments (``docs/format.md``, section 4)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from capsule_builder import contents, metadata
from capsule_builder.agreement import doubts, missing_entrypoints, named_paths, other_python, unverified
from capsule_builder.archive.effort import DEFAULT_LEVEL
from capsule_builder.archive.limits import MAX_ENTRIES, MAX_INDEX, MAX_LISTING, MAX_MEMBERS
from capsule_builder.archive.members import TAIL, Member
from capsule_builder.contents import Listed
from capsule_builder.entries import Bytes, Content
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.fragments import Spread, copy_fragment, fragment_size
from capsule_builder.head import write_head
from capsule_builder.layer import NAMED, VERIFIED, LayerFiles
from capsule_builder.links import destination, links_problems
from capsule_builder.metadata import BuildFacts, LayerFacts
from capsule_builder.paths import shown
from capsule_builder.patterns import Patterns

if TYPE_CHECKING:
    from capsule_builder.manifest import Manifest

_COPY_SIZE = 1 << 20
_STAR, _HASH = b"*#"
_PATH = 66  # where the path begins in the line of a file
_SPECIAL_IN_VENV = (b"# symlink\tvenv/", b"# dir\tvenv/")
_SMALLER = "Make several capsules of it, or leave something out."


class Layer(NamedTuple):
    """A layer to assemble: its name in the metadata, what to call it in messages, its finished files.

    When its fragment is ``spread`` over several files, the one among its files is not looked at.
    """

    name: str
    owner: str
    files: LayerFiles
    spread: Spread | None = None

    @property
    def fragment(self) -> BinaryIO | Spread:
        """The fragment, wherever it lies."""
        return self.spread or self.files.fragment


class Merged(NamedTuple):
    """What the layers' listings say together, before any archive is written.

    ``listing`` is the content listing, positioned at its start; ``files`` counts files; ``requirements`` tells whether
    the Python environment was verified against a requirements file (None when nothing was to verify); ``warnings``
    are for people.
    """

    listing: BinaryIO
    id: str
    files: int
    requirements: bool | None
    warnings: tuple[Problem, ...]


class Stored(NamedTuple):
    """Content of a temporary file, read from its beginning."""

    file: BinaryIO
    size: int

    def chunks(self) -> Iterator[bytes]:
        """The file's bytes."""
        self.file.seek(0)
        return iter(lambda: self.file.read(_COPY_SIZE), b"")


def stored(file: BinaryIO) -> Content:
    """A handle on all that has been written to ``file``."""
    return Stored(file, file.seek(0, os.SEEK_END))


def merge(
    layers: Sequence[Layer], manifest: Manifest, listing: BinaryIO, *, verify_requirements: bool = True
) -> Merged:
    """The capsule's listing and ID, checked against the manifest; ``listing`` is an empty file, which gets the listing.

    Raises:
        CapsuleError: layers disagree, a link leads nowhere, an entry point is missing, a file that the manifest names
            as executable is not, the environment has another Python or was not verified against the manifest's
            requirements file; all that is wrong, at once.
    """
    problems: list[Problem] = []
    if crowded := _write_listing(layers, listing):
        _write_listing(layers, listing, left_out=crowded)

    digest, files, names, last, beside = hashlib.sha256(), 0, 0, b"", b""
    unmarked: set[str] = set()
    links: dict[str, str] = {}
    executables = Patterns(manifest.executables)
    listing.seek(0)
    digest.update(listing.readline())
    while lines := listing.readlines(_COPY_SIZE):
        digest.update(b"".join(lines))
        names += len(lines)
        for line in lines:
            if line[0] == _HASH:
                entry = _written(line)
                path = entry.path.encode()
                if entry.kind == "symlink":
                    links[entry.path] = entry.detail
            else:
                path = line[_PATH:-1]
                files += 1
                if executables and line[_PATH - 1] != _STAR and executables.match(path.decode()):
                    unmarked.add(path.decode())
            above = path.rpartition(b"/")[0]
            if above != beside:
                names += contents.new_directories(path.decode(), last.decode())
                beside = above
            last = path
    if listing.tell() > MAX_LISTING:
        problems.append(Problem("limit-listing", f"Listing is longer than {MAX_LISTING >> 20} MiB", _SMALLER))
    if names > MAX_ENTRIES:
        problems.append(
            Problem("limit-entries", f"More than {MAX_ENTRIES:,} files, links and directories: {names:,}", _SMALLER)
        )
    if unmarked:
        problems += _not_executable(unmarked, layers)
    if links:
        problems += links_problems(links, (e.path + "/" * (e.kind == "dir") for e in _all_written(listing)))
    named = {end.encode() for path in named_paths(manifest) if (end := destination(path, links))}
    telling = list(_telling(listing, None if manifest.executables else named))
    regular = [entry.path for entry in telling if entry.kind in {"file", "executable"}]
    problems += missing_entrypoints(manifest, links, regular)
    problems += other_python(manifest, links)
    verified = _verified(layers)
    if verify_requirements:
        problems += unverified(manifest, links, telling, verified)
    if problems:
        raise CapsuleError(problems)
    warnings = [*doubts(manifest, links, telling), *_named_by_layers(layers, executables)]
    listing.seek(0)
    checked = verify_requirements if manifest.pip_requirements or verified else None
    return Merged(listing, digest.hexdigest(), files, checked, tuple(warnings))


def _write_listing(layers: Sequence[Layer], listing: BinaryIO, left_out: Collection[str] = ()) -> set[str]:
    """Writes the merged listing anew, less some directories; gives the listed directories that are not empty."""
    crowded: set[str] = set()
    listing.seek(0)
    listing.truncate()
    listing.write(contents.LISTING_HEADER)
    if len(layers) == 1:
        listing.writelines(contents.checked_lines(_rewound(layers[0].files.contents)))
        return crowded
    merged = contents.merge([_owned(layer) for layer in layers], crowded)
    listing.writelines(entry.line() for entry, _ in merged if entry.kind != "dir" or entry.path not in left_out)
    return crowded


def write_archive(
    out: BinaryIO,
    index: BinaryIO,
    merged: Merged,
    layers: Sequence[Layer],
    manifest: Manifest,
    *,
    level: int = DEFAULT_LEVEL,
    jobs: int = 1,
    build: BuildFacts = metadata.UNSTAMPED,
    digest: hashlib._Hash | None = None,
) -> bytes:
    """Writes the archive to ``out`` and gives the bytes of its metadata; ``index`` is an empty file for the index.

    The layers' fragments are copied as they are, by the kernel where it can; when ``digest`` is given it is fed
    everything that is written.

    Raises:
        CapsuleError: it would be larger than any reader takes; nothing is written.
        OSError: the archive cannot be written.
    """
    index.write(b"# capsule-index v1\n")
    counted = [_index_layer(layer, index) for layer in layers]
    facts = [facts for facts, _, _ in counted]
    members, entries = sum(members for _, members, _ in counted), sum(entries for _, _, entries in counted)
    if problems := _index_problems(index.tell(), members, entries):
        raise CapsuleError(problems)
    document = metadata.encode(
        capsule_id=merged.id,
        name=manifest.name,
        version=manifest.version,
        entrypoint=manifest.entrypoint,
        files=merged.files,
        layers=facts,
        requirements=merged.requirements,
        level=level,
        build=build,
    )

    def put(member: Member) -> None:
        for piece in member.pieces:
            out.write(piece)
            if digest:
                digest.update(piece)

    write_head(put, Bytes(document), stored(merged.listing), stored(index), level=level, jobs=jobs)
    for layer in layers:
        copy_fragment(layer.fragment, out, digest)
    put(Member([TAIL], len(TAIL), 0))
    return document


def _index_layer(layer: Layer, index: BinaryIO) -> tuple[LayerFacts, int, int]:
    """Appends a layer's part to the index and sums it up; gives the numbers of its members and entries too."""
    digest, files = _digest_and_files(layer.files.contents)
    compressed_size = fragment_size(layer.fragment)
    index.write(f"# layer\t{layer.name}\t{digest}\t{compressed_size}\n".encode())
    layer.files.index.seek(0)
    total_size = members = entries = 0
    while lines := layer.files.index.readlines(_COPY_SIZE):
        marks = [line for line in lines if line[0] == _HASH]
        if any(line.startswith((NAMED, VERIFIED)) for line in marks):
            lines = [line for line in lines if not line.startswith((NAMED, VERIFIED))]
        index.writelines(lines)
        sizes = [int(line.split(b"\t", 2)[1]) for line in lines if line[0] != _HASH]
        total_size += sum(sizes)
        entries += len(sizes)
        members += len(lines) - len(sizes)
    return LayerFacts(layer.name, digest, files, total_size, compressed_size), members, entries


def _index_problems(size: int, members: int, entries: int) -> list[Problem]:
    """What of the finished index no reader would take."""
    if size > MAX_INDEX:
        return [Problem("limit-index", f"Index is longer than {MAX_INDEX >> 20} MiB", _SMALLER)]
    problems = []
    if members > MAX_MEMBERS:
        problems.append(Problem("limit-members", f"More than {MAX_MEMBERS:,} members: {members:,}", _SMALLER))
    if entries > MAX_ENTRIES:
        problems.append(
            Problem("limit-entries", f"More than {MAX_ENTRIES:,} entries in all layers: {entries:,}", _SMALLER)
        )
    return problems


def _not_executable(paths: set[str], layers: Sequence[Layer]) -> Iterator[Problem]:
    """One problem for each layer that has files which the manifest names as executable, and did not mark them."""
    for layer in layers:
        found = [entry.path for entry in _entries(layer.files.contents) if entry.path in paths]
        if found:
            more = f" and {len(found) - 1:,} more" if len(found) > 1 else ""
            what = f"{shown(found[0])}{more} ({layer.owner})"
            yield Problem(
                "executable-unmarked",
                f"The manifest names an executable that its layer did not make one: {what}",
                "Give that layer the same patterns: executables = [...].",
            )


def _named_by_layers(layers: Sequence[Layer], executables: Patterns) -> Iterator[Problem]:
    """A warning for each layer with files that are executable by its own patterns alone, unknown to the manifest."""
    for layer in layers:
        unknown = [path for path in _remarks(layer, NAMED) if not executables.match(path)]
        if unknown:
            more = f" and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
            yield Problem(
                "executable-unnamed",
                f"Executable by a pattern of its layer alone: {shown(unknown[0])}{more} ({layer.owner})",
                "Name it under executables in the manifest too, so that capsbuild gives the same ID.",
            )


def _verified(layers: Sequence[Layer]) -> set[str]:
    return {sha256 for layer in layers for sha256 in _remarks(layer, VERIFIED)}


def _remarks(layer: Layer, kind: bytes) -> list[str]:
    """What a layer's index says to the assembly alone."""
    layer.files.index.seek(0)
    return [line.decode().rstrip("\n").split("\t")[1] for line in layer.files.index if line.startswith(kind)]


def _entries(listing: BinaryIO) -> Iterator[Listed]:
    return contents.read_listing(_rewound(listing))


def _rewound(listing: BinaryIO) -> BinaryIO:
    listing.seek(0)
    return listing


def _all_written(listing: BinaryIO) -> Iterator[Listed]:
    """The entries of the merged listing."""
    listing.seek(len(contents.LISTING_HEADER))
    return map(_written, listing)


def _telling(listing: BinaryIO, named: Collection[bytes] | None) -> Iterator[Listed]:
    """The entries that the manifest's promises hang on: the ``named`` files, and whether there is a ``venv/``.

    All of them when None: patterns may name any.
    """
    listing.seek(len(contents.LISTING_HEADER))
    has_venv = False
    for line in listing:
        in_venv = not has_venv and (line.startswith(b"venv/", _PATH) or line.startswith(_SPECIAL_IN_VENV))
        if named is None or in_venv or line[_PATH:-1] in named:
            has_venv = has_venv or in_venv
            yield _written(line)


def _written(line: bytes) -> Listed:
    """The entry of a line that was written here, and so need not be checked."""
    if line.startswith(b"#"):
        return contents.parse_line(line)
    return Listed(line[_PATH:-1].decode(), "executable" if line[65] == _STAR else "file", line[:64].decode())


def _owned(layer: Layer) -> Iterator[tuple[Listed, str]]:
    return ((entry, layer.owner) for entry in _entries(layer.files.contents))


def _digest_and_files(listing: BinaryIO) -> tuple[str, int]:
    """The digest of a layer's listing, and how many files it names."""
    listing.seek(0)
    digest, files = hashlib.sha256(), 0
    for line in listing:
        digest.update(line)
        files += not line.startswith(b"#")
    return digest.hexdigest(), files
