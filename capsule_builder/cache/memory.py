"""What the cache knows of one source, built with the same options: the last build, and what it was made of."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from functools import cached_property
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from capsule_builder import __version__
from capsule_builder.cache.fragment import CachedFragment
from capsule_builder.cache.meanwhile import meanwhile
from capsule_builder.cache.record import DIGEST_SIZE, ELF, KNOWN, PROGRAM, Group, Record
from capsule_builder.cache.store import RECORD_BEGIN, Store
from capsule_builder.errors import Problem
from capsule_builder.fragments import copy_fragment
from capsule_builder.sources.directory import DirectoryTree, KnownFile
from capsule_builder.sources.files import Digested, changed, digested, is_same
from capsule_builder.sources.states import Watch, is_reliable

if TYPE_CHECKING:
    from capsule_builder.building.found import Found
    from capsule_builder.building.make import Made
    from capsule_builder.building.request import PythonOptions, Source
    from capsule_builder.metadata import BuildFacts
    from capsule_builder.sources.tree import Tree


class Recalled(NamedTuple):
    """A capsule that was built before, of the same; see :class:`~capsule_builder.building.build.Built`."""

    id: str
    name: str
    version: str
    files: int
    warnings: tuple[Problem, ...]
    notes: tuple[str, ...]
    sha256: str | None
    head: bytes | memoryview
    fragment: CachedFragment
    tail: bytes | memoryview

    def write(self, out: BinaryIO, _build: BuildFacts, digest: hashlib._Hash | None) -> None:
        """Writes the archive, which is not stamped; ``digest`` is fed with all of it.

        Raises:
            OSError: it cannot be written.
            Lost: a part of it is not in the cache any more.
        """
        for piece in (self.head, None, self.tail):
            if piece is None:
                copy_fragment(self.fragment, out, digest)
                continue
            out.write(piece)
            if digest:
                digest.update(piece)


class Memory:
    """The cache as one build uses it; made before anything of ``source`` is looked at.

    ``watch`` is for the walk. A ``stamped`` capsule is not recalled as a whole. ``fresh`` when nothing is to be relied
    on that an earlier build has found out, but for members of just the same content.

    Raises:
        OSError: there is nothing at ``source``.
        CapsuleError: it is a ZIP that cannot be read.
    """

    def __init__(
        self,
        store: Store,
        source: Source,
        manifest_path: str | None,
        python: PythonOptions,
        level: int,
        *,
        stamped: bool = False,
        fresh: bool = False,
    ) -> None:
        self.store = store
        self.level = level
        self._stamped = stamped
        wish = python.wish
        self._whole = not (wish.wheels or wish.venv or wish.requirements or python.interpreter or python.bytecode)
        self.watch = None if source.is_zip else Watch(source.path)
        status = os.stat(source.path)
        place = (os.path.abspath(source.path), os.path.realpath(source.path), status.st_dev, status.st_ino)
        about = repr((place if self.watch else place[:2], source, manifest_path, python, level)).encode()
        self._name = hashlib.sha256(_installed() + about).hexdigest()
        self._zip = None if self.watch else self._zip_digest(source.path, status)
        self._states = b""
        self._loaded = (lambda: None) if fresh else meanwhile(lambda: store.load(self._name))
        self._saved: Callable[[], None] = lambda: None

    @cached_property
    def _record(self) -> Record | None:
        """What the last build left."""
        data = self._loaded()
        record = Record.read(data) if data else None
        return self._seal_anew(record) if record and record.boot != self.store.boot else record

    def settle(self) -> None:
        """Waits for what is done meanwhile; to be called before the store is closed, however the build ends."""
        self._loaded()
        self._saved()

    @property
    def zip(self) -> str | None:
        """All that decides the layers when everything comes out of a ZIP."""
        if self.watch or not self._whole or not self._states:
            return None
        return f"{self._name} {hashlib.sha256(self._states).hexdigest()}"

    @cached_property
    def maker(self) -> bytes:
        """What stands for the code that makes members, wherever it lies."""
        import deflate

        digest = hashlib.sha256(f"{__version__} {deflate.__version__}".encode())
        for path, _ in _modules():
            with open(path, "rb") as module:
                digest.update(module.read())
        return digest.digest()

    def recall(self, found: Found, jobs: int) -> Recalled | None:
        """The capsule of what was found, if it was built before, or one that differs in the content of some files.

        Raises:
            CapsuleError: a file cannot be read.
        """
        tree = found.tree
        if not tree or found.manifest is None or found.problems:
            return None
        about = [hashlib.sha256(found.manifest).hexdigest(), tree.manifest_there, tree.has_venv]
        if isinstance(tree, DirectoryTree):
            lines = [*tree.states, *(f"{path}\0l {target}" for path, target in tree.links.items())]
            lines += [f"{path}\0d" for path in tree.empty]
            lines.sort()
        else:
            lines = [self._digest_of(tree)]
        first = json.dumps([*about, [str(remark) for remark in found.remarks]])
        self._states = "\n".join([first, *lines]).encode("utf-8", "surrogateescape")
        record = self._record
        if not record or self._stamped or not self._whole or not record.result:
            return None
        if record.states == self._states:
            return _recalled(record, self.store)
        if not record.result["document"] or not isinstance(tree, DirectoryTree):
            return None
        from capsule_builder.cache.patch import patched

        maker = bytes.fromhex(record.result["maker"])
        new = patched(record, self._states, tree, self.store, maker=maker, level=self.level, jobs=jobs)
        if not new:
            return None
        self._saved = meanwhile(lambda: self.store.save(self._name, new.pieces()))
        return _recalled(new, self.store)

    def known(self, tree: DirectoryTree) -> None:
        """Tells the ``tree`` which of its files are known."""
        if not self._record:
            return
        digests = self._record.digests
        at = {line: number for number, line in enumerate(_lines(self._record.states))}
        for line in tree.states:
            number = at.get(line)
            if number is None or not is_reliable(line):
                continue
            *sha256, what = digests[number * DIGEST_SIZE : (number + 1) * DIGEST_SIZE]
            if what & KNOWN:
                path, _, state = line.partition("\0")
                size, *_, mode = state.split(" ")
                flags = (bool(what & PROGRAM), bool(what & ELF), bool(int(mode) & 0o100))
                tree.known[path] = KnownFile(tree, path, int(size), bytes(sha256).hex(), *flags)

    @cached_property
    def groups(self) -> dict[str, Group]:
        """The groups of the last build, by their keys."""
        record = self._record
        return {group.blob.key: group for group in record.groups if group.blob} if record else {}

    def keep(self, made: Made, archive: BinaryIO, sha256: str | None) -> None:
        """Remembers a build whose ``archive`` was written; ``sha256`` is that of the archive, if it is known."""
        tree = made.inputs.tree
        digests = b"".join(_digests(tree, _lines(self._states))) if isinstance(tree, DirectoryTree) else b""
        groups: list[Group] = []
        whole = self._whole and not self._stamped
        for layer in made.layers:
            if isinstance(layer.spread, CachedFragment):
                groups += layer.spread.groups
            else:
                whole = False
        if not all(group.blob for group in groups):
            whole = False
            groups = [group for group in groups if group.blob]
        record = Record({}, self.store.boot, self._states, digests, b"", b"", b"", groups)
        if whole:
            archive.seek(0)
            size = sum(group.size for group in groups)
            head = archive.read(os.fstat(archive.fileno()).st_size - size - TAIL_SIZE)
            archive.seek(size, os.SEEK_CUR)
            made.merged.listing.seek(0)
            record = record._replace(head=head, tail=archive.read(), listing=made.merged.listing.read())
            result = {
                "id": made.id,
                "name": made.name,
                "version": made.version,
                "files": made.files,
                "warnings": [[warning.code, warning.message, warning.remedy] for warning in made.warnings],
                "notes": made.notes,
                "sha256": sha256,
                "document": _plain(made),
                "maker": self.maker.hex(),
                "members": [],
            }
            record = record._replace(result=result)
        self.store.save(self._name, record.pieces())

    def _seal_anew(self, record: Record) -> Record:
        """After a boot, or in another file system: reads all blobs once, and takes those that are sound."""
        groups: list[Group] = []
        for group in record.groups:
            found = self.store.find(group.blob.key) if group.blob else None
            if found:
                groups.append(Group(group.entries, group.lines, group.size, found[0]))
        result = record.result if len(groups) == len(record.groups) else {}
        record = record._replace(result=result, groups=groups, boot=self.store.boot)
        if record.boot:
            self.store.save(self._name, record.pieces())
        return record

    def _zip_digest(self, path: str, status: os.stat_result) -> Digested:
        """The SHA-256 of a ZIP, which is remembered for as long as the file is as it was."""
        watch = Watch(os.path.dirname(os.path.realpath(path)))
        line = watch.line(path, status)
        name = hashlib.sha256(b"zip\0" + os.fsencode(os.path.realpath(path))).hexdigest()
        kept = (self.store.load(name) or b"")[RECORD_BEGIN:].decode("utf-8", "surrogateescape").rpartition("\n")
        if kept[0] == line and is_reliable(line):
            return Digested(kept[2], status)
        found = digested(path, path)
        self.store.save(name, [f"{watch.line(path, found.status)}\n{found.sha256}".encode("utf-8", "surrogateescape")])
        return found

    def _digest_of(self, tree: Tree) -> str:
        """The SHA-256 of the ZIP that is open, if it is the file that was hashed."""
        from capsule_builder.sources.ziptree import ZipTree

        if not self._zip or not isinstance(tree, ZipTree) or not is_same(tree.reader.status, self._zip.status):
            raise changed(tree.root)
        return self._zip.sha256


TAIL_SIZE = 28
"""Bytes that end every archive."""


def _recalled(record: Record, store: Store) -> Recalled:
    result = record.result
    return Recalled(
        id=result["id"],
        name=result["name"],
        version=result["version"],
        files=result["files"],
        warnings=tuple(Problem(*fields) for fields in result["warnings"]),
        notes=tuple(result["notes"]),
        sha256=result["sha256"],
        head=record.head,
        fragment=CachedFragment(store, None, record.groups),
        tail=record.tail,
    )


def _lines(states: bytes) -> list[str]:
    """The lines of states, without the first."""
    return states.decode("utf-8", "surrogateescape").split("\n")[1:]


def _digests(tree: DirectoryTree, lines: list[str]) -> Iterator[bytes]:
    """What is known of each line's file."""
    nothing = bytes(DIGEST_SIZE)
    for line in lines:
        path = line[: line.index("\0")]
        if learned := tree.learned.get(path):
            sha256, program, elf = learned
        elif known := tree.known.get(path):
            sha256, program, elf = known.sha256, known.program, known.elf
        else:
            yield nothing
            continue
        yield bytes.fromhex(sha256) + bytes([KNOWN | PROGRAM * program | ELF * elf])


def _plain(made: Made) -> dict[str, Any] | None:
    """The metadata of a capsule that is plain enough to be patched: no check of it looks at the content of files."""
    document: dict[str, Any] = json.loads(made.document[-1])
    manifest = made.inputs.manifest
    alone = [layer["digest"] for layer in document["layers"]] == [made.id]
    return document if alone and not made.inputs.tree.has_venv and not manifest.pip_requirements else None


def _modules() -> Iterator[tuple[str, os.stat_result]]:
    """The builder's own modules, in order."""
    todo = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
    while todo:
        with os.scandir(todo.pop()) as listing:
            for item in sorted(listing, key=lambda item: item.name):
                if item.name.endswith(".py"):
                    yield item.path, item.stat()
                elif item.name != "__pycache__" and item.is_dir():
                    todo.append(item.path)


def _compressor() -> Iterator[tuple[str, os.stat_result]]:
    """The files of the package that deflates, whose release decides bytes; it is not imported, which takes long."""
    spec = PathFinder.find_spec("deflate")
    for place in (spec and spec.submodule_search_locations) or []:
        with os.scandir(place) as listing:
            yield from sorted((item.path, item.stat()) for item in listing if item.is_file())


def _installed() -> bytes:
    """What tells this builder from any other: its release, and its modules as they lie on the disk."""
    files = [*_modules(), *_compressor()]
    lines = [f"{path}\0{status.st_size} {status.st_mtime_ns}\n" for path, status in files]
    return hashlib.sha256("".join([__version__, "\n", *lines]).encode("utf-8", "surrogateescape")).digest()
