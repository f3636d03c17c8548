"""``caps_migrate`` as users run it, and what there is to say of the original before and after."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.capsbuild.command import ENVIRONMENT

COMMAND = [sys.executable, "-m", "capsule_deploy.cli.caps_migrate"]


@dataclass(frozen=True)
class Migrated:
    """How a run ended, and what it wrote into ``output``."""

    status: int
    out: str
    err: str
    output: Path

    @property
    def document(self) -> dict[str, Any]:
        return json.loads((self.output / "migration.json").read_text())  # type: ignore[no-any-return]

    @property
    def manifest(self) -> str:
        return (self.output / "capsule.yml").read_text()

    @property
    def ignore(self) -> list[str]:
        lines = (self.output / ".capsuleignore").read_text().splitlines()
        return [line for line in lines if line and not line.startswith("#")]

    def findings(self, code: str) -> list[dict[str, Any]]:
        return [finding for finding in self.document["findings"] if finding["code"] == code]

    def told(self) -> set[tuple[str, str, str]]:
        """State, code and subject of everything."""
        return {(one["state"], one["code"], one["subject"]) for one in self.document["findings"]}


def caps_migrate(directory: str | Path, *options: str | Path, output: Path) -> Migrated:
    command = [*COMMAND, directory, "--output", output, *options]
    ran = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False, timeout=120, cwd="/")
    return Migrated(ran.returncode, ran.stdout.decode(), ran.stderr.decode(), output)


def whole(tree: Path) -> dict[str, tuple[object, ...]]:
    """Everything of a tree, its times too, to the nanosecond; but for the access of links, which every look moves."""
    found: dict[str, tuple[object, ...]] = {}
    paths = [tree, *sorted(tree.rglob("*"))]
    for path in paths:
        status = path.lstat()
        found[str(path)] = (
            status.st_mode, status.st_uid, status.st_gid, status.st_ino, status.st_nlink, status.st_size,
            0 if path.is_symlink() else status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns,
        )  # fmt: skip
    # By descriptors that leave the time of access alone, or the next look would see this one.
    for path in paths:
        key = str(path)
        if path.is_symlink():
            found[key] += (os.readlink(path),)
        elif path.is_file():
            fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
            with open(fd, "rb") as file:
                found[key] += (hashlib.sha256(file.read()).hexdigest(),)
    return found


def age(tree: Path) -> None:
    """Makes the times of access older than those of change, so that the next one to read would move them."""
    for path in [tree, *tree.rglob("*")]:
        status = path.lstat()
        os.utime(path, ns=(status.st_mtime_ns - 10**15, status.st_mtime_ns), follow_symlinks=False)
