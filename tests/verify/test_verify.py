"""``capsbuild verify`` as users run it: its exit statuses, what it says, what it leaves on the disk."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from capsule_builder.trust import minisign
from capsule_builder.trust.minisign import SecretKey, SecretKeyFile
from tests.capsbuild.command import COMMAND, ENVIRONMENT, Ran, capsbuild, snapshot
from tests.format import vectors
from tests.format.test_vectors import layers
from tests.reader.bombs import quick_member, zero_file
from tests.reader.forge import Forge, One, small, with_change, with_entries

DOCS = Path(__file__).parents[2] / "docs"
ID = json.loads((vectors.DIRECTORY / "kinds" / "expected.json").read_text())["id"]
GOOD = f"capsule=kinds@1.0.0 id={ID}"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A capsule with one of each kind, under its own name."""
    path = tmp_path / f"capsule-kinds-{ID[:12]}.tar.gz"
    path.write_bytes((vectors.DIRECTORY / "kinds" / "capsule.tar.gz").read_bytes())
    return path


@pytest.fixture(scope="session")
def large() -> bytes:
    """A capsule that takes some time to unpack."""
    return zero_file(1 << 29)


@pytest.fixture(scope="session")
def secret() -> SecretKey:
    return SecretKey.generate()


@pytest.fixture
def key(tmp_path: Path, secret: SecretKey) -> Path:
    """The public key, in a directory of trusted keys."""
    (tmp_path / "keys").mkdir()
    path = tmp_path / "keys" / "release.pub"
    path.write_bytes(secret.public_key.format())
    return path


def sign(archive: Path, secret: SecretKey, comment: str = GOOD) -> None:
    with archive.open("rb") as file:
        signature = minisign.sign(minisign.prehash(file), secret, comment)
    Path(f"{archive}.minisig").write_bytes(signature.format())


def verify(*arguments: str | Path, status: int, code: str = "", **options: object) -> Ran:
    """Runs the command, which must end with ``status``, and refuse by ``code``."""
    ran = capsbuild("verify", *arguments, "--json", **options)
    assert ran.status == status, ran
    assert "Traceback" not in ran.err
    found = json.loads(ran.out)
    assert [error["code"] for error in found.get("errors", [])] == ([code] if code else [])
    assert found.get("status", 0) == status
    return ran


# Over how many processes


def test_any_number_of_jobs_says_the_same(tmp_path: Path, large: bytes) -> None:
    path = tmp_path / "large"
    path.write_bytes(large)
    sound = {verify(path, "--jobs", number, status=0).out for number in ("1", "2", "64")}
    assert len(sound) == 1
    for number in ("0", "65", "two"):
        assert (
            f"argument --jobs: '{number}' is not a number from 1 to 64"
            in capsbuild("verify", path, "--jobs", number).err
        )


def test_a_signature_is_that_of_what_the_processes_have_checked(tmp_path: Path, key: Path, secret: SecretKey) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(with_entries(*(One(f"z{number}", "file", bytes(3 << 20)) for number in range(4))))
    reader = json.loads(verify(archive, status=0).out)
    sign(archive, secret, f"capsule=forged@1.2.3 id={reader['id']}")
    for number in ("1", "2"):
        found = json.loads(verify(archive, "--public-key", key, "--jobs", number, status=0).out)
        assert found["signature"] == "good"
        assert found["size"] == archive.stat().st_size


@pytest.fixture(scope="session")
def long() -> bytes:
    """A capsule that several processes check for some time."""
    entries = [*small(), *(One(f"z{number:02}", "file", bytes(16 << 20)) for number in range(24))]
    tars = [one.tar() for one in entries]
    return Forge([("app", entries)], fragment=lambda _: tars, member=quick_member).build()


def begun(archive: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """The command, and the processes that it has begun."""
    running = subprocess.Popen(
        [*COMMAND, "verify", archive, "--jobs", "2", "--json"],
        env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    while len(found := children.read_text().split()) < 2:
        assert running.poll() is None
        time.sleep(0.002)
    return running, list(map(int, found))


def test_a_process_that_somebody_ends_is_no_fault_of_the_capsule(tmp_path: Path, long: bytes) -> None:
    (tmp_path / "archive").write_bytes(long)
    running, children = begun(tmp_path / "archive")
    os.kill(children[0], signal.SIGKILL)
    out, _ = running.communicate(timeout=60)
    assert (running.returncode, json.loads(out)["errors"][0]["code"]) == (3, "process-ended")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("to_all", [True, False])
def test_a_request_to_stop_ends_all_processes(
    to_all: bool, number: signal.Signals, tmp_path: Path, long: bytes
) -> None:
    """As Ctrl-C does, it may come to all of them."""
    (tmp_path / "archive").write_bytes(long)
    for _ in range(3):
        running, children = begun(tmp_path / "archive")
        (os.killpg if to_all else os.kill)(running.pid, number)
        assert running.communicate(timeout=60) == ("", "ERROR: Stopped; nothing was written.\n")
        assert running.returncode == 128 + number
        assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


# What it says


def test_without_a_key_the_content_is_verified_and_the_signature_is_not(archive: Path) -> None:
    ran = capsbuild("verify", archive)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        f"✅ Capsule verified: {archive}",
        f"   BUILD_SHA: {ID}",
        "   kinds 1.0.0: 11 files in 1 layer, 0.00 MB unpacked",
        "   Signature: not checked (no key was given)",
    ]
    assert capsbuild("verify", archive, "--quiet") == Ran(0, "", "")


def test_the_result_for_programs(archive: Path, key: Path, secret: SecretKey) -> None:
    sign(archive, secret)
    out = json.loads(verify(archive, "--public-key", key, status=0).out)
    assert out == {
        "id": ID,
        "short_id": ID[:12],
        "name": "kinds",
        "version": "1.0.0",
        "archive": str(archive),
        "size": archive.stat().st_size,
        "files": 11,
        "layers": 1,
        "total_size": sum(len(data) for _, kind, data in layers("kinds")["app"] if kind in ("file", "executable")),
        "signature": "good",
        "signed_by": minisign.key_id_text(secret.key_id),
        "trusted_comment": GOOD,
        "extracted_to": None,
    }


def test_the_guide_has_every_option_and_code() -> None:
    guide = (DOCS / "verify.md").read_text()
    offered = set(re.findall(r"^  (--[a-z-]+)", capsbuild("verify", "--help").out, re.M))
    rows = re.findall(r"^\| (`--.*?) \|", guide, re.M)
    assert offered == {option for row in rows for option in re.findall(r"`(--[a-z-]+)", row)}
    package = DOCS.parent / "capsule_builder"
    ours = [package / name for name in ("trust/verify.py", "trust/unpack.py", "trust/file_name.py", "cli/verify.py")]
    raised = "".join(path.read_text() for path in [*package.glob("archive/*.py"), *ours])
    text = raised + "".join((package / name).read_text() for name in ("trust/minisign.py", "paths.py", "cli/report.py"))
    _, _, told = guide.partition("| code |")
    codes = {
        code
        for row in re.findall(r"^\| ((?:`[a-z0-9-]+`(?:, )?)+) \|", told, re.M)
        for code in re.findall("`(.*?)`", row)
    }
    assert len(codes) > 80
    assert {code for code in codes if f'"{code}"' not in text} == set()
    elsewhere = set(re.findall("`([a-z-]+)`", (DOCS / "capsbuild.md").read_text()))
    assert (
        set(re.findall(r'(?:damaged|beyond|refusal|_refused|Problem)\(\s*"([a-z0-9-]+)"', raised)) <= codes | elsewhere
    )


# Signatures


def test_the_keys_are_given_in_any_form(archive: Path, key: Path, secret: SecretKey) -> None:
    sign(archive, secret)
    line = key.read_text().splitlines()[1]
    for options in (
        ["--public-key", key],
        ["--public-key", line],
        ["--trusted-keys", key.parent, "--require-signature"],
    ):
        assert json.loads(verify(archive, *options, status=0).out)["signature"] == "good"


def test_a_missing_signature(archive: Path, key: Path) -> None:
    verify(archive, "--public-key", key, status=5, code="signature-missing")
    verify(archive, "--trusted-keys", key.parent, "--require-signature", status=5, code="signature-missing")
    ran = verify(archive, "--trusted-keys", key.parent, status=0)
    assert ran.err == f"WARNING: Not signed: {archive}\n  Anybody may have made it.\n"
    assert json.loads(ran.out)["signature"] == "missing"


@pytest.mark.parametrize(
    ("comment", "code"),
    [
        (GOOD.replace("kinds", "other"), "signature-other"),
        (GOOD.replace("1.0.0", "1.0.1"), "signature-other"),
        (f"capsule=kinds@1.0.0 id={'0' * 64}", "signature-other"),
        ("timestamp:1", "minisign-claim"),
        ("", "minisign-claim"),
    ],
)
def test_a_signature_of_something_else(archive: Path, key: Path, secret: SecretKey, comment: str, code: str) -> None:
    sign(archive, secret, comment)
    verify(archive, "--public-key", key, status=6, code=code)


def test_a_signature_by_another_key(archive: Path, key: Path, secret: SecretKey) -> None:
    other = SecretKey.generate()
    sign(archive, other)
    verify(archive, "--public-key", key, status=6, code="signature-unknown")
    verify(archive, "--trusted-keys", key.parent, status=6, code="signature-unknown")
    sign(archive, SecretKey(secret.key_id, other.key))  # under the name of the trusted one
    verify(archive, "--public-key", key, status=6, code="minisign-comment-forged")


def test_a_signature_that_was_changed(archive: Path, key: Path, secret: SecretKey) -> None:
    sign(archive, secret)
    place = Path(f"{archive}.minisig")
    good = place.read_text()
    for bad, code in (
        (good.replace("kinds", "kindz"), "minisign-comment-forged"),
        (good + "more\n", "minisign-malformed"),
        (good.replace("\n", "\r\n"), "minisign-malformed"),
        ("", "minisign-malformed"),
        ("\0" * 100_000, "minisign-malformed"),
    ):
        place.write_text(bad, newline="")
        verify(archive, "--public-key", key, status=6, code=code)


def test_another_archive_with_the_same_content(archive: Path, key: Path, secret: SecretKey, tmp_path: Path) -> None:
    """Stamped, it has the same ID, the comment fits, and still these are not the bytes that were signed."""
    sign(archive, secret)
    source = tmp_path / "source"
    assert capsbuild("verify", archive, "--extract-to", source).status == 0
    (source / ".capsuleignore").write_text("/.capsule_*\n")
    assert capsbuild("--from-dir", source, "--output", archive, "--stamp").status == 0
    assert json.loads(verify(archive, status=0).out)["id"] == ID
    out = tmp_path / "out"
    verify(archive, "--public-key", key, "--extract-to", out, status=6, code="minisign-forged")
    assert not out.exists()


def test_signatures_of_the_minisign_program(archive: Path, tmp_path: Path) -> None:
    pair = ["-p", str(tmp_path / "m.pub"), "-s", str(tmp_path / "m.key")]
    subprocess.run(["minisign", "-G", "-W", *pair], check=True, capture_output=True)
    signing = ["minisign", "-S", "-s", str(tmp_path / "m.key"), "-m", str(archive), "-t", GOOD]
    subprocess.run(signing, check=True, capture_output=True)
    verify(archive, "--public-key", tmp_path / "m.pub", "--require-prehashed", status=0)
    subprocess.run([*signing, "-l"], check=True, capture_output=True)  # the legacy form
    verify(archive, "--public-key", tmp_path / "m.pub", status=0)
    verify(archive, "--public-key", tmp_path / "m.pub", "--require-prehashed", status=6, code="signature-legacy")
    with archive.open("ab") as file:
        file.truncate(17 << 20)
    verify(archive, "--public-key", tmp_path / "m.pub", status=6, code="signature-legacy")


# Files that are none


def test_wrong_usage(archive: Path, tmp_path: Path, key: Path) -> None:
    assert capsbuild("verify").status == 2
    assert capsbuild("verify", archive, "--require-signature").status == 2
    assert capsbuild("verify", archive, "--require-prehashed").status == 2
    for option in ("--public-key", "--trusted-keys", "--extract-to"):  # a variable that is not set must not mean none
        ran = capsbuild("verify", archive, option, "")
        assert (ran.status, ran.out) == (2, "")
        assert ran.err.endswith(f"argument {option}: the name is empty\n")
    for arguments in ([archive, ""], [archive, key, ""], [archive, "", "out"]):
        assert subprocess.run(["sh", DOCS / "verify.sh", *arguments], cwd=tmp_path, capture_output=True).returncode == 2
    assert capsbuild("verify", archive, "--public-key", key, "--trusted-keys", key.parent).status == 2
    verify(archive, "--public-key", archive, status=2, code="minisign-malformed")
    (tmp_path / "none").mkdir()
    verify(archive, "--trusted-keys", tmp_path / "none", status=2, code="trusted-keys-none")


def test_what_cannot_be_read(archive: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    verify(tmp_path / "missing", status=3, code="system")
    verify(tmp_path / "fifo", status=3, code="archive-special", wrapper=["timeout", "20"])
    verify(tmp_path, status=3, code="archive-special")
    verify("/dev/zero", status=3, code="archive-special")
    verify(archive, "--public-key", tmp_path / "missing", status=3, code="system")
    verify(archive, "--extract-to", tmp_path / "missing" / "out", status=3, code="system")


def test_damaged_and_misnamed(archive: Path) -> None:
    other = archive.with_name("capsule-kinds-000000000000.tar.gz")
    other.write_bytes(archive.read_bytes())
    verify(other, status=4, code="file-name")
    archive.write_bytes(archive.read_bytes()[:-1])
    ran = verify(archive, status=4, code="archive-truncated")
    assert ran.err.startswith(f"ERROR: {archive}: it ends too early, after 2,147 bytes\n  Fetch it again")


# Unpacking


def everything(root: Path) -> dict[str, object]:
    """Kind, mode, time and content of all below ``root``."""
    found: dict[str, object] = {}
    for path in root.rglob("*"):
        state = path.lstat()
        what = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "directory"
        found[str(path.relative_to(root))] = (oct(state.st_mode), what if path.is_dir() else (state.st_mtime, what))
    return found


@pytest.mark.parametrize("name", vectors.VECTORS)
@pytest.mark.parametrize("umask", ["000", "077"])
def test_it_unpacks_what_tar_unpacks(name: str, umask: str, tmp_path: Path) -> None:
    archive = vectors.DIRECTORY / name / "capsule.tar.gz"
    (tmp_path / "tar").mkdir()
    subprocess.run(["sh", "-c", 'umask 022; tar xzpf "$0" -C "$1"', archive, tmp_path / "tar"], check=True)
    shell = ["sh", "-c", f'umask {umask}; exec "$0" "$@"']
    verify(archive, "--extract-to", tmp_path / "out", status=0, wrapper=shell)
    assert everything(tmp_path / "out") == everything(tmp_path / "tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "tar"]
    assert {path.lstat().st_mtime for path in [tmp_path / "out", *(tmp_path / "out").rglob("*")]} == {946684800}


def test_the_place_must_be_empty(archive: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    verify(archive, "--extract-to", place, status=0)
    before = snapshot(tmp_path)
    verify(archive, "--extract-to", place, status=2, code="extract-exists")
    verify(archive, "--extract-to", archive, status=2, code="extract-exists")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    verify(archive, "--extract-to", tmp_path / "link", status=2, code="extract-exists")
    (tmp_path / "link").unlink()
    (tmp_path / "here").mkdir()
    verify(archive, "--extract-to", ".", status=2, code="extract-exists", cwd=tmp_path / "here")
    (tmp_path / "here").rmdir()
    assert snapshot(tmp_path) == before


def test_a_disk_that_is_too_small(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(zero_file(1 << 50, 1 << 20))
    verify(tmp_path / "a", "--extract-to", tmp_path / "out", status=3, code="extract-space")
    verify(tmp_path / "a", status=4, code="gzip-size")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_damage_at_the_end_leaves_nothing(tmp_path: Path) -> None:
    entries = [One(f"{n:03}/{'d/' * n}file", "file", b"x" * 1000) for n in range(50)]
    archive = with_entries(*entries, One("zz", "file", b"x", content=lambda data: b"y"))
    (tmp_path / "a").write_bytes(archive)
    verify(tmp_path / "a", "--extract-to", tmp_path / "out", status=4, code="content-hash")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_deepest_of_directories(tmp_path: Path) -> None:
    """Deeper than the kernel takes as one path, and than Python calls itself."""
    deep = "/".join(["d"] * 2000)
    (tmp_path / "a").write_bytes(with_entries(One(f"{deep}/file", "file", b"deep")))
    (tmp_path / "b").write_bytes(with_entries(One(f"{deep}/file", "file", b"deep", content=lambda data: b"DEEP")))
    verify(tmp_path / "b", "--extract-to", tmp_path / "out", status=4, code="content-hash")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    verify(tmp_path / "a", "--extract-to", tmp_path / "out", status=0)
    assert (tmp_path / "out" / deep / "file").read_bytes() == b"deep"
    subprocess.run(["rm", "-rf", tmp_path / "out"], check=True)  # too deep for pytest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_leaves_nothing(tmp_path: Path, large: bytes, number: int) -> None:
    (tmp_path / "a").write_bytes(large)
    command = [*COMMAND, "verify", str(tmp_path / "a"), "--extract-to", str(tmp_path / "out")]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        while not any(path.name.endswith(".partial") for path in tmp_path.iterdir()):
            assert process.poll() is None
            time.sleep(0.005)
        time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (128 + number, "ERROR: Stopped; nothing was written.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


STRIKE = """
import os, signal, sys
real, count = os.{function}, 0
def strike(*arguments, **options):
    global count
    count += 1
    if count in {numbers}:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
    return real(*arguments, **options)
os.{function} = strike
from capsule_builder.cli.capsbuild import main
sys.exit(main(sys.argv[1:]))
"""


def struck(function: str, numbers: set[int], *arguments: str | Path) -> tuple[int, str]:
    """Runs the command, which gets three requests to stop at certain calls of a function of ``os``."""
    program = STRIKE.format(function=function, numbers=numbers)
    ran = subprocess.run(
        [sys.executable, "-c", program, "verify", *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ran.returncode, ran.stderr


@pytest.mark.parametrize("numbers", [{1}, {60}, set(range(1, 200))], ids=["the first", "one", "all"])
@pytest.mark.parametrize("function", ["unlink", "rmdir", "open", "mkdir", "write"])
def test_requests_to_stop_never_leave_anything(function: str, numbers: set[int], tmp_path: Path) -> None:
    """Many at once, while it unpacks and while it clears away what turned out to be damaged, too."""
    place = tmp_path / "place"
    place.mkdir()
    files = [One(f"{n:03}/file", "file", b"x" * 1000) for n in range(100)]
    damaged, more = One("zz", "file", b"x", content=lambda data: b"y"), One("zzz", "file", bytes(32 << 20))
    (place / "a").write_bytes(with_entries(*files, damaged, more))  # which is being inflated meanwhile
    status, err = struck(function, numbers, place / "a", "--extract-to", place / "out")
    assert [path.name for path in place.iterdir()] == ["a"]
    assert status in (4, 129, 130, 143)
    assert re.fullmatch(r"ERROR: .*\n(  .*\n)?", err)


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(with_entries(One("large", "file", os.urandom(3_000_000))))
    verify(
        tmp_path / "a", "--extract-to", tmp_path / "out", status=3, code="system",
        wrapper=["sh", "-c", 'ulimit -f 2000; trap "" XFSZ; exec "$0" "$@"'],
    )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


# With tar, sha256sum and minisign alone


@pytest.mark.parametrize("shell", [["dash"], ["busybox", "sh"]], ids=" ".join)
def test_the_script_agrees(shell: list[str], archive: Path, key: Path, secret: SecretKey, tmp_path: Path) -> None:
    def script(*arguments: str | Path) -> tuple[int, str]:
        command = [*shell, str(DOCS / "verify.sh"), *map(str, arguments)]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        return ran.returncode, ran.stdout

    assert script(archive) == (0, f"{ID}\n")
    assert script(archive, key)[0] == 5
    sign(archive, secret)
    assert script(archive, key, "kept") == (0, f"{ID}\n")
    listing = (tmp_path / "kept" / ".capsule_contents").read_bytes()
    assert hashlib.sha256(listing).hexdigest() == ID
    assert script(archive, key, "kept")[0] == 2
    assert script(tmp_path / "missing")[0] == 3
    assert script()[0] == 2

    sign(archive, secret, GOOD.replace(ID, "0" * 64))
    assert script(archive, key)[0] == 6
    sign(archive, SecretKey.generate())
    assert script(archive, key)[0] == 6
    sign(archive, secret)
    good = archive.read_bytes()
    archive.write_bytes(good[:-9] + b"\1" + good[-8:])
    assert script(archive, key)[0] == 6
    assert script(archive)[0] == 4

    for bad in (
        good[:500],
        b"text",
        with_change("data/table.txt", content=lambda data: b"X" + data[1:]),
        with_entries(One("hidden", "file", b"x", listed=False)),
        with_entries(One("hidden", "dir", listed=False)),
        with_entries(One("more", "symlink", b"start.sh", listed=False)),
        Forge(listing=lambda text: text.replace(b" *start", b"  start")).build(),
        Forge(listing=lambda text: text.replace(b"# dir\tvar\n", b"")).build(),
        Forge(listing=lambda text: text.replace(b"\tdata/table.txt", b"\tstart.sh")).build(),
        Forge(listing=lambda text: text.replace(b"\n" + text[22:24], b"\nXX")).build(),
        Forge(metadata=lambda d: d.update(id="0" * 64)).build(),
    ):
        (tmp_path / "bad").write_bytes(bad)
        assert script("bad") == (4, "")
    assert script("bad", "-", "other")[0] == 4
    (tmp_path / "bad").write_bytes(Forge().build())
    assert script("bad", "-", "other")[0] == 0
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted(["bad", archive.name, f"{archive.name}.minisig", "keys", "kept", "other"])


def repacked(*more: tuple[tarfile.TarInfo, bytes], listing: Callable[[bytes], bytes] = lambda text: text) -> bytes:
    """A capsule with more in its tar, packed by Python: sound for whoever sees no further than tar does."""
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(Forge(listing=listing).build())) as old,
        tarfile.open(fileobj=out, mode="w:gz") as new,
    ):
        for info in old:
            new.addfile(info, old.extractfile(info) if info.isreg() else None)
        for info, data in more:
            new.addfile(info, io.BytesIO(data))
    return out.getvalue()


def entry(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, mode: int = 0o644, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.mode, info.linkname, info.uid = len(data), kind, mode, link, 1234
    return info, data


def relisted(line: str) -> Callable[[bytes], bytes]:
    """A listing with a line more."""
    return lambda text: text + line.encode()


EMPTY = hashlib.sha256().hexdigest()
FOR_THE_SCRIPT: dict[str, Callable[[], bytes]] = {
    "a file in the reserved names": lambda: repacked(entry(".capsule_hidden", b"x")),
    "a file below the reserved names": lambda: repacked(entry(".capsule_hidden/x", b"x")),
    "a file whose line is a comment": lambda: repacked(
        entry("z", b"evil"), listing=relisted(f"#{'0' * 64} z\n"),
    ),
    "a fifo": lambda: repacked(entry("z", kind=tarfile.FIFOTYPE), listing=relisted(f"{EMPTY}  z\n")),
    "standard input": lambda: repacked(listing=relisted(f"{EMPTY}  -\n")),
    "a set-user-id program": lambda: repacked(
        entry("z", b"", mode=0o4755), listing=relisted(f"{EMPTY} *z\n")
    ),
    "a mode that nobody lists": lambda: repacked(entry("z", b"", mode=0o600), listing=relisted(f"{EMPTY}  z\n")),
    "a hard link": lambda: repacked(
        entry("z", kind=tarfile.LNKTYPE, link="start.sh"),
        listing=lambda text: text + re.findall(rb"([0-9a-f]{64} .)start.sh\n", text)[0] + b"z\n",
    ),
    "a directory that nobody can remove": lambda: repacked(entry("z", kind=tarfile.DIRTYPE, mode=0)),
    "metadata that are a link": lambda: repacked(entry(".capsule_metadata.json", kind=tarfile.SYMTYPE, link="link")),
    "a place outside": lambda: repacked(entry("out", kind=tarfile.SYMTYPE, link=".."), entry("out/x", b"x")),
}  # fmt: skip


@pytest.mark.parametrize("name", FOR_THE_SCRIPT)
@pytest.mark.parametrize("alone", [False, True], ids=["GNU", "busybox"])
def test_the_script_is_not_fooled(name: str, alone: bool, tmp_path: Path) -> None:
    """As root, too, for whom tar gives files to whoever it says, with all bits of their modes."""
    (tmp_path / "bin").mkdir()
    subprocess.run(["busybox", "--install", "-s", tmp_path / "bin"], check=True)
    (tmp_path / "bad").write_bytes(FOR_THE_SCRIPT[name]())
    shell = [tmp_path / "bin" / "sh"] if alone else ["dash"]
    ran = subprocess.run(
        [*shell, DOCS / "verify.sh", "bad", "-", "kept"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env={"PATH": str(tmp_path / "bin") if alone else os.environ["PATH"]}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (4, ""), ran.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "bin"]


@pytest.mark.parametrize("name", ["host:capsule", "-x", "a b'c\nd"])
def test_the_script_takes_any_name(name: str, archive: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(archive.read_bytes())
    command = ["dash", DOCS / "verify.sh", name, "-", f"{name}.d"]
    ran = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env={**os.environ, "CDPATH": "/"}
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{ID}\n", "")
    assert (tmp_path / f"{name}.d" / "capsule.yml").exists()


def test_the_script_holds_the_names_against_the_content(
    archive: Path, key: Path, secret: SecretKey, tmp_path: Path
) -> None:
    def status(path: Path) -> int:
        return subprocess.run(["dash", DOCS / "verify.sh", path, key], capture_output=True, timeout=60).returncode

    for name in (f"capsule-other-{ID[:12]}.tar.gz", "capsule-kinds-000000000000.tar.gz"):
        misnamed = archive.with_name(name)
        misnamed.write_bytes(archive.read_bytes())
        sign(misnamed, secret)
        assert status(misnamed) == 4
    sign(archive, secret)
    assert status(archive) == 0
    sign(archive, secret, GOOD.replace("kinds", "other"))
    assert status(archive) == 6


def test_the_script_is_short() -> None:
    assert len((DOCS / "verify.sh").read_text().splitlines()) <= 60


# The name of the file


@pytest.mark.parametrize("name", ["capsule-kinds-000000000000.tar.gz", f"capsule-other-{ID[:12]}.tar.gz"])
def test_every_command_that_opens_a_capsule_refuses_one_that_is_named_after_another(
    archive: Path, name: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.key"
    secret.write_bytes(SecretKeyFile.seal(SecretKey.generate(), None).format())
    secret.chmod(0o600)
    misnamed = tmp_path / "place" / name
    misnamed.parent.mkdir()
    misnamed.write_bytes(archive.read_bytes())
    before = snapshot(tmp_path)
    for status, command in (
        (4, ["verify", misnamed, "--extract-to", tmp_path / "out"]),
        (4, ["inspect", misnamed]),
        (4, ["diff", archive, misnamed]),
        (4, ["diff", misnamed, archive]),
        (4, ["report", misnamed, "--html", tmp_path / "page"]),
        (4, ["report", archive, misnamed, "--html", tmp_path / "page"]),
        (4, ["provenance", misnamed]),
        (4, ["sbom", misnamed]),
        (4, ["reproduce", misnamed, "--from-dir", tmp_path]),
        (1, ["sign", misnamed, "--key", secret]),
        (1, ["sign", misnamed, "--key", secret, "--output-dir", tmp_path / "out"]),
    ):
        ran = capsbuild(*command)
        assert (ran.status, ran.out) == (status, ""), command
        assert ran.err.startswith(f"ERROR: Named after another capsule than {archive.name}: {misnamed}\n"), command
    assert snapshot(tmp_path) == before
    misnamed.rename(misnamed.with_name("renamed.tar.gz"))
    assert capsbuild("inspect", misnamed.with_name("renamed.tar.gz")).status == 0
