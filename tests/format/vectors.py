"""The format's test vectors: what goes in is written here, what comes out lies in ``docs/vectors/``.

``python -m tests.format.vectors`` writes them all anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from capsule_builder import capsule
from capsule_builder.entries import Bytes, Content, Deflated, Directory, Entry, File, Symlink
from capsule_builder.layer import LayerFiles, write_layer
from capsule_builder.manifest import load
from capsule_builder.modes import is_program
from capsule_builder.patterns import Patterns

DIRECTORY = Path(__file__).parents[2] / "docs" / "vectors"

ELF_EXEC = bytes.fromhex("7f454c4602010100") + bytes(8) + bytes.fromhex("02003e0001000000") + bytes(40)
ELF_LIBRARY = bytes.fromhex("7f454c4602010100") + bytes(8) + bytes.fromhex("03003e0001000000") + bytes(40)


def manifest(name: str, *more: str) -> str:
    return "\n".join([f"name: {name}", "version: 1.0.0", "entrypoint: start.sh", *more, ""])


def text(path: str, content: str) -> dict[str, Any]:
    return {"path": path, "kind": "file", "text": content}


def repeated(path: str, unit: str, size: int) -> dict[str, Any]:
    return {"path": path, "kind": "file", "repeat": unit, "size": size}


def deflated(path: str, unit: str, size: int) -> dict[str, Any]:
    return {**repeated(path, unit, size), "deflated": True}


def symlink(path: str, target: str) -> dict[str, Any]:
    return {"path": path, "kind": "symlink", "target": target}


def empty_dir(path: str) -> dict[str, Any]:
    return {"path": path, "kind": "dir"}


START = text("start.sh", "#!/bin/sh\necho started\n")

LONG = "/".join(["directory-with-a-name-of-forty-characters"[:40]] * 3)

VECTORS: dict[str, dict[str, Any]] = {
    "minimal": {"manifest": manifest("minimal"), "layers": {"app": [START]}},
    "kinds": {
        "manifest": manifest("kinds", "executables:", "  - tools/*.bin"),
        "layers": {
            "app": [
                START,
                text("tools/named.bin", "named by the manifest\n"),
                text("tools/plain.txt", "plain\n"),
                text("empty", ""),
                text("almost-a-script", " #!/bin/sh\n"),
                {"path": "elf/program", "kind": "file", "hex": ELF_EXEC.hex()},
                {"path": "elf/library.so", "kind": "file", "hex": ELF_LIBRARY.hex()},
                text("Größe/日本語.txt", "UTF-8\n"),
                text("*star", "a name that begins with a star\n"),
                text(" space", "a name that begins with a space\n"),
                symlink("current", "tools"),
                symlink("through", "current/plain.txt"),
                symlink("python", "/opt/tori/python/3.11/bin/python3.11"),
                empty_dir("var/empty"),
            ]
        },
    },
    "order": {
        "manifest": manifest("order"),
        "layers": {
            "app": [START, *(text(p, p) for p in ("a/b", "a-b", "a.b", "a0", "A", "a/-", "ab", "é", "z", "\U0001f40d"))]
        },
    },
    "long-names": {
        "manifest": manifest("long-names"),
        "layers": {
            "app": [
                START,
                text("n" * 100, "100 bytes: in name\n"),
                text("n" * 101, "101 bytes and nowhere to split: pax\n"),
                text("p" * 155 + "/" + "n" * 100, "155 and 100 bytes: the most that ustar holds\n"),
                text("p" * 156 + "/" + "n" * 100, "156 bytes before the last slash: pax\n"),
                text(f"{LONG}/{'n' * 90}", "split at the last slash that fits\n"),
                text("ä" * 60, "cut in the middle of a character\n"),
                symlink("link-100", "./" * 45 + "./start.sh"),
                symlink("link-101", "./" * 45 + "././start.sh"),
                empty_dir("d" * 99),
                empty_dir("d" * 100),
            ]
        },
    },
    "members": {
        "manifest": manifest("members"),
        "layers": {
            "app": [
                START,
                *(repeated(f"small/{number:02}", f"small file {number:02} ", 40_000) for number in range(40)),
                repeated("large/exact", "0123456789abcdef", (1 << 20) - 512),
                repeated("large/one-more", "0123456789abcdef", (1 << 20) - 511),
                repeated("large/three", "fedcba9876543210", 3_000_000),
            ]
        },
    },
    "copied": {
        "manifest": manifest("copied"),
        "layers": {
            "app": [
                START,
                deflated("a/just-not", "not copied", 2_042),
                deflated("b/just", "copied", 2_043),
                text("c/small.txt", "in a member of its own, between two that are copied\n"),
                deflated("d/no-padding", "0123456789abcdef", 64 * 512),
                deflated("e/large", "fedcba9876543210", 1_100_000),
                deflated("n" * 101, "pax header", 20_000),
                text("z.txt", "the last\n"),
            ]
        },
    },
    "layers": {
        "manifest": manifest("layers"),
        "layers": {
            "app": [START, text("app.py", "print()\n"), empty_dir("plugins")],
            "config": [text("config/settings.ini", "[app]\n"), text("shared.txt", "in both\n")],
            "plugins": [text("plugins/one.py", "ONE = 1\n"), text("shared.txt", "in both\n")],
        },
    },
}


def content(entry: dict[str, Any]) -> bytes:
    """The bytes of a file entry of ``tree.json``."""
    if "hex" in entry:
        return bytes.fromhex(entry["hex"])
    if "repeat" in entry:
        unit, size = entry["repeat"].encode(), entry["size"]
        return (unit * (size // len(unit) + 1))[:size]
    return entry["text"].encode()


class InStoredBlocks(Deflated):
    """Content as a ZIP could hold it: the simplest deflate stream there is."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        blocks = [data[start : start + 65_535] for start in range(0, len(data), 65_535)]
        heads = [struct.pack("<BHH", block is blocks[-1], len(block), len(block) ^ 0xFFFF) for block in blocks]
        self.stream = b"".join(head + block for head, block in zip(heads, blocks, strict=True))

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def deflated_size(self) -> int:
        return len(self.stream)

    @property
    def crc32(self) -> int:
        return zlib.crc32(self.data)

    @property
    def program(self) -> bool:
        return self.data.startswith(b"#!")

    def pieces(self) -> Iterator[tuple[bytes, bytes]]:
        for start in range(0, len(self.stream), 1 << 20):
            yield self.stream[start : start + (1 << 20)], b""
        for start in range(0, len(self.data), 1 << 20):
            yield b"", self.data[start : start + (1 << 20)]


def build(tree: dict[str, Any]) -> dict[str, bytes]:
    """The files of a vector, made by the builder."""
    data = tree["manifest"].encode()
    checked, _ = load(data, "capsule.yml")
    executables = Patterns(checked.executables)
    layers = []
    with contextlib.ExitStack() as stack:
        for name, described in tree["layers"].items():
            entries = [_entry(one, executables) for one in described]
            if name == "app":
                entries.append(File("capsule.yml", False, Bytes(data)))
            files = LayerFiles(*(stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)))
            write_layer(sorted(entries, key=lambda entry: entry.path.encode()), files)
            layers.append(capsule.Layer(name, name, files))
        merged = capsule.merge(layers, checked, stack.enter_context(tempfile.TemporaryFile()))
        # A real file: fragments are copied by the kernel.
        archive = stack.enter_context(tempfile.TemporaryFile())
        index = stack.enter_context(tempfile.TemporaryFile())
        metadata = capsule.write_archive(archive, index, merged, layers, checked)
        archive.seek(0)
        made = archive.read()
        merged.listing.seek(0)
        listing = merged.listing.read()
    expected = {"id": merged.id, "archive_sha256": hashlib.sha256(made).hexdigest()}
    return {
        "capsule.tar.gz": made,
        "contents": listing,
        "index": _extracted(made, ".capsule_index"),
        "metadata.json": metadata,
        "expected.json": (json.dumps(expected, indent=2) + "\n").encode(),
        "tree.json": (json.dumps(tree, indent=1, ensure_ascii=False) + "\n").encode(),
    }


def _entry(described: dict[str, Any], executables: Patterns) -> Entry:
    path = described["path"]
    if described["kind"] == "symlink":
        return Symlink(path, described["target"])
    if described["kind"] == "dir":
        return Directory(path)
    data = content(described)
    executable = is_program(data[:64], lambda size, offset: data[offset : offset + size]) or executables.match(path)
    held: Content = InStoredBlocks(data) if described.get("deflated") else Bytes(data)
    return File(path, executable, held)


def _extracted(archive: bytes, name: str) -> bytes:
    import gzip
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive))) as tar:
        member = tar.extractfile(name)
        assert member
        return member.read()


def main() -> None:
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    for name, tree in VECTORS.items():
        (DIRECTORY / name).mkdir(parents=True)
        for file, data in build(tree).items():
            (DIRECTORY / name / file).write_bytes(data)


if __name__ == "__main__":
    main()
