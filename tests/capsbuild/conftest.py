"""An application to build, and a folder for the output in which something lies already."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.capsbuild.command import MANIFEST, OLDER, capsbuild, snapshot, write


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The smallest application there is: a manifest and its entry point."""
    return write(tmp_path / "app", {"capsule.yml": MANIFEST, "alan_backend/start.py": "print('hello')\n"})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with an older file of the output's name, and another file."""
    return write(tmp_path / "out", {"app.tar.gz": OLDER, "other": b"of somebody else"})


class Refused(Protocol):
    """Builds, and expects to be refused with exactly ``errors`` on standard error."""

    def __call__(self, *errors: str, arguments: tuple[str | bytes | Path, ...] = (), **options: Any) -> None: ...


@pytest.fixture
def refused(app: Path, out: Path) -> Refused:
    """A build of ``app`` into ``out`` that must be refused, and must leave ``out`` as it was."""

    def run(*errors: str, arguments: tuple[str | bytes | Path, ...] = (), **options: Any) -> None:
        before = snapshot(out)
        ran = capsbuild("--from-dir", app, "--output", out / "app.tar.gz", *arguments, **options)
        assert (ran.err, ran.status, ran.out) == ("".join(f"ERROR: {error}\n" for error in errors), 1, "")
        assert snapshot(out) == before

    return run


@pytest.fixture
def held_back(tmp_path: Path) -> Iterator[list[str]]:
    """What goes before a command so that permissions hold for root as well."""
    drop = "-dac_override,-dac_read_search"
    yield ["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}"] if os.geteuid() == 0 else []
    for path in tmp_path.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o700)
