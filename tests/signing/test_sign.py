"""``capsbuild sign`` and ``capsbuild --sign``: what is signed, what is refused, and what is left behind."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from capsule_builder.errors import CapsuleError
from capsule_builder.output import NewFile
from capsule_builder.trust import minisign, signing
from capsule_builder.trust.minisign import Claim, PublicKey, Signature, key_id_text
from tests.capsbuild.command import ENVIRONMENT, NO_VENV, OLDER, Ran, Snapshot, capsbuild, snapshot, write
from tests.minisign.test_minisign import made_by_minisign, run_minisign
from tests.signing.conftest import PASSWORD, Keys

STOPPED = "ERROR: Stopped; nothing was written.\n"


def capsule_id(archive: Path) -> str:
    """The ID, by tar and sha256sum."""
    listing = subprocess.run(["tar", "xzOf", archive, ".capsule_contents"], capture_output=True, check=True).stdout
    return hashlib.sha256(listing).hexdigest()


def believed(archive: Path, public: Path) -> str:
    """The trusted comment of a signature that the real minisign believes."""
    ran = run_minisign("-V", "-H", "-Q", "-p", public, "-m", archive)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.removesuffix("\n")


# minisign in both directions


@pytest.mark.parametrize("key", ["clear", "sealed"])
def test_minisign_believes_what_we_sign(capsule: Path, keys: Keys, key: str) -> None:
    ran = capsbuild("sign", capsule, "--key", getattr(keys, key), env=keys.env)
    comment = f"capsule=alan@2.1.0 id={capsule_id(capsule)}"
    assert ran == Ran(
        0,
        f"✅ Capsule signed: {capsule}\n   Signature: {capsule}.minisig\n   Signed: {comment}\n"
        f"   Key: {key_id_text(keys.secret.key_id)}\n",
        "",
    )
    assert believed(capsule, keys.public) == comment
    capsule.write_bytes(capsule.read_bytes() + b"x")
    assert run_minisign("-V", "-p", keys.public, "-m", capsule).returncode == 1


@pytest.mark.parametrize("password", [None, "correct horse é", ""], ids=["clear", "password", "empty password"])
def test_keys_of_minisign_sign_here(tmp_path: Path, capsule: Path, password: str | None) -> None:
    public, secret = made_by_minisign(tmp_path, password=password, memory=300 << 20 if password is not None else None)
    write(tmp_path, {"password": f"{password}\n"})
    (tmp_path / "password").chmod(0o600)
    env = {"CAPSULE_SIGN_PASSWORD_FILE": str(tmp_path / "password")} if password is not None else {}
    ran = capsbuild("sign", capsule, "--key", secret, env=env)
    assert (ran.status, ran.err) == (0, "")
    assert believed(capsule, public) == f"capsule=alan@2.1.0 id={capsule_id(capsule)}"


def test_a_signature_of_minisign_is_read_here_and_is_not_lost(capsule: Path, keys: Keys) -> None:
    file = Path(f"{capsule}.minisig")
    assert run_minisign("-S", "-s", keys.clear, "-m", capsule, "-t", "theirs").returncode == 0
    theirs = Signature.parse(file.read_bytes())
    with capsule.open("rb") as archive:
        assert minisign.verify(theirs, archive, PublicKey.parse(keys.public.read_bytes())) == "theirs"
    ran = capsbuild("sign", capsule, "--key", keys.clear)
    remedy = "\n  Remove it, name another with --output, or replace it with --force.\n"
    assert ran == Ran(1, "", f"ERROR: Another signature is there already: {file}{remedy}")
    assert Signature.parse(file.read_bytes()) == theirs
    assert capsbuild("sign", capsule, "--key", keys.clear, "--force").status == 0
    assert Claim.parse(believed(capsule, keys.public)) == Claim("alan", "2.1.0", capsule_id(capsule))
    assert capsbuild("sign", capsule, "--key", keys.clear).status == 0  # the same one is no obstacle


# What the command does


def test_json_is_one_object(capsule: Path, keys: Keys) -> None:
    keys.clear.chmod(0o644)
    ran = capsbuild("sign", capsule, "--key", keys.clear, "--output", f"{capsule}.other", "--json")
    warning = f"Secret key is open to others: {keys.clear} (mode 0644)\n  Close it: chmod 600."
    assert (ran.status, ran.err, ran.out.count("\n")) == (0, f"WARNING: {warning}\n", 1)
    assert json.loads(ran.out) == {
        "id": capsule_id(capsule),
        "name": "alan",
        "version": "2.1.0",
        "archive": str(capsule),
        "signature": f"{capsule}.other",
        "trusted_comment": f"capsule=alan@2.1.0 id={capsule_id(capsule)}",
        "key_id": key_id_text(keys.secret.key_id),
        "warnings": [warning],
    }
    assert sorted(os.listdir(capsule.parent)) == ["app.tar.gz", "app.tar.gz.other"]


def test_json_of_a_refusal_lists_the_errors(tmp_path: Path, capsule: Path) -> None:
    ran = capsbuild("sign", capsule, "--key", tmp_path / "absent", "--json")
    (error,) = json.loads(ran.out)["errors"]
    assert error == {
        "code": "key-missing",
        "message": f"Secret key not found: {tmp_path}/absent\n  Name an existing one.",
    }
    assert (ran.status, ran.err) == (1, f"ERROR: {error['message']}\n")


def test_a_copy_has_its_real_name_and_its_signature_beside_it(tmp_path: Path, capsule: Path, keys: Keys) -> None:
    capsule.chmod(0o555)
    out = tmp_path / "new" / "dist"
    copy = out / f"capsule-alan-{capsule_id(capsule)[:12]}.tar.gz"
    write(tmp_path, {"new/dist/other": "", f"new/dist/{copy.name}": OLDER, f"new/dist/{copy.name}.minisig": b"older"})
    assert capsbuild("sign", capsule, "--key", keys.clear, "--output-dir", out, umask=0o027).status == 0
    assert sorted(path.name for path in out.iterdir()) == [copy.name, f"{copy.name}.minisig", "other"]
    assert copy.read_bytes() == capsule.read_bytes()
    assert [path.stat().st_mode & 0o777 for path in (copy, Path(f"{copy}.minisig"))] == [0o640, 0o640]
    assert believed(copy, keys.public).startswith("capsule=alan@2.1.0 id=")
    assert os.listdir(capsule.parent) == ["app.tar.gz"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["x"], "the following arguments are required: --key"),
        (["--key", "k"], "the following arguments are required: FILE"),
        (["x", "--key", ""], "argument --key: the name is empty"),
        (["x", "--key", "k", "--output", "a", "--output-dir", "b"],
         "argument --output-dir: not allowed with argument --output"),
        (["x", "--key", "k", "--password", "p"], "unrecognized arguments: --password p"),
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_two(arguments: list[str], error: str, tmp_path: Path) -> None:
    ran = capsbuild("sign", *arguments, cwd=tmp_path)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("usage: capsbuild sign ")
    assert ran.err.endswith(f"capsbuild sign: error: {error}\n")


# What is not signed


def packed(*files: tuple[str, bytes]) -> bytes:
    """A tar.gz with these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def forged(capsule: bytes, old: bytes, new: bytes) -> bytes:
    """A capsule with other bytes in its tar, in sound gzip."""
    plain = gzip.decompress(capsule)
    assert plain.count(old) >= 1
    assert len(old) == len(new)
    return gzip.compress(plain.replace(old, new, 1), mtime=0)


def files(folder: Path) -> Snapshot:
    """Every file; the times of directories tell of temporary files, too."""
    return {name: facts for name, facts in snapshot(folder).items() if not (folder / name).is_dir()}


UNSOUND = {
    "empty": lambda _: b"",
    "text": lambda _: b"#!/bin/sh\n",
    "another archive": lambda _: packed(("a", b"b")),
    "no JSON": lambda _: packed((".capsule_metadata.json", b"{"), (".capsule_contents", b"")),
    "another JSON": lambda _: packed((".capsule_metadata.json", b"[]"), (".capsule_contents", b"")),
    "cut off": lambda data: data[:-20],
    "cut in the middle": lambda data: data[: len(data) // 2],
    "a flipped bit": lambda data: data[:-60] + bytes([data[-60] ^ 1]) + data[-59:],
    "garbage at the end": lambda data: data + b"garbage",
    "another listing": lambda data: forged(data, b"# capsule-contents v1", b"# capsule-contents v2"),
    "another ID": lambda data: forged(data, b'"id": "', b'"id":"0'),
}


@pytest.mark.parametrize("case", UNSOUND)
@pytest.mark.parametrize("arguments", [(), ("--force",), ("--output-dir", "dist")])
def test_what_is_no_sound_capsule_is_not_signed(
    capsule: Path, keys: Keys, case: str, arguments: tuple[str, ...]
) -> None:
    capsule.write_bytes(UNSOUND[case](capsule.read_bytes()))
    write(capsule.parent, {f"dist/{name}": OLDER for name in ("other", "capsule-alan.tar.gz")})
    before = files(capsule.parent)
    ran = capsbuild("sign", capsule.name, "--key", keys.clear, *arguments, "--json", cwd=capsule.parent)
    assert (ran.status, ran.err.startswith("ERROR: "), "Traceback" in ran.err) == (1, True, False)
    assert all(capsule.name in error["message"] for error in json.loads(ran.out)["errors"])
    assert files(capsule.parent) == before


def test_a_directory_that_was_made_for_a_copy_goes_again_when_there_is_none(capsule: Path, keys: Keys) -> None:
    data = bytearray(capsule.read_bytes())
    data[-60] ^= 1  # after the head, so the directory has been made by then
    capsule.write_bytes(data)
    before = snapshot(capsule.parent)
    ran = capsbuild("sign", capsule, "--key", keys.clear, "--output-dir", capsule.parent / "new" / "dist")
    assert ran.status == 1
    assert snapshot(capsule.parent) == before


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("absent", "Cannot sign the capsule: No such file or directory (absent)\n  Nothing was written."),
        (".", "Not a regular file: .\n  Name a capsule."),
        ("/dev/null", "Not a regular file: /dev/null\n  Name a capsule."),
    ],
)
@pytest.mark.parametrize("option", ["--output", "--output-dir"])
def test_what_is_no_file_is_not_signed(tmp_path: Path, keys: Keys, name: str, error: str, option: str) -> None:
    before = snapshot(tmp_path)
    ran = capsbuild("sign", name, "--key", keys.clear, option, "new", cwd=tmp_path)
    assert ran == Ran(1, "", f"ERROR: {error}\n")
    assert snapshot(tmp_path) == before


def test_a_capsule_that_changes_while_it_is_copied_is_not_signed(
    app: Path, capsule: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into another sound one, even: between the look at its name and the copy."""
    write(app, {"more": "content"})
    assert capsbuild("--from-dir", app, "--output", app.parent / "other", "--quiet").status == 0

    def new_file(path: str) -> NewFile:
        capsule.write_bytes((app.parent / "other").read_bytes())
        return NewFile(path)

    monkeypatch.setattr(signing, "NewFile", new_file)
    with pytest.raises(CapsuleError) as refused:
        signing.sign_copy(str(capsule), keys.secret, str(capsule.parent))
    assert [problem.code for problem in refused.value.problems] == ["sign-changed"]
    assert os.listdir(capsule.parent) == ["app.tar.gz"]


@pytest.mark.parametrize("place", ["a directory", "a link", "absent/signature"])
def test_a_place_where_no_signature_can_be_is_refused(capsule: Path, keys: Keys, place: str) -> None:
    folder = capsule.parent
    (folder / "a directory").mkdir()
    (folder / "a link").symlink_to("elsewhere")
    before = snapshot(folder)
    ran = capsbuild("sign", capsule, "--key", keys.clear, "--output", folder / place, "--force")
    assert (ran.status, ran.out, ran.err.startswith("ERROR: Output ")) == (1, "", True)
    assert snapshot(folder) == before


def test_neither_the_capsule_nor_the_key_is_replaced_by_a_signature(app: Path, capsule: Path, keys: Keys) -> None:
    before = snapshot(capsule.parent) | snapshot(keys.clear.parent)
    link = keys.clear.parent / "link.key"
    for output, key, error in (
        (capsule, keys.clear, "ERROR: Output is the capsule itself: "),
        (keys.clear, keys.clear, "ERROR: Output is the secret key itself: "),
    ):
        ran = capsbuild("sign", capsule, "--key", key, "--output", output, "--force")
        assert (ran.status, ran.err.startswith(f"{error}{output}\n")) == (1, True)
    ran = capsbuild("--from-dir", app, "--output", keys.clear, "--sign", keys.clear)
    assert (ran.status, ran.err) == (1, f"ERROR: Output is the secret key itself: {keys.clear}\n  Name another.\n")
    ran = capsbuild("reproduce", capsule, "--from-dir", app, "--sign", keys.clear, "--output", keys.clear)
    assert (ran.status, ran.err) == (2, f"ERROR: Output is the secret key itself: {keys.clear}\n  Name another.\n")
    assert snapshot(capsule.parent) | snapshot(keys.clear.parent) == before
    os.link(keys.clear, link)
    assert capsbuild("sign", capsule, "--key", keys.clear, "--output", link, "--force").status == 1


# --sign


def test_a_build_signs_what_it_built(tmp_path: Path, app: Path, capsule: Path, keys: Keys) -> None:
    out = tmp_path / "out"
    out.mkdir()
    ran = capsbuild("--from-dir", app, "--sign", keys.sealed, cwd=out, env=keys.env)
    name = f"capsule-alan-{capsule_id(capsule)[:12]}.tar.gz"
    assert (ran.status, ran.err) == (0, NO_VENV)
    assert ran.out.splitlines()[3:] == [f"   Signature: {name}.minisig"]
    assert sorted(os.listdir(out)) == [name, f"{name}.minisig"]
    assert (out / name).read_bytes() == capsule.read_bytes()
    assert believed(out / name, keys.public) == f"capsule=alan@2.1.0 id={capsule_id(capsule)}"

    (capsule.parent / "app.tar.gz.minisig").write_bytes(b"an older one")
    ran = capsbuild("--from-dir", app, "--output", capsule, "--sign", keys.clear, "--json")
    assert json.loads(ran.out)["signature"] == f"{capsule}.minisig"
    assert Path(f"{capsule}.minisig").read_bytes() == (out / f"{name}.minisig").read_bytes()


@pytest.mark.parametrize("wrong", ["password", "key", "entrypoint"])
def test_a_build_that_is_refused_leaves_neither(app: Path, capsule: Path, keys: Keys, wrong: str) -> None:
    if wrong == "password":
        keys.password.write_text("another")
    elif wrong == "key":
        keys.sealed.write_bytes(b"no key")
    else:
        (app / "alan_backend/start.py").unlink()
    before = snapshot(capsule.parent)
    ran = capsbuild("--from-dir", app, "--output", capsule, "--sign", keys.sealed, env=keys.env)
    assert (ran.status, ran.out, ran.err.count("ERROR")) == (1, "", 1)
    assert snapshot(capsule.parent) == before


def test_a_signature_inside_the_source_is_refused(app: Path, keys: Keys) -> None:
    write(app, {".capsuleignore": "/capsule-*.tar.gz\n"})
    ran = capsbuild("--from-dir", ".", "--sign", keys.clear, cwd=app)
    assert ran.err.startswith(
        "ERROR: Output lies inside the source directory: capsule-alan-<short id>.tar.gz.minisig\n"
    )
    write(app, {".capsuleignore": "/capsule-*.tar.gz*\n"})
    assert capsbuild("--from-dir", ".", "--sign", keys.clear, cwd=app).status == 0


# Stopped in the middle

STRIKE = """
import os, signal, sys, {module}
real, count = {module}.{function}, 0
def strike(*arguments, **options):
    global count
    count += 1
    if count == {number}:
        {act}
    return real(*arguments, **options)
{module}.{function} = strike
from capsule_builder.cli.capsbuild import main
sys.exit(main(sys.argv[1:]))
"""
KILL = "os.kill(os.getpid(), signal.SIGTERM)"
FAIL = "raise OSError(28, 'No space left on device')"


def struck(where: str, number: int, act: str, *arguments: str | Path) -> tuple[int, str]:
    module, _, function = where.rpartition(".")
    program = STRIKE.format(module=module, function=function, number=number, act=act)
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return ran.returncode, ran.stderr.replace(NO_VENV, "")


WAYS = {"sign": ("sign", "{capsule}"), "copy": ("sign", "{capsule}", "--output-dir", "{folder}"),
        "build": ("--from-dir", "{app}", "--output", "{capsule}", "--quiet")}  # fmt: skip


def way(name: str, app: Path, capsule: Path, keys: Keys) -> list[str | Path]:
    words = [word.format(app=app, capsule=capsule, folder=capsule.parent) for word in WAYS[name]]
    return [*words, "--sign" if name == "build" else "--key", keys.clear]


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("where", ["capsule_builder.trust.keys.open_secret_key", "capsule_builder.trust.minisign.sign"])
def test_a_signal_before_the_end_leaves_nothing(app: Path, capsule: Path, keys: Keys, name: str, where: str) -> None:
    before = snapshot(capsule.parent)
    status, err = struck(where, 1, KILL, *way(name, app, capsule, keys))
    assert (status, err) == (128 + signal.SIGTERM, STOPPED)
    assert snapshot(capsule.parent) == before


@pytest.mark.parametrize("name", WAYS)
def test_a_signal_while_files_are_put_in_their_places_comes_too_late(
    app: Path, capsule: Path, keys: Keys, name: str
) -> None:
    assert struck("os.replace", 1, KILL, *way(name, app, capsule, keys)) == (0, "")
    for signature in capsule.parent.glob("*.minisig"):
        assert believed(signature.with_suffix(""), keys.public).startswith("capsule=alan@")
    assert not [path for path in os.listdir(capsule.parent) if path.startswith(".")]


@pytest.mark.parametrize(("name", "number"), [("sign", 1), ("copy", 1), ("copy", 2), ("build", 1), ("build", 2)])
def test_a_failure_while_files_are_put_in_their_places_leaves_nothing(
    app: Path, capsule: Path, keys: Keys, name: str, number: int
) -> None:
    before = snapshot(capsule.parent)
    status, err = struck("os.replace", number, FAIL, *way(name, app, capsule, keys))
    assert status == 1
    assert re.fullmatch(r"ERROR: Cannot \w+ the capsule: No space left on device.*\n  Nothing was written.\n", err)
    assert snapshot(capsule.parent) == before


def test_a_full_disk_leaves_nothing(capsule: Path, keys: Keys) -> None:
    before = snapshot(capsule.parent)
    size = capsule.stat().st_size
    limited = ["prlimit", f"--fsize={size - 100}", "--"]
    ran = capsbuild("sign", capsule, "--key", keys.clear, "--output-dir", capsule.parent, wrapper=limited)
    assert (ran.status, ran.err.startswith("ERROR: Cannot sign the capsule: File too large")) == (1, True)
    assert snapshot(capsule.parent) == before


def test_the_secrets_are_no_part_of_what_is_written(capsule: Path, keys: Keys) -> None:
    capsbuild("sign", capsule, "--key", keys.sealed, env=keys.env)
    text = Path(f"{capsule}.minisig").read_bytes()
    assert PASSWORD.encode() not in text
    assert keys.secret.key[:8] not in text
