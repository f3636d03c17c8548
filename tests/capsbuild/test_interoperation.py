"""Programs that know nothing of capsules open them and prove them."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
import subprocess
import tarfile
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.capsbuild.command import MANIFEST, capsbuild, write

MIB = 1 << 20
GENERATED = [".capsule_metadata.json", ".capsule_contents", ".capsule_index"]


def elf(kind: int, *segments: int) -> bytes:
    """The beginning of a 64-bit little-endian ELF file of type ``kind`` with program headers of the types given."""
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", kind, 62, 1, 0, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
    return head + b"".join(struct.pack("<II6Q", segment, 4, 0, 0, 0, 0, 0, 8) for segment in segments)


EXECUTABLE = {"bin/run": b"#!/bin/sh\necho run\n", "bin/static": elf(2, 1), "bin/pie": elf(3, 1, 3)}
SIZES = [0, 1, 511, 512, 513, MIB - 513, MIB - 512, MIB - 511, MIB - 1, MIB, MIB + 1, 3 * MIB, 5 * MIB + 77]


def every_kind(root: Path) -> Path:
    """A tree with everything that is hard for a reader of archives."""
    files: dict[str, bytes] = {"capsule.yml": MANIFEST, "alan_backend/start.py": b"print('hello')\n", **EXECUTABLE}
    files["lib/shared.so"] = elf(3, 1, 2)
    files |= {f"sizes/{size}": os.urandom(size // 2) + bytes(size - size // 2) for size in SIZES}
    for length in (99, 100, 101, 154, 155, 156, 255, 256, 257, 300):
        path = "long/" + "d" * 50 + "/" + "e" * (length - 56 - 20) + "/" + "f" * 19
        files[path] = path.encode()
    for name in (98, 99, 100, 101, 200, 255):
        for above in (153, 154, 155, 156):
            files["n" * (above - 102) + "/" + "o" * 101 + "/" + "x" * name] = b"border"
    files["p/" * 900 + "deep"] = b"deep"
    names = [
        "*star",
        " space",
        "-x",
        "--help",
        "~a",
        "a  b",
        "ends ",
        "é",
        "名前/ファイル",
        "😀",
        "'q\"",
        "%00",
        "$HOME",
    ]
    names += ["a=b", "#hash", "!bang", "[x]", "con:", "ß" * 60, "名" * 80, "x" * 99 + "é"]
    for name in names:
        files[f"names/{name}"] = name.encode()
        files[name] = b"at the top"
    write(root, dict(files))
    for directory in (
        "empty",
        "d" * 255,
        "empty dirs/" + "e" * 87,
        "empty dirs/" + "f" * 88,
        "empty dirs/" + "g" * 89,
        "né/ant",
    ):
        (root / directory).mkdir(parents=True)
    links = {"link": "bin/run", "bin/up": "../alan_backend", "top": ".", "linkß": "names/é", " l": "names/ space"}
    for length in (99, 100, 101, 400):
        links[f"to{length}"] = ("./" * length)[: length - 8 + length % 2] + "/bin/run"[length % 2 :]
    links["names/" + "l" * 200] = "../" + "p/" * 900 + "deep"
    for link, target in links.items():
        (root / link).symlink_to(target)
    return root


class Built(NamedTuple):
    """A capsule of a tree with everything: where the tree is, where the archive, and its ID."""

    tree: Path
    archive: Path
    id: str
    files: int


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("interoperation")
    tree = every_kind(folder / "tree")
    ran = capsbuild("--from-dir", tree, "--output", folder / "capsule.tar.gz", "--json")
    assert ran.status == 0, ran.err
    told = json.loads(ran.out)
    return Built(tree, folder / "capsule.tar.gz", told["id"], told["files"])


def inventory(root: Path) -> dict[str, tuple[str, str, int]]:
    """Path to (kind, digest or target, mode) of all entries below ``root``, less the generated files."""
    found: dict[str, tuple[str, str, int]] = {}
    for here, directories, names in os.walk(root):
        for name in [*directories, *names]:
            path = Path(here, name)
            key = str(path.relative_to(root))
            if path.is_symlink():
                found[key] = ("symlink", os.readlink(path), 0)
            elif path.is_file():
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found[key] = ("file", digest, stat.S_IMODE(path.stat().st_mode))
            elif not os.listdir(path):
                found[key] = ("dir", "", stat.S_IMODE(path.stat().st_mode))
    return {key: value for key, value in found.items() if key not in GENERATED}


def expected(tree: Path) -> dict[str, tuple[str, str, int]]:
    modes = {"symlink": 0, "dir": 0o755, "file": 0o644}
    return {
        path: (kind, detail, 0o755 if path in EXECUTABLE else modes[kind])
        for path, (kind, detail, _) in inventory(tree).items()
    }


EXTRACT = {
    "tar": ["tar", "-x", "-p", "-z", "-f"],
    "bsdtar": ["bsdtar", "-x", "-p", "-f"],
    "busybox": ["busybox", "tar", "-x", "-p", "-z", "-f"],
}


@pytest.mark.parametrize("program", EXTRACT)
def test_tar_programs_extract_what_was_put_in(built: Built, tmp_path: Path, program: str) -> None:
    ran = subprocess.run(
        [*EXTRACT[program], built.archive], cwd=tmp_path, capture_output=True, text=True, check=False, umask=0o022,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert (ran.returncode, ran.stderr, ran.stdout) == (0, "", "")
    assert inventory(tmp_path) == expected(built.tree)


def test_python_extracts_what_was_put_in(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.archive) as tar:
        tar.extractall(tmp_path, filter="tar") if hasattr(tarfile, "tar_filter") else tar.extractall(tmp_path)
    assert inventory(tmp_path) == expected(built.tree)


def test_every_header_says_the_same_of_owner_time_and_mode(built: Built) -> None:
    with tarfile.open(built.archive) as tar:
        members = tar.getmembers()
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", 946684800)}
    assert {(m.isfile(), m.issym(), m.isdir(), oct(m.mode)) for m in members} == {
        (True, False, False, "0o644"),
        (True, False, False, "0o755"),
        (False, True, False, "0o777"),
        (False, False, True, "0o755"),
    }
    names = [member.name for member in members]
    assert names[:3] == GENERATED
    assert names[3:] == sorted(names[3:])


def test_gzip_finds_it_whole(built: Built) -> None:
    ran = subprocess.run(["gzip", "-t", built.archive], capture_output=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")


def test_coreutils_prove_it(built: Built, tmp_path: Path) -> None:
    subprocess.run(["tar", "xzf", built.archive], cwd=tmp_path, check=True)
    ran = subprocess.run(
        ["sha256sum", "--strict", "-c", ".capsule_contents"], cwd=tmp_path, capture_output=True, check=False,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout.count(b": OK\n") == ran.stdout.count(b"\n") == built.files
    proof = subprocess.run(["sha256sum", ".capsule_contents"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert proof.stdout.split()[0] == built.id


@pytest.mark.parametrize("hurt", ["content", "missing"])
def test_coreutils_find_a_change(built: Built, tmp_path: Path, hurt: str) -> None:
    subprocess.run(["tar", "xzf", built.archive], cwd=tmp_path, check=True)
    if hurt == "content":
        (tmp_path / "*star").write_bytes(b"other")
    else:
        (tmp_path / "*star").unlink()
    command = ["sha256sum", "--strict", "--quiet", "-c", ".capsule_contents"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert ran.returncode == 1


def test_an_unpacked_capsule_has_the_same_id(built: Built, tmp_path: Path) -> None:
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "xzf", built.archive, "--exclude=.capsule_*"], cwd=unpacked, check=True, umask=0o077)
    ran = capsbuild("--from-dir", unpacked, "--output", tmp_path / "again", "--json")
    assert json.loads(ran.out)["id"] == built.id
    assert (tmp_path / "again").read_bytes() == built.archive.read_bytes()


def test_an_unpacked_capsule_can_exclude_what_was_generated(built: Built, tmp_path: Path) -> None:
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "xzf", built.archive], cwd=unpacked, check=True)
    assert "reserved" in capsbuild("--from-dir", unpacked, "--output", tmp_path / "again").err
    write(unpacked, {".capsuleignore": "/.capsule_*\n"})
    ran = capsbuild("--from-dir", unpacked, "--output", tmp_path / "again", "--json")
    assert json.loads(ran.out)["id"] == built.id
