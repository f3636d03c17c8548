"""The application, and its capsule as it is unpacked; each file of tests makes its own, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.environment.corpus import PLAIN, WHEELS, Situation, application, capsbuild, open_place, unpack

Identified = Callable[..., str]


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


@pytest.fixture(scope="module")
def expected(app: Path, place: Path) -> str:
    """The ID of the capsule that is made of the wheels."""
    return str(capsbuild("--from-dir", app, "--wheels", WHEELS, "--output", place / "wheels.tar.gz")["id"])


@pytest.fixture
def identified(tmp_path: Path) -> Identified:
    """Builds, and gives the ID."""

    def build(*arguments: str | Path, situation: Situation = PLAIN) -> str:
        return str(capsbuild(*arguments, "--output", tmp_path / "a.tar.gz", situation=situation)["id"])

    return build
