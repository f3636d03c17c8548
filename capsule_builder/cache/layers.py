"""A layer written through the cache: members whose entries are the same as ever are not made again.

The bytes are those of :func:`capsule_builder.layer.write_layer`: what is between two borders, a *group*, depends on
little, and is kept (:mod:`~capsule_builder.cache.groups`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from capsule_builder import contents
from capsule_builder.archive import tar
from capsule_builder.archive.gzip_member import gzip_member
from capsule_builder.archive.sizes import BLOCK_SIZE
from capsule_builder.archive.threads import Threads
from capsule_builder.cache.fragment import CachedFragment
from capsule_builder.cache.groups import Item, LayerWriter
from capsule_builder.cache.record import Group
from capsule_builder.cache.store import Store
from capsule_builder.contents import Listed
from capsule_builder.entries import Entry, File, Symlink
from capsule_builder.errors import CapsuleError, refusal
from capsule_builder.layer import LayerFiles, Progress, broken_pledge, check_entry, write_remarks
from capsule_builder.sources.directory import KnownFile
from capsule_builder.sources.files import OpenFile


def write_through(
    entries: Iterable[Entry],
    files: LayerFiles,
    store: Store,
    *,
    maker: bytes,
    level: int,
    jobs: int,
    known: Mapping[str, Group],
    progress: Progress | None = None,
    verified: Iterable[str] = (),
) -> CachedFragment:
    """Does what :func:`capsule_builder.layer.write_layer` does; gives the fragment.

    ``maker`` stands for the code that makes members, ``known`` has groups of an earlier build by their keys. What the
    cache will not take goes into the file of the fragment. No entry may come deflated from where it lies.

    Raises:
        CapsuleError: an entry's path or target is refused, or its content cannot be read or is not what was pledged.
        OSError: the files cannot be written.
    """
    files.contents.write(contents.LISTING_HEADER)
    nesting, last, named, broken = contents.Nesting(), "", list[str](), []
    with Threads(jobs, "deflate") as pool:
        writer = LayerWriter(
            files.fragment,
            files.index,
            store,
            maker=maker,
            level=level,
            known=known,
            deflate=lambda plain: pool.submit(gzip_member, plain, level).result,
            room=2 * jobs + 2,
        )
        for entry in entries:
            check_entry(entry, last)
            last = entry.path
            item = _item(entry)
            if parent := nesting.parent(item.line):
                what = f"{contents.NOUN[parent[0].kind]} and a directory: {parent[0].path} (with {entry.path})"
                raise refusal("path-nesting", f"Path is both {what}", "Leave one of the two out.")
            files.contents.write(item.line.line())
            if isinstance(entry, File):
                if entry.named:
                    named.append(entry.path)
                if entry.pledged and entry.pledged.sha256 != item.line.detail:
                    broken.append(broken_pledge(entry.path, entry.pledged.by))
                if progress:
                    progress(item.size)
            if item.is_large:
                writer.large(item)
            else:
                writer.add(item)
        writer.end_group()
        writer.drain(0)
    if broken:
        raise CapsuleError(broken)
    write_remarks(files, named, verified)
    return writer.fragment


def _item(entry: Entry) -> Item:
    """An entry with its line of the listing; contents that are not known are read, and kept when they are small."""
    if not isinstance(entry, File):
        target = entry.target if isinstance(entry, Symlink) else ""
        line = Listed(entry.path, "symlink" if target else "dir", target)
        return Item(line, tar.header(line.path, line.kind, target=target), 0, data=b"")
    content = entry.content
    kind: contents.Kind = "executable" if entry.executable else "file"
    head = tar.header(entry.path, kind, content.size)
    if isinstance(content, KnownFile):
        return Item(Listed(entry.path, kind, content.sha256), head, content.size, content)
    digest = hashlib.sha256()
    data: bytes | None = None
    if content.size <= BLOCK_SIZE:
        data = b"".join(content.chunks())
        digest.update(data)
    else:
        for chunk in content.chunks():
            digest.update(chunk)
    sha256 = digest.hexdigest()
    if isinstance(content, OpenFile) and content.learned is not None:
        content.learned[content.path] = (sha256, content.program, content.elf)
    return Item(Listed(entry.path, kind, sha256), head, content.size, content, data)
