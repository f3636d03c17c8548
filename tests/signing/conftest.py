"""An application, its capsule, and keys whose password costs little time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from capsule_builder.trust.minisign import SecretKey, SecretKeyFile
from tests.capsbuild.command import MANIFEST, capsbuild, write

PASSWORD = "hunter2 né'ver\tshown"
QUICK = (1 << 15, 1 << 24)
"""The least work that libsodium does, for tests where the strength is not the point."""


@dataclass(frozen=True)
class Keys:
    """The files of one pair: the secret key in the clear and sealed with PASSWORD, the public one, the password."""

    clear: Path
    sealed: Path
    public: Path
    password: Path
    secret: SecretKey

    @property
    def env(self) -> dict[str, str]:
        return {"CAPSULE_SIGN_PASSWORD_FILE": str(self.password)}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    folder, secret = tmp_path / "keys", SecretKey.generate()
    write(
        folder,
        {
            "clear.key": SecretKeyFile.seal(secret, None).format(),
            "sealed.key": SecretKeyFile.seal(secret, PASSWORD.encode(), QUICK).format(),
            "release.pub": secret.public_key.format(),
            "password": f"{PASSWORD}\na second line is no part of it\n",
        },
    )
    for path in folder.iterdir():
        path.chmod(0o600)
    return Keys(
        *(folder / name for name in ("clear.key", "sealed.key", "release.pub", "password")),  # type: ignore[arg-type]
        secret=secret,
    )


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return write(tmp_path / "app", {"capsule.yml": MANIFEST, "alan_backend/start.py": "print('hello')\n"})


@pytest.fixture
def capsule(app: Path, tmp_path: Path) -> Path:
    path = tmp_path / "built" / "app.tar.gz"
    path.parent.mkdir()
    assert capsbuild("--from-dir", app, "--output", path, "--quiet").status == 0
    return path
