from __future__ import annotations

from pathlib import Path

import pytest

from tests.inspection.capsules import build


@pytest.fixture(scope="session")
def capsule(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("inspection") / "first")
