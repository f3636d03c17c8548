"""Members and layers: borders that depend on the content alone, an index that is true, layers that add up."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsule_builder import capsule
from capsule_builder.archive.members import BLOCK_SIZE, PACK_SIZE, TAIL
from capsule_builder.entries import Bytes, Directory, Entry, File, Symlink
from capsule_builder.errors import CapsuleError
from capsule_builder.layer import LayerFiles, write_layer
from capsule_builder.manifest import Manifest
from capsule_builder.sources.files import open_regular

MANIFEST = Manifest("alan", "1.0.0", "start")
START = File("start", True, Bytes(b"#!/bin/sh\n"))
HEADER = 512


def layer(entries: list[Entry], **options: int) -> LayerFiles:
    files = LayerFiles(io.BytesIO(), io.BytesIO(), io.BytesIO())
    write_layer(sorted(entries, key=lambda entry: entry.path), files, **options)
    for file in (files.fragment, files.contents, files.index):
        file.seek(0)
    return files


def parts(files: LayerFiles) -> tuple[bytes, bytes, bytes]:
    return tuple(file.getvalue() for file in (files.fragment, files.contents, files.index))  # type: ignore[attr-defined, return-value]


def assembled(*layers: list[Entry]) -> tuple[bytes, str]:
    made = [capsule.Layer(f"l{number}", f"//:l{number}", layer(entries)) for number, entries in enumerate(layers)]
    merged = capsule.merge(made, MANIFEST, io.BytesIO())
    out = io.BytesIO()
    capsule.write_archive(out, io.BytesIO(), merged, made, MANIFEST, digest=hashlib.sha256())
    return out.getvalue(), merged.id


Member = tuple[int, int, list[tuple[int, int, str]]]


def members(index: bytes) -> list[Member]:
    """The members of a layer's index: compressed size, plain size, entries as (offset, size, path)."""
    found: list[Member] = []
    for line in index.decode().splitlines():
        fields = line.split("\t")
        if fields[0] == "# member":
            found.append((int(fields[1]), int(fields[2]), []))
        else:
            found[-1][2].append((int(fields[0]), int(fields[1]), fields[2]))
    return found


def sizes_of_members(*sizes: int) -> list[int]:
    """The plain sizes of the members that files of ``sizes`` fall into; their names never end a member."""
    names = (name for number in range(10**6) if zlib.crc32((name := f"f{number:06}").encode()) % 16)
    entries: list[Entry] = [File(name, False, Bytes(bytes(size))) for name, size in zip(names, sizes, strict=False)]
    return [plain for _, plain, _ in members(parts(layer(entries))[2])]


# Borders


def test_a_file_that_fills_a_block_exactly_is_one_member() -> None:
    assert sizes_of_members(BLOCK_SIZE - HEADER) == [BLOCK_SIZE]
    assert sizes_of_members(BLOCK_SIZE - HEADER, 0) == [BLOCK_SIZE, HEADER]
    assert sizes_of_members(0, BLOCK_SIZE - HEADER) == [HEADER, BLOCK_SIZE]
    assert sizes_of_members(0, BLOCK_SIZE - 2 * HEADER) == [BLOCK_SIZE]


def test_a_file_of_a_block_runs_over_two_members_alone() -> None:
    assert sizes_of_members(BLOCK_SIZE) == [BLOCK_SIZE, HEADER]
    assert sizes_of_members(7, BLOCK_SIZE - HEADER + 1, 7) == [2 * HEADER, BLOCK_SIZE, HEADER, 2 * HEADER]
    assert sizes_of_members(2 * BLOCK_SIZE - HEADER, 7) == [BLOCK_SIZE, BLOCK_SIZE, 2 * HEADER]


def test_about_one_name_in_sixteen_ends_a_member_that_has_enough() -> None:
    files: list[Entry] = [File(f"{number:05}", False, Bytes(bytes(number % 5000))) for number in range(3000)]
    found = members(parts(layer(files))[2])
    for _, plain, entries in found[:-1]:
        last = entries[-1][2]
        assert plain >= PACK_SIZE
        assert not zlib.crc32(last.encode()) % 16 or plain > BLOCK_SIZE - 6000
    inner = [entry for _, _, entries in found for entry in entries[:-1] if entry[0] + entry[1] >= PACK_SIZE]
    assert inner and all(zlib.crc32(path.encode()) % 16 for _, _, path in inner)


def test_a_change_moves_the_borders_near_it_alone() -> None:
    rng = random.Random(1)
    files: list[Entry] = [File(f"{n:05}", False, Bytes(rng.randbytes(rng.randrange(9000)))) for n in range(2000)]
    before = layer(files)
    after = layer([*files, File("01000-new", False, Bytes(rng.randbytes(5000)))])

    def pieces(files: LayerFiles) -> list[bytes]:
        data, at, found = parts(files)[0], 0, []
        for size, _, _ in members(parts(files)[2]):
            found.append(data[at : at + size])
            at += size
        return found

    assert len(set(pieces(after)) - set(pieces(before))) <= 3
    assert len(pieces(before)) > 20


SIZES = st.one_of(st.integers(0, 3000), st.sampled_from([511, 512, 513, BLOCK_SIZE - 512, BLOCK_SIZE, 3 * BLOCK_SIZE]))


@given(st.dictionaries(st.text("abc漢", min_size=1, max_size=120), SIZES, max_size=12), st.integers(2, 5))
@settings(deadline=None, max_examples=40)
def test_threads_and_level_move_no_border(described: dict[str, int], jobs: int) -> None:
    entries: list[Entry] = [File(path, False, Bytes(os.urandom(1) * size)) for path, size in described.items()]
    plain = layer(entries)
    assert parts(layer(entries, jobs=jobs)) == parts(plain)
    other = layer(entries, level=1)
    assert parts(other)[1] == parts(plain)[1]
    assert [m[1:] for m in members(parts(other)[2])] == [m[1:] for m in members(parts(plain)[2])]


# The index


def test_each_entry_is_found_by_inflating_its_members_alone() -> None:
    rng = random.Random(2)
    contents = {f"d/{n:04}": rng.randbytes(rng.choice([0, 1, 511, 512, 513, 9000, 200_000])) for n in range(200)}
    contents |= {"big": rng.randbytes(3 * BLOCK_SIZE + 5), "block": bytes(BLOCK_SIZE - HEADER), "x" * 200: b"pax"}
    entries: list[Entry] = [File(path, False, Bytes(data)) for path, data in contents.items()]
    entries += [Symlink("link", "big"), Directory("empty")]
    fragment, _, index = parts(layer(entries))
    seen: dict[str, bytes] = {}
    at = 0
    found = members(index)
    for number, (size, plain_size, begun) in enumerate(found):
        plain = gzip.decompress(fragment[at : at + size])
        assert len(plain) == plain_size
        for offset, length, path in begun:
            run, after, rest = plain[offset:], at + size, number + 1
            while rest < len(found) and not found[rest][2]:  # members in which nothing begins carry a large file on
                run += gzip.decompress(fragment[after : after + found[rest][0]])
                after, rest = after + found[rest][0], rest + 1
            with tarfile.open(fileobj=io.BytesIO(run + bytes(1024))) as tar:
                member = tar.next()
                assert member and (member.name, member.size) == (path, length)
                file = tar.extractfile(member) if member.isfile() else None
                seen[path] = file.read() if file else b""
        at += size
    assert at == len(fragment)
    assert seen == contents | {"link": b"", "empty": b""}


def test_the_tail_is_the_end_of_a_tar() -> None:
    assert gzip.decompress(TAIL) == bytes(1024)


# Assembly


def random_tree(rng: random.Random) -> list[Entry]:
    tree: list[Entry] = [START, Directory("empty"), Symlink("link", "d/000"), Symlink("up", "d/..")]
    tree += [File(f"d/{n:03}", n % 7 == 0, Bytes(rng.randbytes(n * 37))) for n in range(60)]
    return [*tree, File("big", False, Bytes(bytes(2 * BLOCK_SIZE)))]


@given(st.integers(0, 10**6), st.integers(1, 6))
@settings(deadline=None, max_examples=25)
def test_the_id_is_the_same_however_entries_are_spread_over_layers(seed: int, count: int) -> None:
    rng = random.Random(seed)
    tree = random_tree(random.Random(3))
    spread: list[list[Entry]] = [[] for _ in range(count)]
    for entry in tree:
        for chosen in rng.sample(spread, rng.choice([1, 1, min(2, count)])):  # some in two layers: the same bytes
            chosen.append(entry)
    spread[0] += [Directory("d")] if all(not e.path.startswith("d") for e in spread[0]) else []
    archive, capsule_id = assembled(*spread)
    assert capsule_id == assembled(tree)[1]
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert {member.name for member in tar} >= {entry.path for entry in tree}


def test_a_link_may_lead_into_another_layer() -> None:
    other: list[Entry] = [File("lib/a", False, Bytes(b""))]
    assembled([START, Symlink("l", "lib/a"), Symlink("m", "lib")], other)
    with pytest.raises(CapsuleError, match="Link points to nothing in the capsule: l -> lib/a"):
        assembled([START, Symlink("l", "lib/a")])


def test_an_empty_directory_can_be_the_end_of_a_link() -> None:
    assembled([START, Directory("empty"), Symlink("l", "empty/")])


def test_the_copy_is_the_same_with_and_without_the_kernel(tmp_path: Path) -> None:
    entries = random_tree(random.Random(4))
    archives = []
    for digest in (hashlib.sha256(), None):
        with (
            open(tmp_path / "f", "w+b") as fragment, open(tmp_path / "c", "w+b") as listing,
            open(tmp_path / "i", "w+b") as index, open(tmp_path / "out", "w+b") as out,
        ):  # fmt: skip
            files = LayerFiles(fragment, listing, index)
            write_layer(sorted(entries, key=lambda entry: entry.path), files)
            layers = [capsule.Layer("app", "app", files)]
            capsule.write_archive(
                out, io.BytesIO(), capsule.merge(layers, MANIFEST, io.BytesIO()), layers, MANIFEST, digest=digest
            )
            out.seek(0)
            archives.append(out.read())
        if digest:
            assert digest.hexdigest() == hashlib.sha256(archives[0]).hexdigest()
    assert archives[0] == archives[1]


# What a layer refuses


@pytest.mark.parametrize("entries", [
    [File("a", False, Bytes(b"")), File("a/b", False, Bytes(b""))],
    [Symlink("a", "b"), File("a-", False, Bytes(b"")), File("a/b", False, Bytes(b""))],
    [Directory("a"), File("a/b", False, Bytes(b""))],
])  # fmt: skip
def test_a_path_that_is_both_file_and_directory_is_refused(entries: list[Entry]) -> None:
    with pytest.raises(CapsuleError, match=r"Path is both .* and a directory: a"):
        layer(entries)


@pytest.mark.parametrize("path", ["../a", "/a", "a\nb", "a\udce9", ".capsule_x", ""])
def test_a_path_against_the_rules_is_refused_by_the_layer_too(path: str) -> None:
    with pytest.raises(CapsuleError):
        layer([File(path, False, Bytes(b""))])


def test_entries_out_of_order_are_a_defect_of_the_caller() -> None:
    with pytest.raises(ValueError, match="out of order"):
        write_layer([START, START], LayerFiles(io.BytesIO(), io.BytesIO(), io.BytesIO()))


# A file that changes while it is read


@pytest.mark.parametrize("change", ["append", "truncate", "overwrite", "touch"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(3 << 20))
    os.utime(path, (0, 0))
    file = open_regular(str(path), "f", follow=False)
    try:
        chunks = file.chunks()
        next(chunks)
        if change == "append":
            with open(path, "ab") as out:
                out.write(b"x")
        elif change == "truncate":
            os.truncate(path, 1 << 20)
        elif change == "overwrite":
            with open(path, "r+b") as out:
                out.write(b"x")
        else:
            os.utime(path, (1, 1))
        with pytest.raises(CapsuleError, match="File changed while it was read: f"):
            list(chunks)
    finally:
        os.close(file.fd)


def test_an_empty_file_that_grows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    file = open_regular(str(path), "f", follow=False)
    try:
        path.write_bytes(b"x")
        with pytest.raises(CapsuleError, match="File changed while it was read: f"):
            list(file.chunks())
    finally:
        os.close(file.fd)


def test_a_file_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "f").symlink_to("secret")
    with pytest.raises(CapsuleError, match="Cannot read f"):
        open_regular(str(tmp_path / "f"), "f", follow=False)


STRUCK = """
import os
from capsule_builder.archive.members import MemberWriter
try:
    with MemberWriter(lambda *_: None, jobs=1, level=12) as writer:
        for number in range(2):
            writer.begin(str(number), 1 << 20, 1 << 20)
            writer.write(os.urandom(1 << 20))
            writer.end()
            writer.flush()
        writer._waiting[0][0]._condition.acquire()  # as a signal leaves it that strikes within Condition.__enter__
        raise KeyboardInterrupt
except KeyboardInterrupt:
    os._exit(3)
"""


def test_a_signal_that_leaves_a_lock_behind_does_not_stop_the_way_out() -> None:
    assert subprocess.run([sys.executable, "-c", STRUCK], check=False, timeout=60).returncode == 3
