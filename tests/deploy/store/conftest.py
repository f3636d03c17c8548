from __future__ import annotations

from pathlib import Path

import pytest

from capsule_builder.trust.minisign import SecretKey
from tests.deploy.hosts import Host


@pytest.fixture(scope="session")
def secret() -> SecretKey:
    return SecretKey.generate()


@pytest.fixture
def host(tmp_path: Path, secret: SecretKey) -> Host:
    return Host.make(tmp_path / "host", secret)
