"""What the validator lets through, systemd takes: asked of the real one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from capsule_builder.manifest.names import NAME, NAME_LENGTH
from capsule_builder.manifest.quantities import CPU_QUOTA, MEMORY

SHARES = [f"{whole}{part}%" for whole in (0, 1, 80, 100, 250, 999999, 1000000) for part in ("", ".5", ".05", ".125")]
SIZES = [
    f"{number}{unit}"
    for number in (0, 1, 1.5, 16, 100, 101, 2000000, 1 << 64)
    for unit in ("", "K", "M", "G", "T", "P", "E", "%", "g", "GB", "Gi")
]


def lines_refused(unit_lines: list[str], directory: Path) -> set[str]:
    """The lines of a service unit that systemd does not understand."""
    unit = directory / "probe.service"
    head = ["[Service]", "ExecStart=/bin/true"]
    unit.write_text("\n".join([*head, *unit_lines]) + "\n")
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60).stderr
    return {line for number, line in enumerate(unit_lines, start=len(head) + 1) if f"{unit}:{number}:" in said}


def test_systemd_takes_every_share_and_size_that_we_take(tmp_path: Path) -> None:
    good = [f"CPUQuota={share}" for share in SHARES if CPU_QUOTA.complaint(share) is None]
    good += [f"MemoryMax={size}" for size in [*SIZES, "infinity"] if MEMORY.complaint(size) is None]
    good += ["MemoryHigh=12G", "TasksMax=4194304", "IOWeight=1", "IOWeight=10000"]
    assert len(good) > 40
    assert lines_refused(good, tmp_path) == set()


def test_we_refuse_every_share_and_size_that_systemd_refuses(tmp_path: Path) -> None:
    refused = lines_refused([f"MemoryMax={size}" for size in SIZES], tmp_path)
    refused |= lines_refused([f"CPUQuota={share}" for share in [*SHARES, "80", "080%"]], tmp_path)
    assert {"MemoryMax=16GB", "MemoryMax=16g", "MemoryMax=101%", "CPUQuota=80", "CPUQuota=0%"} <= refused
    for line in refused:
        key, _, value = line.partition("=")
        assert (CPU_QUOTA if key == "CPUQuota" else MEMORY).complaint(value) is not None


@pytest.mark.parametrize("name", ["a" * NAME_LENGTH, "a", "a-b_c-1", "tori-metacognitive"])
def test_an_account_can_have_every_name(name: str, tmp_path: Path) -> None:
    assert NAME.complaint(name) is None
    assert account_is_valid(f"tori-{name}", tmp_path)


@pytest.mark.parametrize("name", ["a" * (NAME_LENGTH + 1), "a.b"])
def test_no_account_could_have_a_longer_name_or_one_with_a_dot(name: str, tmp_path: Path) -> None:
    assert NAME.complaint(name) is not None
    assert not account_is_valid(f"tori-{name}", tmp_path)


def account_is_valid(account: str, directory: Path) -> bool:
    declaration = directory / "probe.conf"
    declaration.write_text(f"u {account} - probe\n")
    command = ["systemd-sysusers", "--dry-run", f"--root={directory}", str(declaration)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return "not a valid user" not in said.stderr + said.stdout


@pytest.mark.parametrize(("name", "loads"), [("a-b_c", True), ("a--b", False), ("a-", False)])
def test_a_slice_can_have_every_name(name: str, loads: bool, tmp_path: Path) -> None:
    unit = tmp_path / f"tori-{name}.slice"
    unit.write_text("[Slice]\n")
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60).stderr
    assert ("failed to load" not in said) == loads
    assert (NAME.complaint(name) is None) == loads
