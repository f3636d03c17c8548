from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """uv's cache: what it knows of the interpreter is asked for once."""
    return tmp_path_factory.mktemp("uv")
