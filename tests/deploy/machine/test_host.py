"""The host that the other tests deploy to is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.deploy.host import Host, HostError, booted

UNIT = """\
[Service]
ExecStart=/bin/sleep 1000
MemoryMax=64M
CPUQuota=80%
"""


def left_over() -> set[str]:
    """What a host could leave on the machine: mounts, groups of processes."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    groups = {str(place) for place in Path("/sys/fs/cgroup").glob("**/tori-test-*")}
    return {*mounts, *groups}


def test_it_boots_runs_services_and_leaves_nothing(tmp_path: Path) -> None:
    before, name = left_over(), os.uname().nodename
    with booted(tmp_path / "host") as host:
        assert host.run("systemctl", "is-system-running").stdout.strip() == "running"
        assert host.run("systemctl", "--failed", "--no-legend").stdout == ""
        unit = host.root / "etc/systemd/system/probe.service"
        unit.write_text(UNIT)
        host.run("systemctl", "daemon-reload")
        host.run("systemctl", "start", "probe.service")
        shown = host.show("probe.service", "ActiveState", "ControlGroup", "MainPID")
        assert shown["ActiveState"] == "active"
        group = host.run("cat", f"/proc/{shown['MainPID']}/cgroup").stdout
        assert "/system.slice/probe.service" in group
        limits = [*(host.root / "sys/fs/cgroup").glob("memory/system.slice/probe.service/memory.limit_in_bytes")]
        limits += (host.root / "sys/fs/cgroup").glob("system.slice/probe.service/memory.max")
        assert [limit.read_text().strip() for limit in limits] == [str(64 << 20)]
    assert left_over() == before
    assert os.uname().nodename == name


def test_its_network_is_its_own(host: Host) -> None:
    listed = host.run("ip", "-brief", "address").stdout.splitlines()
    assert [line.split()[0] for line in listed if "127.0.0.1" in line] == ["lo"]
    assert not any("eth" in line and "UP" in line for line in listed)


@pytest.mark.parametrize("power_cut", [False, True])
def test_what_it_wrote_is_there_after_a_reboot_and_what_ran_is_not(host: Host, power_cut: bool) -> None:
    (host.root / "etc/written").write_text("here")
    host.run("systemd-run", "--unit=sleeper", "sleep", "1000")
    host.run("sync")
    host.reboot(power_cut=power_cut)
    assert (host.root / "etc/written").read_text() == "here"
    assert host.run("systemctl", "is-active", "sleeper.service", check=False).stdout.strip() == "inactive"


def test_the_checkout_and_its_python_are_there(host: Host) -> None:
    said = host.run("python3", "--version").stdout
    assert said.startswith("Python 3.")
    assert "usage" in host.run("capsdeploy", "status", "--help").stdout


def test_one_that_does_not_boot_is_an_error_and_never_a_skip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = left_over()
    monkeypatch.setattr("tests.deploy.host._shown_inside", lambda: ["/there/is/nothing"])
    with pytest.raises(HostError, match="no host to test with"), booted(tmp_path / "host"):
        pass
    assert left_over() == before
