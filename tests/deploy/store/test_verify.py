"""``capsdeploy verify``: a release is what was installed, or is found out, marked, and not activated."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from capsule_builder.trust.minisign import SecretKey
from capsule_deploy.layout import Layout
from capsule_deploy.releases import find
from capsule_deploy.verify import DamagedError, require_sound
from tests.deploy.hosts import Host, capsule
from tests.reader.forge import One


@pytest.fixture
def release(host: Host, secret: SecretKey, tmp_path: Path) -> Path:
    return host.tori / "releases" / host.install(capsule(tmp_path / "archives", secret))


def quietly(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Changes a file in its place, as a bad disk or somebody with root's rights would; length and times stay."""
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(change(path.read_bytes()))
    path.chmod(before.st_mode & 0o777)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def extra(release: Path) -> None:
    (release / "data" / "more").write_bytes(b"x")


def missing(release: Path) -> None:
    (release / "start.sh").unlink()


def mode(release: Path) -> None:
    (release / "data" / "table.txt").chmod(0o644)


def directory_mode(release: Path) -> None:
    (release / "data").chmod(0o755)


def content(release: Path) -> None:
    quietly(release / "data" / "table.txt", lambda data: data.replace(b"one", b"eno"))


def longer(release: Path) -> None:
    quietly(release / "data" / "table.txt", lambda data: data + b"x")


def link(release: Path) -> None:
    (release / "link").unlink()
    (release / "link").symlink_to("start.sh")


def link_for_file(release: Path) -> None:
    (release / "start.sh").unlink()
    (release / "start.sh").symlink_to("/bin/sh")


def link_for_directory(release: Path) -> None:
    (release / "data" / "table.txt").rename(release.parent / "table.txt")
    (release / "data").rmdir()
    (release / "data").symlink_to(release.parent)


def fifo(release: Path) -> None:
    (release / "start.sh").unlink()
    os.mkfifo(release / "start.sh", 0o555)


def owner(release: Path) -> None:
    os.chown(release / "start.sh", 12345, 12345)


def listing(release: Path) -> None:
    quietly(release / ".capsule_contents", lambda data: data.replace(b"start.sh", b"stark.sh"))


def metadata(release: Path) -> None:
    (release / ".capsule_metadata.json").unlink()


CHANGES = {
    extra: "release-extra",
    missing: "release-missing",
    mode: "release-mode",
    directory_mode: "release-mode",
    content: "release-content",
    longer: "release-content",
    link: "release-link",
    link_for_file: "release-kind",
    link_for_directory: "release-kind",
    fifo: "release-kind",
    owner: "release-owner",
    listing: "release-listing",
    metadata: "release-missing",
}


@pytest.mark.parametrize("how", ["--full", "--quick"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_is_found_marked_and_refused(
    host: Host, release: Path, change: Callable[[Path], None], how: str
) -> None:
    assert host.json("verify", release.name, how)["releases"][0]["sound"] is True
    change(release)
    document = host.json("verify", release.name, how, status=4)
    (row,) = document["releases"]
    assert row["sound"] is False
    assert CHANGES[change] in [problem["code"] for problem in row["problems"]]
    assert host.json("list")["releases"][0]["bad"] is True
    layout = Layout(str(host.root))
    with pytest.raises(DamagedError, match="was found damaged before"):
        require_sound(layout, find(layout, release.name))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_that_nobody_looked_for_is_refused_too(
    host: Host, release: Path, change: Callable[[Path], None]
) -> None:
    change(release)
    layout = Layout(str(host.root))
    with pytest.raises(DamagedError, match="is not what was installed") as refused:
        require_sound(layout, find(layout, release.name))
    assert CHANGES[change] in [problem.code for problem in refused.value.problems]


def test_a_mark_goes_only_when_everything_was_read_and_is_well(host: Host, release: Path) -> None:
    quietly(release / "start.sh", lambda data: data.replace(b"started", b"stopped"))
    host.json("verify", release.name, status=4)
    quietly(release / "start.sh", lambda data: data.replace(b"stopped", b"started"))
    assert "Look again with --full" in host.deploy("verify", release.name, "--quick", status=4).err
    layout = Layout(str(host.root))
    with pytest.raises(DamagedError):
        require_sound(layout, find(layout, release.name))
    host.json("verify", release.name, "--full")
    require_sound(layout, find(layout, release.name))
    assert host.json("verify", release.name)["releases"][0]["read"] == 0


def test_a_quick_look_reads_nothing_that_was_not_touched(host: Host, release: Path) -> None:
    (row,) = host.json("verify", release.name)["releases"]
    assert (row["files"], row["read"]) == (3, 0)
    os.utime(release / "start.sh")
    assert host.json("verify", release.name)["releases"][0]["read"] == 1
    assert host.json("verify", release.name)["releases"][0]["read"] == 0
    assert host.json("verify", release.name, "--full")["releases"][0]["read"] == 3


def test_what_one_release_shares_with_another_need_not_be_read_again(
    host: Host, release: Path, secret: SecretKey, tmp_path: Path
) -> None:
    """To link a file changes what the system says of it, for all who have it."""
    second = host.install(capsule(tmp_path / "archives", secret, One("x", "file", b"x"), version="2.0.0"))
    for row in host.json("verify", "--all")["releases"]:
        assert (row["sound"], row["read"]) == (True, 0)
    host.json("gc", "--keep", "1")
    assert host.releases() == [second]
    (row,) = host.json("verify", "--all")["releases"]
    assert (row["sound"], row["read"]) == (True, 0)


def test_a_damaged_file_is_damaged_in_every_release_that_has_it(
    host: Host, release: Path, secret: SecretKey, tmp_path: Path
) -> None:
    host.install(capsule(tmp_path / "archives", secret, One("x", "file", b"x"), version="2.0.0"))
    quietly(release / "start.sh", lambda data: data.replace(b"started", b"stopped"))
    document = host.json("verify", "--all", "--full", status=4)
    assert [row["sound"] for row in document["releases"]] == [False, False]


def test_what_is_said(host: Host, release: Path) -> None:
    short = release.name[:12]
    assert host.deploy("verify", release.name[:8]).out == (
        f"✅ Release {short} is sound: forged 1.2.3 (3 files, 0 of them read)\n"
    )
    extra(release)
    missing(release)
    err = host.deploy("verify", "--all", status=4).err
    assert err.splitlines()[0] == (f"ERROR: Release {short} (forged 1.2.3) is not what was installed: 2 problems")
    assert "ERROR: Not part of the release: data/more" in err
    assert "ERROR: Missing: start.sh" in err


def test_a_state_that_somebody_wrote_is_no_proof(host: Host, release: Path) -> None:
    state = host.tori / "receipts" / release.name / "state"
    state.write_bytes(b"# capsule-state v1\nnot zlib")
    (row,) = host.json("verify", release.name)["releases"]
    assert (row["sound"], row["read"]) == (True, 3)
    assert host.json("verify", release.name)["releases"][0]["read"] == 0


def test_receipts_that_are_damaged_are_told(host: Host, release: Path) -> None:
    place = host.tori / "receipts" / release.name
    (place / ".capsule_contents").unlink()
    assert host.json("verify", release.name, status=4)["releases"][0]["problems"][0]["code"] == "release-listing"
    (place / "receipt.json").write_text("{")
    ran = host.deploy("list", "--json", status=None)
    assert ran.status == 4
    assert json.loads(ran.out)["errors"][0]["code"] == "receipt-damaged"
