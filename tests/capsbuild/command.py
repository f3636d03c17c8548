"""The command as users run it: another process, judged by its exit status, its words and what it leaves on the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "capsule_builder.cli.capsbuild"]
ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}

MANIFEST = b"name: alan\nversion: 2.1.0\nentrypoint: alan_backend/start.py\n"
NO_VENV = "WARNING: Python entrypoint found but no venv included\n"
OLDER = b"an older capsule"

Snapshot = dict[str, tuple[int, int, int, bytes]]


@dataclass(frozen=True)
class Ran:
    """How a run ended: exit status, standard output, standard error."""

    status: int
    out: str
    err: str


def capsbuild(
    *arguments: str | bytes | Path, env: dict[str, str] | None = None, wrapper: Sequence[str] = (), **options: Any
) -> Ran:
    """Runs ``capsbuild`` with ``arguments``; ``env`` comes on top of a plain environment, ``wrapper`` before all."""
    command = [*wrapper, *COMMAND, *arguments]
    ran = subprocess.run(
        command, env=ENVIRONMENT | (env or {}), capture_output=True, check=False, timeout=300, **options
    )
    return Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode())


def write(root: Path, files: dict[str, bytes | str]) -> Path:
    """Writes ``files`` (path to content) below ``root``; gives ``root``."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def snapshot(folder: Path) -> Snapshot:
    """Every file below ``folder``, with inode, mode, time of change and content."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_ino,
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }
