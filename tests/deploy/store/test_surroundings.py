"""Whatever surrounds a command: masks, streams, terminals, names of trees and of releases, lost receipts."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import select
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from capsule_builder.trust.minisign import SecretKey
from capsule_deploy.cli import common
from tests.capsbuild.command import Ran
from tests.deploy.hosts import COMMAND, ENVIRONMENT, Host, capsule, check_invariants, check_tidy, snapshot
from tests.reader.forge import One


def run(*arguments: str | Path, preexec: Callable[[], object] | None = None, **options: object) -> Ran:
    """Runs ``capsdeploy``; never a traceback."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    line = [*COMMAND, *map(str, arguments)]
    ran = subprocess.run(line, env=ENVIRONMENT, check=False, timeout=60, preexec_fn=preexec, **streams)  # type: ignore[call-overload]
    said = Ran(ran.returncode, (ran.stdout or b"").decode(), (ran.stderr or b"").decode())
    assert "Traceback" not in said.err and "Exception" not in said.err, said.err
    return said


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_any_mask_of_whoever_calls(host: Host, secret: SecretKey, tmp_path: Path, mask: int) -> None:
    """Services have to reach what is made, and nobody else may write it."""
    archive = capsule(tmp_path / "archives", secret)
    (host.root / "usr/bin").mkdir(parents=True)
    (host.root / "usr/bin/python3.11").write_text("")
    initialise = ("host", "init", "--root", host.root, "--command", "/bin/true")
    for command in (("install", "--root", host.root, archive), initialise):
        assert run(*command, preexec=lambda: os.umask(mask)).status == 0
    check_invariants(host)
    places = ("opt", "opt/tori/python/3.11/bin", "opt/tori/releases", "etc/systemd/system")
    assert [oct((host.root / place).stat().st_mode & 0o777) for place in places] == ["0o755"] * 4


@pytest.mark.parametrize("what", [["--help"], ["--version"], ["list", "--help"], ["list"]])
def test_a_text_that_nobody_can_take_is_told(host: Host, what: list[str]) -> None:
    where = [] if what[-1].startswith("--") else ["--root", host.root]
    with open("/dev/full", "wb") as full:
        said = run(*what, *where, stdout=full)
    assert (said.status, said.err.splitlines()[0]) == (
        1, "ERROR: Cannot write to standard output: No space left on device",
    )  # fmt: skip
    assert run(*what, *where, preexec=lambda: os.close(1)).status == 1


def test_no_memory_is_no_defect(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (100 << 20, 100 << 20))

    said = run("install", "--root", host.root, archive, preexec=limit)
    assert (said.status, said.err.splitlines()[0]) == (1, "ERROR: Cannot allocate memory")
    check_tidy(host)


# A terminal


def watched(host: Host, archive: Path, *, until: bytes) -> tuple[int, bytes]:
    """Installs before a terminal, which goes away when it has shown ``until``; gives the status, and what it showed."""
    ours, theirs = pty.openpty()
    slow = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=sendfile"]
    slow += ["-e", "inject=sendfile:delay_enter=1200000:when=1"]  # a line is for what takes longer than a second
    line = [*slow, *COMMAND, "install", "--root", str(host.root), str(archive)]
    null = subprocess.DEVNULL
    process = subprocess.Popen(line, env=ENVIRONMENT, stdin=null, stdout=null, stderr=theirs)
    os.close(theirs)
    said = b""
    while until not in said and process.poll() is None:
        if select.select([ours], [], [], 0.05)[0]:
            try:
                said += os.read(ours, 4096)
            except OSError:  # the other side has ended
                break
    if until in said:
        os.close(ours)
    status = process.wait(60)
    return status, said


def test_a_long_install_says_how_far_it_is_and_takes_that_away(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret, One("big", "file", os.urandom(24 << 20)))
    status, said = watched(host, archive, until=b"never")
    assert status == 0
    assert re.search(rb"\rreading [0-9]+%", said)
    assert re.fullmatch(rb" *", said.split(b"\r")[-2]) and said.endswith(b"\r")


def test_a_terminal_that_goes_away_stops_nothing(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret, One("big", "file", os.urandom(24 << 20)))
    status, said = watched(host, archive, until=b"reading")
    assert b"reading" in said
    assert status == 0
    assert len(host.releases()) == 1


# The tree that is meant


def test_a_link_in_a_tree_does_not_lead_out_of_it(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    """In an image, ``/opt -> /srv`` names a place of the image, and not of the host where it is made."""
    archive = capsule(tmp_path / "archives", secret)
    outside = tmp_path / "outside"
    outside.mkdir()
    (host.root / "opt").symlink_to(outside)
    for command in (("install", archive), ("host", "init"), ("list",), ("gc",), ("doctor",)):
        errors = host.json(*map(str, command), status=10)["errors"]
        assert [error["code"] for error in errors] == ["root-outside"]
    assert list(outside.iterdir()) == []
    (host.root / "opt").unlink()
    (host.root / "srv").mkdir()
    (host.root / "opt").symlink_to("srv")
    host.install(archive)
    assert (host.root / "srv/tori/releases").is_dir()


def test_this_host_is_meant_by_whatever_name(tmp_path: Path) -> None:
    made = common.parser("x", "x", "x")
    for name in ("//", "/.", "/proc/self/root", f"{tmp_path}/../../../../../../.."):
        assert common.layout_of(made.parse_args(["--root", name])).root == "/"
    assert common.layout_of(made.parse_args(["--root", str(tmp_path)])).root == str(tmp_path)


@pytest.mark.parametrize(("name", "status"), [("nowhere", 2), ("file", 2), ("", 2), ("host/", 0), ("./host/.", 0)])
def test_the_name_of_a_tree(host: Host, tmp_path: Path, name: str, status: int) -> None:
    (tmp_path / "file").write_text("")
    assert run("list", "--root", name, cwd=tmp_path).status == status


# Which release


def test_a_prefix_of_eight_digits_in_any_case(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    capsule_id = host.install(capsule(tmp_path / "archives", secret))
    other = capsule_id[:10] + ("0" if capsule_id[10] != "0" else "1") + capsule_id[11:]
    for place in ("releases", "receipts"):
        shutil.copytree(host.tori / place / capsule_id, host.tori / place / other, symlinks=True)
    receipt = host.tori / "receipts" / other / "receipt.json"
    receipt.write_text(receipt.read_text().replace(capsule_id, other))

    def asked(prefix: str, status: int) -> dict[str, str]:
        ran = host.deploy("pin", prefix, "--json", status=status)
        document: dict[str, list[dict[str, str]]] = json.loads(ran.out)
        return document["errors"][0] if status else {"id": str(document["id"])}

    assert asked(capsule_id[:7], 8)["code"] == "release-id"
    ambiguous = asked(capsule_id[:8], 8)
    assert ambiguous["code"] == "release-ambiguous"
    assert {capsule_id[:11], other[:11]} <= set(re.findall("[0-9a-f]{11}", ambiguous["remedy"]))
    assert asked(capsule_id[:11].upper(), 0)["id"] == capsule_id
    assert asked(other, 0)["id"] == other
    for wrong in ("", "é" * 8, "../../..", f"{capsule_id}0", f"{capsule_id[:12]}\n"):
        assert asked(wrong, 8)["code"] == "release-id"


# What was lost


@pytest.mark.parametrize(("damage", "unsigned"), [("gone", False), ("[" * 100_000, True), ("types", True)])
def test_a_lost_receipt_is_written_anew_by_an_install_of_the_same(
    host: Host, secret: SecretKey, tmp_path: Path, damage: str, unsigned: bool
) -> None:
    """The release is not touched: a service that runs in it goes on."""
    if unsigned:
        host.policy("unsigned: true\nreserve: {bytes: 0, inodes: 0}\nminimum_age: 0s\n")
    archive = capsule(tmp_path / "archives", None if unsigned else secret)
    capsule_id = host.install(archive)
    place = host.tori / "receipts" / capsule_id
    receipt = json.loads((place / "receipt.json").read_text())
    if damage == "gone":
        shutil.rmtree(place)
    else:
        text = json.dumps({**receipt, "installed": "x", "app": 7}) if damage == "types" else damage
        (place / "receipt.json").write_text(text)
    before = snapshot(host.tori / "releases")
    for command in (("list",), ("gc",)):
        assert host.json(*command, status=4)["errors"][0]["code"] == "receipt-damaged"
    assert host.json("install", archive)["fresh"] is False
    assert snapshot(host.tori / "releases") == before
    assert host.json("verify", "--all")["releases"][0]["read"] == 0
    again = json.loads((place / "receipt.json").read_text())
    assert {**again, "installed": receipt["installed"]} == receipt
    check_invariants(host)
    check_tidy(host)


def test_a_release_without_receipt_that_is_damaged_is_known_as_such(
    host: Host, secret: SecretKey, tmp_path: Path
) -> None:
    host.policy("object_store: false\nreserve: {bytes: 0, inodes: 0}\nminimum_age: 0s\n")
    archive = capsule(tmp_path / "archives", secret)
    capsule_id = host.install(archive)
    shutil.rmtree(host.tori / "receipts" / capsule_id)
    program = host.tori / "releases" / capsule_id / "start.sh"
    program.chmod(0o755)
    program.write_bytes(program.read_bytes().replace(b"started", b"stopped"))
    program.chmod(0o555)
    assert host.json("install", archive, status=4)["errors"][0]["code"] == "release-damaged"
    assert host.json("list")["releases"][0]["bad"] is True
    assert list((host.tori / "staging").iterdir()) == []


def test_one_lost_receipt_does_not_hide_the_other_releases(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    first, second = (host.install(capsule(tmp_path / "archives", secret, version=one)) for one in ("1.0.0", "1.0.1"))
    (host.tori / "receipts" / first / "receipt.json").unlink()
    listed = host.json("list", status=4)
    assert [one["id"] for one in listed["releases"]] == [second]
    assert [error["code"] for error in listed["errors"]] == ["receipt-damaged"]
    assert [one["sound"] for one in host.json("verify", "--all", status=4)["releases"]] == [True]


# For programs


def documents(host: Host, commands: Sequence[Sequence[str | Path]]) -> dict[str, list[str]]:
    """The keys of what each command prints with ``--json``: one line, one object."""
    found = {}
    for command in commands:
        ran = host.deploy(str(command[0]), *command[1:], "--json", status=None)
        (line,) = ran.out.splitlines()
        document = json.loads(line)
        name = f"{command[0]} refused" if document.keys() == {"status", "errors"} else str(command[0])
        found[name] = sorted(document)
    return found


def test_each_command_prints_one_object_for_programs(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    """With these keys, which are in the guide."""
    shutil.copy("/etc/passwd", host.root / "etc")
    shutil.copy("/etc/group", host.root / "etc")
    host.deploy("host", "init", "--command", "/bin/true")
    first, second = (capsule(tmp_path / "archives", secret, version=version) for version in ("1.0.0", "1.0.1"))
    one = host.install(first)
    found = documents(
        host,
        [
            ("install", second), ("activate", one), ("status",), ("list",), ("verify", one), ("pin", one),
            ("unpin", one), ("gc",), ("doctor",), ("host", "init", "--command", "/x"), ("recover",),
            ("deactivate",), ("rollback",),
        ],
    )  # fmt: skip
    guide = (Path(__file__).parents[3] / "docs/deploy.md").read_text()
    table = dict(re.findall(r"^\| `([a-z ]+)` \| (`.*) \|$", guide, re.M))
    assert {name: sorted(re.findall("`([a-z_]+)`", table[name])) for name in found} == found
    refusals = [("install", "nowhere"), ("activate", "0" * 8), ("status", "no"), ("verify", "0" * 8), ("pin", "0" * 8)]
    refusals += [("unpin", "0" * 8), ("logs", "0" * 8), ("rollback", "no"), ("deactivate", "no")]
    assert documents(host, refusals) == {f"{name} refused": ["errors", "status"] for name, _ in refusals}
