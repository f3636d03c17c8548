"""The application, and its capsule as it is unpacked; each file of tests makes its own, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environment.corpus import WHEELS, application, capsbuild, open_place, unpack


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with open_place() as found:
        yield found


@pytest.fixture(scope="module")
def app(place: Path) -> Path:
    return application(place / "app")


@pytest.fixture(scope="module")
def capsule(place: Path, app: Path) -> Path:
    """The capsule that is made of the wheels, unpacked."""
    capsbuild("--from-dir", app, "--wheels", WHEELS, "--output", place / "capsule.tar.gz")
    return unpack(place / "capsule.tar.gz", place / "unpacked")
