"""Environments by the tools that people use, of local wheels; and what relocation makes of one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from capsule_builder.archive.zip import ZipReader
from capsule_builder.entries import File
from capsule_builder.patterns import Patterns
from capsule_builder.python.layout import Layout
from capsule_builder.python.package import Package, plan
from capsule_builder.python.relocate import Relocated, relocate
from capsule_builder.python.wheel import read_wheel
from capsule_builder.sources.plain import scan_plain

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = REPOSITORY / ".dev" / "venv" / "bin"
SEEDS = {"pip", "setuptools", "wheel"}

Files = dict[str, tuple[bool, bytes]]


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Runs a command that must succeed, with nothing of this process's environment that would change what it does."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    settings = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}
    done = subprocess.run(
        list(map(str, command)), env={**kept, **settings}, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(python: Path, wheels: Iterable[Path], *options: str) -> None:
    run(python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", *options, *wheels)


def uv_venv(place: Path, *options: str, python: str = sys.executable) -> Path:
    run(TOOLS / "uv", "venv", "-q", "--offline", "-p", python, *options, place)
    return place


def uv_pip(place: Path, wheels: Iterable[Path], *options: str, cache: Path | None = None) -> None:
    store = ["--cache-dir", str(cache)] if cache else []
    command: Sequence[str | Path] = [TOOLS / "uv", "pip", "install", "-q", "--offline", "--no-index", "--no-deps"]
    run(*command, *store, *options, "-p", place / "bin" / "python", *wheels)


def laid_out(packages: Iterable[Package], python: str) -> Files:
    """What becomes of packages: the executable bit and the bytes, by their paths in a capsule; seeds are left out."""
    files: Files = {}
    layout = Layout(python)
    for package in packages:
        if package.name in SEEDS:
            continue
        for entry in plan(package, layout).entries(Patterns([])):
            assert isinstance(entry, File)
            executable = entry.executable
            if executable is None:
                executable = entry.named or entry.content.program
            found = (executable, b"".join(entry.content.chunks()))
            assert files.setdefault(entry.path, found) == found
    return files


def relocated(place: Path, python: str | None = None) -> tuple[Files, Relocated]:
    """The files of a relocated directory, all of them read."""
    environment = relocate(scan_plain(str(place), "environment"), python, [str(place), os.path.realpath(place)])
    return laid_out(environment.packages, environment.python), environment


def from_wheels(wheels: Iterable[Path], python: str) -> Files:
    """The files of the wheels themselves."""
    files: Files = {}
    for path in wheels:
        with ZipReader(str(path)) as reader:
            files |= laid_out([read_wheel(reader, path.name, Layout(python)).package], python)
    return files
