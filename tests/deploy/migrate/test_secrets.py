"""Whatever a secret is, and however it is written, no output has it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from capsule_builder.errors import CapsuleError
from capsule_deploy.migrate.confidential import is_secret, is_secret_name
from capsule_deploy.migrate.migration import Migration, migrate
from tests.capsbuild.command import write

SECRET = st.text(
    alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]),
    min_size=10, max_size=40,
).map(str.strip).filter(lambda text: len(text) >= 10 and len(set(text)) > 3)  # fmt: skip


def systemd(text: str) -> str:
    """The text as a quoted word of a unit."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def spelled(secret: str) -> dict[str, str]:
    """Files in which a secret stands beside what is none."""
    unit, shell = systemd(secret), shlex.quote(secret)
    twice = f'ExecStart=/srv/app/server --password "{unit}" "--api-token={unit}" x ${{COPY}}\n'
    return {
        "app.service": (
            f'[Service]\n{twice}Environment=A=1 "DB_PASSWORD={unit}" B=2\nEnvironment="COPY=say {unit}"\n'
            f'Environment="URL=redis://user:{unit}@host/"\nEnvironmentFile=/etc/app\n'
        ),
        "app.conf": f"[program:a]\ncommand=/srv/app/server\n[inet_http_server]\npassword={secret.replace('%', '%%')}\n",
        "start.sh": (
            f"#!/bin/sh\nexport A=1 TOKEN={shell}\nCOPY={shell}\nexec /srv/app/server --secret-key {shell} $COPY\n"
        ),
        "crontab": f"API_KEY={secret}\n@reboot /srv/app/server\n",
    }


def bare(text: str) -> str:
    """The text without what Markdown needs to take it as it is."""
    return text.replace("\\", "")


def strings(value: object) -> Iterator[str]:
    """All texts in a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def planted(root: Path, secret: str) -> Iterator[tuple[str, Migration]]:
    """What comes of an application that has the secret everywhere, by what starts it."""
    value = secret.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
    write(root, {"srv/app/server": "#!/bin/awk\n", "etc/app": f'SESSION_SECRET="{value}"\nFINE=1\n'})
    write(root, {"srv/app/config.ini": f"[a]\npassword = {secret}\n", "srv/app/conf.py": f"API_KEY = {secret!r}\n"})
    for name, text in spelled(secret).items():
        write(root, {f"etc/{name}": text})
        try:
            yield name, migrate(str(root / "srv/app"), [str(root / "etc" / name)], str(root))
        except CapsuleError as refused:
            assert secret not in str(refused)


@pytest.fixture(scope="module")
def our_words(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is written whatever the secret is: a secret that is a word of ours cannot be told from it."""
    migrations = planted(tmp_path_factory.mktemp("words"), "Zq3-nobody-says-this")
    return "\n".join(data.decode() for _, migration in migrations for data in migration.files.values())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SECRET)
def test_no_output_has_a_secret(tmp_path_factory: pytest.TempPathFactory, our_words: str, secret: str) -> None:
    assume(secret not in our_words)
    for name, migration in planted(tmp_path_factory.mktemp("secret"), secret):
        for file, data in migration.files.items():
            assert secret not in data.decode(), (name, file)
        # Where a page or JSON has escapes, too.
        assert bare(secret) not in bare(migration.files["migration.md"].decode()), name
        assert not [text for text in strings(migration.document) if secret in text], name


def test_a_secret_that_looks_like_a_path_is_not_shown(tmp_path: Path) -> None:
    write(tmp_path, {"srv/app/server": "#!/bin/awk\n", "app.service": "[Service]\nExecStart=/srv/app/server\n"})
    write(tmp_path, {"srv/app/conf.py": "API_KEY = '/var/9j4AAQ'\nSSL_KEY = '/etc/x.key'\nLOG = '/var/log/x'\n"})
    migration = migrate(str(tmp_path / "srv/app"), ["/app.service"], str(tmp_path))
    assert "9j4AAQ" not in b"".join(migration.files.values()).decode()
    found = [one["line"] for one in migration.document["findings"] if one["code"] == "absolute-path"]  # type: ignore[attr-defined]
    assert found == [1, 3]


def test_lines_that_are_no_variables_and_hashes_are_not_shown(tmp_path: Path) -> None:
    body = "MIIEvgIBADANBgkqhkiG9w0BAQEF"
    shadow = "root:$y$j9T$abcdefgh$ijklmnopqrst:19000:0:99999:7:::\n"
    unit = "[Service]\nExecStart=/srv/app/server\nEnvironmentFile=/etc/app\nEnvironmentFile=/etc/shadow\n"
    write(tmp_path, {"srv/app/server": "#!/bin/awk\n", "etc/app": f"KEY=-----BEGIN\n{body}\n", "etc/shadow": shadow})
    write(tmp_path, {"app.service": unit, "app.service.d/a.conf": shadow})
    migration = migrate(str(tmp_path / "srv/app"), ["/app.service"], str(tmp_path))
    written = b"".join(migration.files.values()).decode()
    assert body not in written and "ijklmnopqrst" not in written
    assert sum(one["code"] == "line-invalid" for one in migration.document["findings"]) == 3  # type: ignore[attr-defined]


def test_names_of_secrets() -> None:
    for name in (
        "PASSWORD", "DB_PASSWORD", "dbPassword", "SECRET_KEY", "API_KEY", "APIKEY", "AWS_SECRET_ACCESS_KEY",
        "AUTH_TOKEN", "GITHUB_TOKEN", "SENTRY_DSN", "PRIVATE_KEY", "client-secret", "JWT", "DATABASE_PASS",
        "STRIPE_KEY",
    ):  # fmt: skip
        assert is_secret_name(name), name
    for name in (
        "MAX_TOKENS_PER_MIN", "PASSWORD_FILE", "PRIMARY_KEY", "KEY", "KEYBOARD", "PWD", "TOKEN_TTL", "PATH", "AUTHOR",
        "CACHE_KEY_PREFIX", "PASSENGERS", "COMPASS", "SECRET_DIR",
    ):  # fmt: skip
        assert not is_secret_name(name), name
    assert is_secret("X", "postgres://me:pass@host/db") and is_secret("X", "AKIA" + "A1" * 8)
    assert not is_secret("X", "https://host:8080/path") and not is_secret("USE_TOKEN", "true")
