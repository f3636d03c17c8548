"""``capsdeploy install``: what is put on the host, what is refused, and that nothing is left of what is refused."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from capsule_builder.trust.minisign import Claim, SecretKey
from tests.deploy.hosts import (
    COMMAND,
    ENVIRONMENT,
    Host,
    capsule,
    check_invariants,
    check_release,
    check_tidy,
    id_of,
    sign,
    snapshot,
)
from tests.reader.bombs import zero_file
from tests.reader.forge import One


def refused(host: Host, archive: Path | str, status: int, code: str) -> str:
    """Installs, which must be refused, and leave everything as it was; gives the message."""
    before = snapshot(host.root, without=["opt/tori/staging", "opt/tori/lock"])
    made = {"opt", "opt/tori", *(f"opt/tori/{name}" for name in ("staging", "lock", "objects", "receipts", "releases"))}
    document = host.json("install", archive, status=status)
    assert document["status"] == status
    assert document["errors"][0]["code"] == code, document
    after = snapshot(host.root, without=["opt/tori/staging", "opt/tori/lock"])
    assert {name: what for name, what in after.items() if name not in made} == {
        name: what for name, what in before.items() if name not in made
    }
    if (host.tori / "staging").exists():
        assert list((host.tori / "staging").iterdir()) == []
    return str(document["errors"][0]["message"])


def test_a_capsule_becomes_a_release(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret)
    ran = host.deploy("install", archive)
    capsule_id = id_of(archive.read_bytes())
    assert ran.err == ""
    assert ran.out.splitlines()[:3] == [
        "✅ Capsule installed: forged 1.2.3",
        f"   Release: {capsule_id[:12]}",
        f"   BUILD_SHA: {capsule_id}",
    ]
    release = host.tori / "releases" / capsule_id
    check_release(release)
    check_invariants(host)
    check_tidy(host)
    receipt = json.loads((host.tori / "receipts" / capsule_id / "receipt.json").read_text())
    assert receipt["id"] == capsule_id
    assert (receipt["app"], receipt["version"], receipt["files"]) == ("forged", "1.2.3", 3)
    assert receipt["signed_by"] and receipt["trusted_comment"] == f"capsule=forged@1.2.3 id={capsule_id}"
    assert receipt["archive_size"] == archive.stat().st_size
    signature = (host.tori / "receipts" / capsule_id / "signature.minisig").read_bytes()
    assert signature.splitlines()[1:] == Path(f"{archive}.minisig").read_bytes().splitlines()[1:]
    done = subprocess.run(
        ["sha256sum", "--strict", "--quiet", "-c", ".capsule_contents"], cwd=release, check=False, capture_output=True
    )
    assert (done.returncode, done.stdout) == (0, b"")
    assert (release / "start.sh").stat().st_mtime == 946684800


def test_the_result_for_programs(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret)
    document = host.json("install", archive)
    assert document["short_id"] == document["id"][:12]
    assert document["path"] == str(host.tori / "releases" / document["id"])
    assert (document["fresh"], document["written_files"], document["shared_files"]) == (True, 3, 0)
    assert {"rlimits", "no_new_privs", "no capabilities"} <= set(document["confined_by"])
    assert any(name.startswith("landlock") for name in document["confined_by"])


def test_to_install_again_changes_nothing(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret)
    host.install(archive)
    before = snapshot(host.root)
    document = host.json("install", archive)
    assert document["fresh"] is False
    assert snapshot(host.root) == before


def test_files_that_are_there_are_not_written_again(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    first = host.install(capsule(tmp_path / "archives", secret))
    more = One("more.txt", "file", b"more\n")
    document = host.json("install", capsule(tmp_path / "archives", secret, more, version="1.2.4"))
    assert document["written_files"] == 2  # and the manifest
    one, other = (host.tori / "releases" / id_ for id_ in (first, document["id"]))
    assert (one / "start.sh").stat().st_ino == (other / "start.sh").stat().st_ino
    assert (one / "capsule.yml").stat().st_ino != (other / "capsule.yml").stat().st_ino
    check_invariants(host)
    check_tidy(host)


def test_without_the_store_of_objects_releases_share_nothing(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    host.policy("object_store: false\nreserve: {bytes: 0}\n")
    twin = One("twin.sh", "executable", b"#!/bin/sh\necho started\n")
    for version in ("1.0.0", "1.0.1"):
        host.install(capsule(tmp_path / "archives", secret, twin, version=version))
    names = {path: path.stat().st_ino for path in (host.tori / "releases").glob("*/*.sh")}
    assert len(names) == len(set(names.values())) == 4
    check_invariants(host)
    check_tidy(host)
    assert list((host.tori / "objects").iterdir()) == []


def test_an_object_that_somebody_changed_is_not_used(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    first = host.install(capsule(tmp_path / "archives", secret))
    program = host.tori / "releases" / first / "start.sh"
    program.chmod(0o755)
    program.write_bytes(program.read_bytes().replace(b"started", b"stopped"))
    program.chmod(0o555)
    os.utime(program, (946684800, 946684800))
    second = host.install(capsule(tmp_path / "archives", secret, One("x", "file", b"x"), version="2.0.0"))
    check_release(host.tori / "releases" / second)
    host.json("verify", first, status=4)
    host.json("verify", second)


def test_an_object_that_nobody_knows_is_read_before_it_is_used(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    first = host.install(capsule(tmp_path / "archives", secret))
    (host.tori / "receipts" / first / "state").unlink()
    second = host.json("install", capsule(tmp_path / "archives", secret, version="2.0.0"))
    assert second["written_files"] == 1
    check_invariants(host)


# Trust


def test_no_signature(host: Host, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", None)
    assert "No signature" in refused(host, archive, 3, "signature-missing")


def test_a_key_that_is_not_trusted(host: Host, tmp_path: Path) -> None:
    refused(host, capsule(tmp_path / "archives", SecretKey.generate()), 3, "signature-unknown")


def test_a_changed_byte(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret)
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    refused(host, archive, 3, "minisign-forged")


def test_nothing_is_parsed_that_is_not_signed(host: Host, tmp_path: Path) -> None:
    archive = tmp_path / "x"
    archive.write_bytes(b"PK this is a ZIP")
    refused(host, archive, 3, "signature-missing")
    sign(archive, SecretKey.generate(), "capsule=forged@1 id=" + "0" * 64)
    refused(host, archive, 3, "signature-unknown")


@pytest.mark.parametrize("field", ["name", "version", "id"])
def test_the_signature_of_another_capsule(host: Host, secret: SecretKey, tmp_path: Path, field: str) -> None:
    archive = capsule(tmp_path / "archives", secret)
    says = {"name": "forged", "version": "1.2.3", "id": id_of(archive.read_bytes())}
    says[field] = {"name": "other", "version": "1.2.4", "id": "0" * 64}[field]
    sign(archive, secret, str(Claim(**says)))
    refused(host, archive, 3, "signature-other")


def test_a_comment_that_names_no_capsule(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret)
    sign(archive, secret, "timestamp:1 file:x")
    refused(host, archive, 3, "minisign-claim")


def test_no_trusted_key(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    (host.root / "etc/tori/trust/release.pub").unlink()
    refused(host, capsule(tmp_path / "archives", secret), 3, "trust-none")


def test_unsigned_only_where_the_policy_says_so(host: Host, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", None)
    host.policy("unsigned: true\nreserve: {bytes: 0}\n")
    ran = host.deploy("install", archive)
    assert ran.err.startswith("WARNING: Not signed: ")
    (listed,) = host.json("list")["releases"]
    assert listed["signed_by"] is None
    assert "unsigned" in host.deploy("list").out


def test_unsigned_is_not_signed_by_somebody_else(host: Host, tmp_path: Path) -> None:
    host.policy("unsigned: true\n")
    refused(host, capsule(tmp_path / "archives", SecretKey.generate()), 3, "signature-unknown")


# Policy, room, the place


def test_larger_than_the_policy_allows(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    big = capsule(tmp_path / "archives", secret, One("big", "file", bytes(3 << 20)))
    host.policy("max_size: 1M\nreserve: {bytes: 0}\n")
    refused(host, big, 5, "policy-size")
    host.policy("max_size: 1K\nreserve: {bytes: 0}\n")
    refused(host, big, 5, "archive-size")


def test_no_room(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret)
    host.policy("reserve: {bytes: 900T}\n")
    refused(host, archive, 6, "space-bytes")
    host.policy("reserve: {bytes: 0, inodes: 999999999}\n")
    refused(host, archive, 6, "space-inodes")


def test_a_full_disk(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    """A real file system of 2 MiB, in which the archive does not fit whatever the policy says."""
    small = tmp_path / "small"
    small.mkdir()
    archive = capsule(tmp_path / "archives", secret, One("big", "file", os.urandom(4 << 20)))
    (host.root / "opt/tori").mkdir(parents=True)
    script = 'mount -t tmpfs -o size=2m,mode=755 none "$1" && shift && exec "$@"'
    mounted = ["unshare", "--mount", "sh", "-c", script, "sh", str(host.root / "opt/tori")]
    line = [*mounted, *COMMAND, "install", "--root", str(host.root), "--json", str(archive)]
    ran = subprocess.run(line, env=ENVIRONMENT, capture_output=True, check=False)
    assert ran.returncode == 6, ran
    assert json.loads(ran.stdout)["errors"][0]["code"] in ("space-bytes", "system")


def test_a_bad_policy_is_told(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret)
    host.policy("unsignd: true\n")
    refused(host, archive, 5, "unknown-key")


def test_what_is_no_file(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret)
    for name in ("link", "fifo", "directory"):
        Path(tmp_path / f"{name}.minisig").write_bytes(Path(f"{archive}.minisig").read_bytes())
    (tmp_path / "link").symlink_to(archive)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    refused(host, tmp_path / "link", 2, "archive-special")
    refused(host, tmp_path / "fifo", 2, "archive-special")
    refused(host, tmp_path / "directory", 2, "archive-special")
    refused(host, tmp_path / "nowhere", 2, "archive-missing")
    refused(host, archive / "inside", 2, "archive-missing")


def test_a_store_that_others_may_write(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret)
    host.install(archive)
    for name in ("staging", "objects", "releases"):
        (host.tori / name).chmod(0o777)
        assert host.json("install", archive, status=10)["errors"][0]["code"] == "host-unguarded"
        (host.tori / name).chmod(0o755)


def test_the_short_id_of_another_release(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret)
    capsule_id = host.install(archive)
    other = capsule_id[:12] + "0" * 52
    for place in ("releases", "receipts"):
        (host.tori / place / capsule_id).rename(host.tori / place / other)
    receipt = host.tori / "receipts" / other / "receipt.json"
    receipt.write_text(receipt.read_text().replace(capsule_id, other))
    document = host.json("install", archive, status=5)
    assert document["errors"][0]["code"] == "release-clash"
    assert host.releases() == [other]
    assert list((host.tori / "staging").iterdir()) == []


def test_a_release_that_was_changed_is_not_taken_for_sound(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret)
    capsule_id = host.install(archive)
    (host.tori / "releases" / capsule_id / "extra").write_bytes(b"x")
    assert host.json("install", archive, status=4)["errors"][0]["code"] == "release-damaged"


def test_wrong_usage(host: Host) -> None:
    assert host.deploy("install", status=2).err.startswith("usage: ")
    ran = subprocess.run([*COMMAND, "instal"], env=ENVIRONMENT, capture_output=True, check=False)
    assert ran.returncode == 2
    assert host.json("verify", "12345678", status=8)["errors"][0]["code"] == "release-missing"


# Hostile archives that somebody signed: the reader still refuses them


def test_a_bomb(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    """Much more than the policy allows comes out of a few bytes: it is refused by what the index says of it."""
    archive = tmp_path / "bomb.tar.gz"
    archive.write_bytes(zero_file(1 << 30))
    sign(archive, secret, str(Claim("forged", "1.2.3", id_of(archive.read_bytes()))))
    host.policy("max_size: 100M\nreserve: {bytes: 0}\n")
    refused(host, archive, 5, "policy-size")


# Side by side


def start(host: Host, *arguments: str | Path) -> subprocess.Popen[bytes]:
    line = [*COMMAND, arguments[0], "--root", str(host.root), *map(str, arguments[1:])]
    return subprocess.Popen(line, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_the_same_capsule_installed_six_times_at_once(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret, One("big", "file", os.urandom(1 << 20)))
    running = [start(host, "install", "--wait", archive) for _ in range(6)]
    assert [process.wait(60) for process in running] == [0] * 6
    said = [process.stdout.read().decode() for process in running if process.stdout]
    assert sum("Capsule installed:" in text for text in said) == 1
    check_invariants(host)
    check_tidy(host)


def test_different_capsules_installed_at_once_beside_gc(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archives = [capsule(tmp_path / "archives", secret, version=f"1.0.{number}") for number in range(5)]
    running = [start(host, "install", "--wait", archive) for archive in archives]
    running += [start(host, "gc", "--wait", "--keep", "9") for _ in range(3)]
    assert [process.wait(60) for process in running] == [0] * 8
    assert len(host.releases()) == 5
    check_invariants(host)
    check_tidy(host)


def test_whoever_does_not_wait_is_told_that_another_is_at_work(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret)
    host.install(archive)
    holder = subprocess.Popen(["flock", str(host.tori / "lock"), "sleep", "60"])
    try:
        time.sleep(0.3)
        assert host.json("install", archive, status=7)["errors"][0]["code"] == "busy"
        assert host.json("gc", status=7)["errors"][0]["code"] == "busy"
        assert len(host.json("list")["releases"]) == 1
    finally:
        holder.terminate()
        holder.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_asks_it_to_stop_finds_nothing_left(
    host: Host, secret: SecretKey, tmp_path: Path, number: signal.Signals
) -> None:
    archive = capsule(tmp_path / "archives", secret, One("big", "file", os.urandom(24 << 20)))
    stopped = 0
    for wait in (0.2, 0.3, 0.4, 0.5):
        process = start(host, "install", archive)
        time.sleep(wait)
        process.send_signal(number)
        status = process.wait(30)
        stopped += status == 128 + number
        assert status in (0, 128 + number, -number)  # the last: before it listens
        if status in (0, -number) and (host.tori / "releases").exists():  # or it came as the process was ending
            host.deploy("gc", "--keep", "0")
        if (host.tori / "staging").exists():
            check_tidy(host)
            assert host.releases() == []
    assert stopped


def test_an_archive_that_changes_while_it_is_installed(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    """What was verified is what is installed, or it is refused; never what came later."""
    archive = capsule(tmp_path / "archives", secret, One("big", "file", bytes(range(256)) * 40_000))
    good = archive.read_bytes()
    for wait in (0.1, 0.15, 0.2, 0.3):
        process = start(host, "install", archive)
        time.sleep(wait)
        with archive.open("r+b") as file:
            file.seek(len(good) // 2)
            file.write(bytes(1000))
        assert process.wait(30) in (0, 3)
        for release in (host.tori / "releases").iterdir():
            check_release(release)
        host.deploy("gc", "--keep", "0")
        archive.write_bytes(good)


def test_a_killed_command_keeps_nobody_out(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret, One("big", "file", os.urandom(24 << 20)))
    for wait in (0.2, 0.3, 0.4):
        process = start(host, "install", archive)
        time.sleep(wait)
        process.kill()
        process.wait()
        host.deploy("gc", "--keep", "0")
        if (host.tori / "staging").exists():  # not when it was killed before it had begun
            check_tidy(host)


def test_help_is_quick_and_has_examples() -> None:
    took = []
    for _ in range(5):
        begin = time.perf_counter()
        ran = subprocess.run([*COMMAND, "--help"], env=ENVIRONMENT, capture_output=True, check=True)
        took.append(time.perf_counter() - begin)
    assert min(took) < 0.15
    assert b"capsdeploy install capsule-" in ran.stdout
    for command in ("install", "list", "verify", "gc", "pin", "unpin"):
        ran = subprocess.run([*COMMAND, command, "--help"], env=ENVIRONMENT, capture_output=True, check=True)
        assert f"examples:\n  capsdeploy {command}".encode() in ran.stdout


def test_nothing_but_what_a_host_has_to_trust_is_imported(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret)
    script = (
        "import sys; from capsule_deploy.cli.capsdeploy import main; "
        f"assert main(['install', '--root', {str(host.root)!r}, {str(archive)!r}]) == 0; "
        "print(sorted({module.__file__ for module in list(sys.modules.values()) if getattr(module, '__file__', None)}))"
    )
    ran = subprocess.run([*COMMAND[:1], "-c", script], env=ENVIRONMENT, capture_output=True, check=True)
    files = [path for path in eval(ran.stdout.decode().splitlines()[-1]) if "-packages/" in path]
    found = {path.partition("-packages/")[2].partition("/")[0].partition(".")[0] for path in files}
    ours = {"nacl", "yaml", "_yaml", "deflate", "_cffi_backend", "cffi"}
    assert found - ours <= {"_distutils_hack", "sitecustomize"}, found


def test_the_store_is_for_root_alone(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    host.install(capsule(tmp_path / "archives", secret))
    assert stat.S_IMODE((host.tori / "staging").stat().st_mode) == 0o700
    assert stat.S_IMODE((host.tori / "objects").stat().st_mode) == 0o700
    assert stat.S_IMODE((host.tori / "releases").stat().st_mode) == 0o755


def test_without_threads_it_takes_longer_and_that_is_all(host: Host, secret: SecretKey, tmp_path: Path) -> None:
    archive = capsule(tmp_path / "archives", secret)
    wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=?clone3,?clone"]
    wrapper += ["-e", "inject=clone3:error=EAGAIN"]
    host.deploy("install", archive, wrapper=wrapper)
    check_invariants(host)
