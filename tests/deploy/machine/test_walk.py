"""The walk from a file to a running service and back, on a host that systemd runs."""

from __future__ import annotations

import json
from pathlib import Path

from tests.deploy.capsules import demo, install, prepare
from tests.deploy.host import Host

URL = "http://127.0.0.1:8080/"


def test_from_an_empty_host_to_a_service_and_back(host: Host, tmp_path: Path) -> None:
    prepare(host)
    first, second = (install(host, demo(version), tmp_path) for version in ("1.0.0", "2.0.0"))
    bad = install(host, demo("3.0.0", "unhealthy"), tmp_path)

    host.run("capsdeploy", "activate", first[:12], "--watch", "0.3")
    assert "Active: active (running)" in host.run("systemctl", "status", f"tori@{first[:12]}.service").stdout
    assert host.get(URL)["build_sha"] == first

    host.run("capsdeploy", "activate", second[:12], "--watch", "0.3")
    assert host.get(URL)["build_sha"] == second
    assert host.run("systemctl", "is-active", f"tori@{first[:12]}", check=False).stdout.strip() == "inactive"

    refused = host.run("capsdeploy", "activate", bad[:12], check=False)
    assert refused.returncode == 9
    assert "500 from http://127.0.0.1:8080/" in refused.stderr
    assert f"tori@{bad[:12]}.service: " in refused.stderr
    assert '"GET / HTTP/1.1" 500' in refused.stderr  # the service's own words
    assert host.get(URL)["build_sha"] == second
    assert host.run("systemctl", "is-active", f"tori@{bad[:12]}", check=False).stdout.strip() == "inactive"

    host.run("capsdeploy", "rollback")
    assert host.get(URL)["build_sha"] == first

    host.reboot()
    assert wait_for(host)["build_sha"] == first

    status = json.loads(host.run("capsdeploy", "status", "demo", "--json").stdout)["applications"][0]
    assert (status["active"], status["previous"], status["up"]) == (first, second, True)
    assert status["limits"] == {"cpu": 0.8, "memory": 256 << 20, "tasks": 64}
    host.run("capsdeploy", "doctor", check=False)
    host.run("capsdeploy", "deactivate", "demo")
    assert host.run("systemctl", "list-units", "--no-legend", "tori@*").stdout.strip() == ""


def wait_for(host: Host) -> dict[str, object]:
    host.run("curl", "-sS", "--retry", "50", "--retry-connrefused", "--retry-delay", "0", "--retry-max-time", "20", URL)
    return host.get(URL)
