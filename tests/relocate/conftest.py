"""The wheels, and one environment of them that tests copy and change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.relocate.environments import uv_pip, uv_venv
from tests.relocate.wheels import corpus


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return corpus(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory, wheels: list[Path]) -> Path:
    place = uv_venv(tmp_path_factory.mktemp("made") / "venv")
    uv_pip(place, wheels, "--link-mode", "copy")
    return place


@pytest.fixture
def venv(_made: Path, tmp_path: Path) -> Path:
    """An environment by uv that a test may change; it has been moved since it was made."""
    return Path(shutil.copytree(_made, tmp_path / "venv", symlinks=True))
