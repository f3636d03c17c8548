"""The walk of the specification with the example: built by Bazel, signed, installed, activated; and back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.host import CHECKOUT, Host
from tests.examples.metacog_venv import metacog_venv

pytestmark = pytest.mark.timeout(900)

CORE, BRIDGE = "http://127.0.0.1:8077", "http://127.0.0.1:8078"
GIB = 1 << 30


@dataclass(frozen=True)
class Archives:
    """Three versions, each signed: Bazel's, one with another number, and one that refuses its own settings."""

    first: Path
    second: Path
    broken: Path
    public_key: Path


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archives]:
    place = tmp_path_factory.mktemp("archives")
    said = subprocess.run([CHECKOUT / "dev", "example"], check=True, stdout=subprocess.PIPE, text=True).stdout
    first = place / "first.tar.gz"
    shutil.copy(said.splitlines()[-2].split()[-1], first)
    subprocess.run(["bazel", "shutdown"], cwd=CHECKOUT, check=True, capture_output=True)
    yield signed(
        place,
        first,
        built(place / "second", lambda text: text.replace("2.1.0", "2.2.0")),
        built(place / "broken", lambda text: text.replace("2.1.0", "2.3.0").replace('MIN: "200"', 'MIN: "0"')),
    )


def built(place: Path, change: Callable[[str], str]) -> Path:
    """The example by the other door, with its manifest and its number changed."""
    shutil.copytree(CHECKOUT / "examples/metacog", place)
    for name in ("capsule.yml", "alan_backend/__init__.py"):
        (place / name).write_text(change((place / name).read_text()))
    archive = place.with_suffix(".tar.gz")
    capsbuild("--from-dir", place, "--manifest", place / "capsule.yml", "--venv", metacog_venv(), "--output", archive)
    return archive


def signed(place: Path, *archives: Path) -> Archives:
    capsbuild("keygen", "--output", place / "release", "--no-password")
    for archive in archives:
        capsbuild("sign", archive, "--key", place / "release.key")
    return Archives(*archives, place / "release.pub")


def capsbuild(*words: str | Path) -> None:
    command = [sys.executable, "-m", "capsule_builder.cli.capsbuild", *words]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_deployment_walk(host: Host, archives: Archives) -> None:
    # 1. An empty host becomes one for capsules, and trusts whoever signs ours.
    host.run("capsdeploy", "host", "init")
    shutil.copy(archives.public_key, host.root / "etc/tori/trust/release.pub")
    assert host.run("capsdeploy", "doctor").stdout == "✅ Nothing is wrong\n"

    # 2. Install and activate.
    first = installed(host, archives.first)
    host.run("capsdeploy", "activate", first[:12], "--watch", "2")
    shown = host.run("systemctl", "status", f"tori@{first[:12]}.service").stdout
    assert "Active: active (running)" in shown
    assert "tori-metacognitive 2.1.0 metacognitive-core" in shown
    assert health(host, CORE) == ("ok", "2.1.0", first)
    assert health(host, BRIDGE) == ("ok", "2.1.0", first)
    main = host.show(f"tori@{first[:12]}.service", "MainPID")["MainPID"]
    words = host.run("cat", f"/proc/{main}/cmdline").stdout.split("\0")
    release = f"/opt/tori/releases/{first}"  # and nothing of ours in between
    assert words[:2] == [f"{release}/venv/bin/python", f"{release}/alan_backend/start_true_metacognition.py"]

    # 3. The limits are the kernel's.
    status = json.loads(host.run("capsdeploy", "status", "--json").stdout)["applications"][0]
    assert status["limits"] == {"cpu": 0.8, "memory": 16 * GIB, "tasks": None}
    assert status["signed_by"]
    assert [service["active"] for service in status["services"]] == ["active", "active"]

    # 4. State outlives a release.
    thought = ("-d", '{"text": "capsules are light"}', "-H", "Content-Type: application/json")
    host.run("curl", "-sS", "--fail", *thought, f"{CORE}/v1/reflect")
    second = installed(host, archives.second)
    host.run("capsdeploy", "activate", second[:12], "--watch", "2")
    assert health(host, CORE) == ("ok", "2.2.0", second)
    assert "capsules are light" in json.dumps(host.get(f"{CORE}/v1/thoughts"))
    assert any((host.root / "opt/tori/state/tori-metacognitive/metacognitive").iterdir())

    # 5. A release that fails is left again by itself.
    broken = installed(host, archives.broken)
    refused = host.run("capsdeploy", "activate", broken[:12], check=False)
    assert refused.returncode == 9
    assert "exited with status 78" in refused.stderr
    assert "MAX_TOKENS_PER_MIN" in refused.stderr  # its own words
    assert health(host, CORE) == ("ok", "2.2.0", second)
    assert health(host, BRIDGE) == ("ok", "2.2.0", second)

    # 6. Back by hand, and over a reboot.
    host.run("capsdeploy", "rollback")
    assert health(host, CORE) == ("ok", "2.1.0", first)
    host.reboot()
    assert wait_for_health(host, CORE) == ("ok", "2.1.0", first)
    assert wait_for_health(host, BRIDGE) == ("ok", "2.1.0", first)

    # 7. What is collected is neither the active release nor the one before it.
    (host.root / "etc/tori/policy.yml").write_text("minimum_age: 0s\n")
    host.run("capsdeploy", "gc", "--keep", "0")
    assert {entry.name for entry in (host.root / "opt/tori/releases").iterdir()} == {first, second}
    assert host.run("capsdeploy", "verify", "--all", "--full").returncode == 0
    assert health(host, CORE) == ("ok", "2.1.0", first)


def installed(host: Host, archive: Path) -> str:
    for path in (archive, archive.with_name(f"{archive.name}.minisig")):
        shutil.copy(path, host.root / "root" / path.name)
    capsule_id: str = json.loads(host.run("capsdeploy", "install", f"/root/{archive.name}", "--json").stdout)["id"]
    return capsule_id


def health(host: Host, url: str) -> tuple[object, object, object]:
    said = host.get(f"{url}/healthz")
    return said["status"], said["version"], said["build_sha"]


def wait_for_health(host: Host, url: str) -> tuple[object, object, object]:
    for _ in range(300):
        if host.run("curl", "-sS", "--fail", "--max-time", "2", f"{url}/healthz", check=False).returncode == 0:
            break
        time.sleep(0.1)
    return health(host, url)
