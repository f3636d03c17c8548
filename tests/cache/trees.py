"""A tree that has everything a cache can be wrong about, and a build of it that is compared with one from nothing."""

from __future__ import annotations

import os
from pathlib import Path

from capsule_builder.building.build import Built, PythonOptions, Source, build

MANIFEST = b'name: alan\nversion: 2.1.0\nentrypoint: app/start.py\nexecutables: ["/tools/*.sh"]\n'
PAST = 1_500_000_000


def plant(root: Path, *, age: float | None = 60) -> Path:
    """Writes the tree; gives ``root``. Its files are as old as if they had been there for ``age`` seconds."""
    files: dict[str, bytes] = {"capsule.yml": MANIFEST, ".capsuleignore": b"*.log\n", "debug.log": b"left out"}
    files["app/start.py"] = b"print('hello')\n"
    files["app/empty.py"] = b""
    files["tools/run.sh"] = b"echo\n"
    files["tools/script"] = b"#!/bin/sh\necho\n"
    for number in range(120):
        files[f"data/{number:03}.txt"] = (f"line {number}\n" * 300).encode()
    files["data/large.bin"] = bytes(range(256)) * 9000  # more than a member
    files["data/larger.bin"] = os.urandom(64) * 40_000
    for path, data in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    (root / "link").symlink_to("app/start.py")
    (root / "nothing").mkdir()
    return root


def made(root: Path, out: Path, cache: Path | None, python: PythonOptions | None = None) -> tuple[Built, bytes]:
    """The capsule of ``root``, and the bytes of its archive."""
    built = build(Source(str(root)), output=str(out), cache=str(cache) if cache else None, jobs=2, python=python)
    return built, out.read_bytes()
