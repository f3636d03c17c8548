"""Limits as the kernel has them, from the files of both versions of cgroups.

The hosts of the tests have whichever version the machine has; these files are as the kernel's documentation shows them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from capsule_deploy import systemd
from capsule_deploy.systemd import Limits

GROUP = "/tori.slice/tori-a.slice"
VERSION_1 = {
    "cpu/cpu.cfs_quota_us": "80000",
    "cpu/cpu.cfs_period_us": "100000",
    "memory/memory.limit_in_bytes": "17179869184",
    "pids/pids.max": "64",
}
VERSION_1_FREE = {
    "cpu/cpu.cfs_quota_us": "-1",
    "cpu/cpu.cfs_period_us": "100000",
    "memory/memory.limit_in_bytes": "9223372036854771712",
    "pids/pids.max": "max",
}
VERSION_2 = {"cpu.max": "80000 100000", "memory.max": "17179869184", "pids.max": "64"}
VERSION_2_FREE = {"cpu.max": "max 100000", "memory.max": "max", "pids.max": "max"}


@pytest.mark.parametrize(
    ("files", "limits"),
    [
        (VERSION_1, Limits(0.8, 16 << 30, 64)),
        (VERSION_1_FREE, Limits(None, None, None)),
        (VERSION_2, Limits(0.8, 16 << 30, 64)),
        (VERSION_2_FREE, Limits(None, None, None)),
        ({}, Limits(None, None, None)),
    ],
)
def test_both_versions_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], limits: Limits
) -> None:
    monkeypatch.setattr(systemd, "_GROUPS", str(tmp_path))
    for name, text in files.items():
        hierarchy, _, file = name.rpartition("/")
        place = tmp_path / hierarchy / GROUP.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        (place / file).write_text(f"{text}\n")
    assert systemd.limits(GROUP) == limits
