"""From a service that was set up by hand to a release that is active on the same host, by the report's own commands."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.host import CHECKOUT, Host, shared_host
from tests.deploy.migrate import layouts
from tests.deploy.migrate.layouts import SECRET
from tests.environment.corpus import TOOLS, WHEELS

__all__ = ["shared_host"]

COMMANDS = {
    "capsbuild": "capsule_builder.cli.capsbuild",
    "caps_validate": "capsule_builder.cli.caps_validate",
    "caps_migrate": "capsule_deploy.cli.caps_migrate",
}

FASTER = {"capsbuild --from-dir": " --no-cache --json", "capsdeploy activate": " --watch 0.5"}


@pytest.fixture(scope="module")
def ready(shared_host: Host) -> Iterator[Host]:
    """A host with the commands, which takes what is built there."""
    for name, module in COMMANDS.items():
        place = shared_host.root / "usr/local/bin" / name
        place.write_text(f'#!/bin/sh\nexport PYTHONPATH={CHECKOUT}\nexec {sys.executable} -m {module} "$@"\n')
        place.chmod(0o755)
    shared_host.run("capsdeploy", "host", "init")
    (shared_host.root / "etc/tori/policy.yml").write_text("unsigned: true\n")
    yield shared_host


def venv_on(host: Host) -> layouts.MakesVenv:
    def make(place: Path, *packages: str) -> None:
        there = f"/{place.relative_to(host.root)}"
        host.run("python3.11", "-m", "venv", "--without-pip", there)
        pip = (str(TOOLS / "python"), "-m", "pip", "--python", f"{there}/bin/python", "install", "-q", "--no-compile")
        host.run(*pip, "--no-index", "--find-links", str(WHEELS), *packages)

    return make


def migrated(host: Host, directory: str, *options: str) -> list[str]:
    """Runs caps_migrate, and gives the steps that its report names."""
    host.run(
        "sh", "-c", f"cd /root && caps_migrate {directory} --output {Path(directory).name}-out {' '.join(options)}"
    )
    out = host.root / "root" / f"{Path(directory).name}-out"
    assert SECRET not in "".join(path.read_text() for path in out.iterdir())
    steps: list[str] = json.loads((out / "migration.json").read_text())["steps"]
    assert all(step in (out / "migration.md").read_text() for step in steps)
    return steps


def commands(steps: list[str]) -> list[str]:
    return re.findall("`([^`]+)`", " ".join(steps))


def documented() -> list[str]:
    """The commands of the page, from the report to the active release."""
    section = (CHECKOUT / "docs/migrate.md").read_text().partition("## From here")[2].partition("\n## ")[0]
    lines = [line.partition("  #")[0].strip() for line in section.splitlines() if line.startswith("    ")]
    return lines[lines.index("less out/migration.md") + 1 :]


def words(command: str) -> list[str]:
    """The program of a command, and what it does it to, but for where the files were written."""
    return [word for word in shlex.split(command) if not word.startswith(("out/", "shop-out/"))]


def followed(host: Host, steps: list[str]) -> str:
    """Runs every command of the steps as it is written; gives the ID of the release that is active then."""
    known: dict[str, str] = {}
    for command in commands(steps):
        for placeholder, word in known.items():
            command = re.sub(rf"\b{placeholder}\b", word, command)
        program = " ".join(command.split()[:2])
        done = host.run("sh", "-c", f"cd /root && {command}{FASTER.get(program, '')}")
        if program == "capsbuild --from-dir":
            said = json.loads(done.stdout)
            known = {"FILE": said["archive"], "ID": said["id"]}
    return known["ID"]


def environment(host: Host, unit: str) -> dict[str, str]:
    """The variables of a unit's main process, as the kernel has them."""
    pid = host.show(unit, "MainPID")["MainPID"]
    words = host.run("cat", f"/proc/{pid}/environ").stdout.split("\0")
    return dict(word.partition("=")[::2] for word in words if word)


def page(host: Host, url: str) -> str:
    return host.run("curl", "-sS", "--fail", "--max-time", "20", "--retry", "30", "--retry-all-errors", url).stdout


def test_a_unit_with_drop_ins_and_environment_files(ready: Host) -> None:
    url = "http://127.0.0.1:8085/healthz"
    layouts.shop(ready.root, venv_on(ready))
    ready.run("useradd", "--system", "shop")
    ready.run("install", "-d", "-o", "shop", "/run/shop", "/var/log/shop")
    ready.run("chown", "-R", "shop", "/srv/shop/data")
    ready.run("systemctl", "daemon-reload")
    ready.run("systemctl", "enable", "--now", "shop")
    assert page(ready, url) == "hello from the shop, 1, by "
    before = environment(ready, "shop.service")

    steps = migrated(ready, "/srv/shop")
    assert [words(command) for command in commands(steps)] == [words(command) for command in documented()]
    capsule_id = followed(ready, steps)
    assert page(ready, url) == f"hello from the shop, 2, {capsule_id[:3]}"  # with the database that it had
    assert ready.run("systemctl", "is-active", "shop", check=False).stdout == "inactive\n"
    assert ready.run("systemctl", "is-enabled", "shop", check=False).stdout == "disabled\n"

    after = environment(ready, f"tori@{capsule_id[:12]}.service")
    own = {name: value for name, value in before.items() if after.get(name) != value}
    assert own.pop("SECRET_KEY") == SECRET and SECRET in own.pop("DATABASE_URL")
    assert (own.pop("DATABASE"), after["DATABASE"]) == ("/srv/shop/data/shop.db", "/opt/tori/state/data/shop.db")
    # What systemd gives to every service of its own accord is left.
    assert set(own) <= {"PATH", "HOME", "LOGNAME", "USER", "INVOCATION_ID", "JOURNAL_STREAM", "NOTIFY_SOCKET",
                        "SHELL", "SYSTEMD_EXEC_PID"}  # fmt: skip
    assert {"APP_MODE": "production", "LOG_LEVEL": "info", "PORT": "8085", "WORKERS": "1"}.items() <= after.items()
    limits = json.loads(ready.run("capsdeploy", "status", "shop", "--json").stdout)["applications"][0]["limits"]
    assert limits == {"cpu": 0.8, "memory": 512 << 20, "tasks": 64}

    # And back, as if nothing had been: the state was copied.
    ready.run("capsdeploy", "deactivate", "shop")
    ready.run("systemctl", "start", "shop")
    assert page(ready, url) == "hello from the shop, 2, by "
    ready.run("systemctl", "stop", "shop")


def test_programs_of_supervisor(ready: Host) -> None:
    layouts.fleet(ready.root, venv_on(ready))
    stub = ready.root / "usr/local/bin/supervisorctl"  # supervisor itself is not needed for this
    stub.write_text('#!/bin/sh\necho "$@" > /root/supervisorctl-got\n')
    stub.chmod(0o755)
    capsule_id = followed(ready, migrated(ready, "/srv/fleet", "--unit", "/etc/supervisor/supervisord.conf"))
    assert (ready.root / "root/supervisorctl-got").read_text() == "stop api worker:*\n"
    assert page(ready, "http://127.0.0.1:8091/status") == "The fleet, all of it at live"
    assert page(ready, "http://127.0.0.1:8101/") == "worker-1 first rule ['job-1', 'seen-8101'] False"
    assert page(ready, "http://127.0.0.1:8102/") == "worker-2 first rule ['job-1', 'seen-8101', 'seen-8102'] False"
    after = environment(ready, f"tori@{capsule_id[:12]}.service")
    assert {"TITLE": "The fleet, all of it", "API_MODE": "live", "SPOOL": "/opt/tori/state/spool"}.items() <= (
        after.items()
    )
    assert SECRET not in after.values()
    ready.run("capsdeploy", "deactivate", "fleet")


def test_a_port_below_1024_is_open_and_what_was_closed_stays_closed(ready: Host) -> None:
    url = "http://127.0.0.1:80/index.html"
    walls = "AmbientCapabilities=CAP_NET_BIND_SERVICE\nMemoryDenyWriteExecute=yes\n"
    layouts.beacon(ready.root, 80, walls)
    ready.run("cp", "-a", "/checkout", "/usr/local/lib/beacon")
    ready.run("cp", "/checkout/deploy/beacon.service", "/etc/systemd/system")
    ready.run("systemctl", "daemon-reload")
    ready.run("systemctl", "start", "beacon")
    assert page(ready, url) == "<p>beacon</p>\n"
    capsule_id = followed(ready, migrated(ready, "/usr/local/lib/beacon"))
    assert page(ready, url) == "<p>beacon</p>\n"
    shown = ready.show(f"tori@{capsule_id[:12]}.service", "AmbientCapabilities", "MemoryDenyWriteExecute")
    assert shown == {"AmbientCapabilities": "cap_net_bind_service", "MemoryDenyWriteExecute": "yes"}
    ready.run("capsdeploy", "deactivate", "beacon")
