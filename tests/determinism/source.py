"""The application of the matrix: small, but with one of everything that a machine might disagree about."""

from __future__ import annotations

import random
from pathlib import Path

MANIFEST = """\
name: matrix
version: 1.0.0
entrypoint: app/start.py
executables:
  - tools/*.run
"""

BUILD = """\
load("@rules_capsule//rules:defs.bzl", "capsule", "capsule_layer")

EMPTY = ["var/empty"]

LINKS = {
    "current": "app",
    "lib/deep/up": "../../many/000.txt",
}

# Not files of their own to Bazel, or not part of the application.
LEFT_OUT = [".capsuleignore", "BUILD", "current", "current/**", "lib/deep/up"]

capsule(
    name = "whole",
    srcs = glob(["**"], exclude = LEFT_OUT),
    empty_dirs = EMPTY,
    manifest = "capsule.yml",
    symlinks = LINKS,
)

capsule_layer(
    name = "many",
    srcs = glob(["many/**"]),
)

capsule_layer(
    name = "tools",
    srcs = glob(["tools/**"]),
    executables = ["*.run"],
)

capsule(
    name = "layered",
    srcs = glob(["**"], exclude = LEFT_OUT + ["many/**", "tools/**"]),
    empty_dirs = EMPTY,
    layers = [":many", ":tools"],
    manifest = "capsule.yml",
    symlinks = LINKS,
)
"""


def files() -> dict[str, bytes]:
    """The application's files."""
    noise = random.Random(2000)
    made = {
        "capsule.yml": MANIFEST.encode(),
        "app/start.py": b"print('started')\n",
        "app/script.py": b"#!/usr/bin/env python3\nprint('run')\n",
        "app/empty": b"",
        "tools/named.run": b"made executable by the manifest\n",
        "tools/program": bytes.fromhex("7f454c4602010100") + bytes(8) + bytes.fromhex("02003e0001000000") + bytes(40),
        "Gr\u00f6\u00dfe/\u65e5\u672c\u8a9e.txt": b"names in UTF-8\n",
        "large/random": noise.randbytes(1_500_000),
        "large/text": b"".join(b"line %d of many\n" % number for number in range(200_000)),
        "n/" + "long-directory-name/" * 10 + "m" * 120: b"a pax header\n",
    }
    for number in range(300):
        made[f"many/{number:03}.txt"] = (f"file {number} " * noise.randrange(1, 900)).encode()
    return made


LINKS = {"current": "app", "lib/deep/up": "../../many/000.txt"}
EMPTY = "var/empty"


def write(place: Path, *, backwards: bool = False) -> Path:
    """Writes the application, with its BUILD file, and gives its directory."""
    for path, data in sorted(files().items(), reverse=backwards):
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    for path, target in LINKS.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).symlink_to(target)
    (place / EMPTY).mkdir(parents=True)
    (place / "BUILD").write_text(BUILD)
    (place / ".capsuleignore").write_text("/BUILD\n")
    return place
