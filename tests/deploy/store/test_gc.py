"""``capsdeploy gc``, ``pin``, ``unpin``: what something needs stays, with the reason; the rest goes, with its files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from capsule_builder.trust.minisign import SecretKey
from tests.deploy.hosts import Host, capsule, check_invariants, check_tidy, snapshot
from tests.reader.forge import One


@pytest.fixture
def releases(host: Host, secret: SecretKey, tmp_path: Path) -> list[str]:
    """Four releases, the oldest first; they share all but one file and the manifest."""
    made = []
    for number in range(4):
        one = One("own", "file", bytes([65 + number]) * 1000)
        made.append(host.install(capsule(tmp_path / "archives", secret, one, version=f"1.0.{number}")))
        receipt = host.tori / "receipts" / made[-1] / "receipt.json"
        when = f'"installed": {1_700_000_000 + number},'
        lines = receipt.read_text().splitlines()
        receipt.write_text("\n".join(f"  {when}" if '"installed"' in line else line for line in lines) + "\n")
    return made


def reasons(host: Host, *arguments: str) -> dict[str, list[str]]:
    rows = host.json("gc", "--dry-run", *arguments)["releases"]
    return {row["id"]: row["reasons"] for row in rows}


def test_the_newest_stay(host: Host, releases: list[str]) -> None:
    document = host.json("gc", "--keep", "2")
    assert [row["kept"] for row in document["releases"]] == [False, False, True, True]
    assert host.releases() == sorted(releases[2:])
    assert document["freed_files"] == 4
    assert document["freed_bytes"] > 2000
    check_invariants(host)
    check_tidy(host)
    assert host.json("gc", "--keep", "2")["freed_files"] == 0


def test_the_policy_says_how_many(host: Host, releases: list[str]) -> None:
    host.policy("keep: 3\nminimum_age: 0s\n")
    host.deploy("gc")
    assert host.releases() == sorted(releases[1:])


def test_why_each_is_kept(host: Host, releases: list[str], secret: SecretKey, tmp_path: Path) -> None:
    host.activate(releases[1])
    host.activate(releases[0], link="previous")
    host.deploy("pin", releases[2][:8])
    other = host.install(capsule(tmp_path / "archives", secret, name="other"))
    (host.tori / "apps/forged/txn").write_text(f'{{"state": "started", "new": "{releases[3]}"}}\n')
    assert reasons(host, "--keep", "0") == {
        releases[0]: ["previous"],
        releases[1]: ["active"],
        releases[2]: ["pinned"],
        releases[3]: ["part of an activation that has not ended"],
        other: [],
    }
    assert reasons(host, "--keep", "1")[other] == ["one of the newest 1 of other"]
    host.policy("minimum_age: 1h\n")
    assert reasons(host, "--keep", "0")[other] == ["installed less than 3,600 seconds ago"]
    assert reasons(host, "--keep", "0")[releases[0]] == ["previous"]
    text = host.deploy("gc", "--dry-run", "--keep", "0").out
    assert f"{releases[1][:12]}  forged 1.0.1: kept: active\n" in text


def test_a_dry_run_changes_nothing(host: Host, releases: list[str]) -> None:
    before = snapshot(host.root)
    assert "would go" in host.deploy("gc", "--dry-run", "--keep", "0").out
    assert snapshot(host.root) == before


@pytest.mark.parametrize("how", ["works there", "maps a file", "runs a program"])
def test_what_a_process_needs_stays(host: Host, releases: list[str], how: str, tmp_path: Path) -> None:
    release = host.tori / "releases" / releases[0]
    script = {
        "works there": f"import os, time; os.chdir({str(release / 'data')!r}); print(1, flush=True); time.sleep(60)",
        "maps a file": (
            f"import mmap, time; f = open({str(release / 'own')!r}, 'rb'); m = mmap.mmap(f.fileno(), 0, prot=1); "
            "f.close(); print(1, flush=True); time.sleep(60)"
        ),
        "runs a program": f"import os; os.chdir({str(release)!r}); os.execv('/bin/sh', ['sh', '-c', 'echo 1; read x'])",
    }[how]
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout and process.stdout.readline() == b"1\n"
        assert reasons(host, "--keep", "1")[releases[0]][0].startswith("needed by process ")
        host.deploy("gc", "--keep", "1")
        assert host.releases() == sorted([releases[0], releases[3]])
    finally:
        process.kill()
        process.wait()
    host.deploy("gc", "--keep", "1")
    assert host.releases() == [releases[3]]


def test_pins(host: Host, releases: list[str]) -> None:
    for _ in range(2):
        assert host.json("pin", releases[0]) == {"id": releases[0], "pinned": True}
    assert [row["pinned"] for row in host.json("list")["releases"]] == [True, False, False, False]
    host.deploy("gc", "--keep", "0")
    assert host.releases() == [releases[0]]
    for _ in range(2):
        assert host.json("unpin", releases[0][:9]) == {"id": releases[0], "pinned": False}
    host.deploy("gc", "--keep", "0")
    assert host.releases() == []
    check_tidy(host)


def test_links_out_of_what_goes_are_not_followed(host: Host, releases: list[str], tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"x")
    (host.tori / "releases" / releases[0] / "data" / "way-out").symlink_to(outside)
    (host.tori / "staging" / "left").symlink_to(outside)
    host.deploy("gc", "--keep", "1")
    assert (outside / "precious").read_bytes() == b"x"
    assert host.releases() == [releases[3]]
    check_tidy(host)


def test_an_empty_host(host: Host) -> None:
    assert host.json("gc")["releases"] == []
    assert host.json("list") == {"releases": [], "errors": []}
    assert host.json("verify", "--all") == {"status": 0, "releases": [], "errors": []}


def test_wrong_usage(host: Host) -> None:
    assert "not a number" in host.deploy("gc", "--keep", "-1", status=2).err
    assert "not a number" in host.deploy("gc", "--keep", "x", status=2).err
    assert host.json("pin", "abc", status=8)["errors"][0]["code"] == "release-id"
    assert host.json("pin", "0" * 12, status=8)["errors"][0]["code"] == "release-missing"
