"""``capsbuild keygen``, key files and passwords: interchangeable with minisign, and secret."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from capsule_builder.errors import CapsuleError
from capsule_builder.trust import keys as keys_module
from capsule_builder.trust.minisign import PublicKey, SecretKeyFile, Signature, key_id_text
from tests.capsbuild.command import COMMAND, ENVIRONMENT, Ran, capsbuild, snapshot, write
from tests.minisign.test_minisign import run_minisign
from tests.signing.conftest import PASSWORD, QUICK, Keys
from tests.signing.terminal import typing, without_a_terminal
from tests.signing.test_sign import believed, struck

NOBODY = (
    "ERROR: The secret key's password is needed, and nobody types it.\n"
    "  Call it from a terminal, or let CAPSULE_SIGN_PASSWORD_FILE name a file with the password in its first line.\n"
)
UNFIT = "The password is longer than 1,023 bytes, or holds a NUL.\n  minisign would read a part of it. Choose another."
STRIKES = ["raise OSError(28, 'No space left on device')", "os.kill(os.getpid(), signal.SIGTERM)"]


def wrong(key: Path) -> str:
    remedy = "Type it again, or mend the file that CAPSULE_SIGN_PASSWORD_FILE names."
    return f"ERROR: Wrong password for the secret key: {key}\n  {remedy}\n"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


# keygen


def test_minisign_signs_with_our_keys(tmp_path: Path, capsule: Path) -> None:
    ran = capsbuild("keygen", "--output", "release", "--no-password", cwd=tmp_path)
    public, secret = tmp_path / "release.pub", tmp_path / "release.key"
    key_id = key_id_text(PublicKey.parse(public.read_bytes()).key_id)
    lines = f"✅ Key pair made: {key_id}\n   Secret key: release.key\n   Public key: release.pub\n"
    assert ran == Ran(0, lines, "")
    assert public.read_text().splitlines()[0] == f"untrusted comment: minisign public key {key_id}"
    assert secret.read_text().splitlines()[0] == "untrusted comment: minisign encrypted secret key"
    assert run_minisign("-S", "-s", secret, "-m", capsule, "-t", "by minisign").returncode == 0
    assert believed(capsule, public) == "by minisign"
    assert capsbuild("sign", capsule, "--key", secret, "--force").status == 0
    assert believed(capsule, public).startswith("capsule=alan@2.1.0 id=")


def test_minisign_opens_our_keys_with_their_password(tmp_path: Path, capsule: Path) -> None:
    """The real cost: 1 GiB of memory, three times."""
    typed = PASSWORD.encode() + b"\n"
    typed = typed.replace(b"\t", b"\x16\t")  # as a terminal that completes would want it; quoted, it is a tab
    ran, shown = typing("keygen", "--output", tmp_path / "release", "--json", answers=[typed, typed])
    assert (ran.status, ran.err) == (0, "")
    assert set(json.loads(ran.out)) == {"key_id", "secret_key", "public_key", "warnings"}
    assert PASSWORD[:7] not in shown + ran.out
    assert "Password of the new key: " in shown
    assert SecretKeyFile.parse((tmp_path / "release.key").read_bytes()).memlimit == 1 << 30
    signed = run_minisign(
        "-S", "-s", tmp_path / "release.key", "-m", capsule, "-t", "by minisign", typed=f"{PASSWORD}\n"
    )
    assert signed.returncode == 0, signed.stderr
    assert believed(capsule, tmp_path / "release.pub") == "by minisign"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277, 0o777])
def test_the_secret_key_is_its_owners_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    assert capsbuild("keygen", "--output", tmp_path / "k", "--no-password", umask=umask).status == 0
    assert (mode(tmp_path / "k.key"), mode(tmp_path / "k.pub")) == (0o600, 0o666 & ~umask)


@pytest.mark.parametrize("there", [["k.key"], ["k.pub"], ["k.key", "k.pub"]])
def test_keys_that_exist_are_replaced_only_by_force(tmp_path: Path, there: list[str]) -> None:
    write(tmp_path, dict.fromkeys(there, "older"))
    before = snapshot(tmp_path)
    ran = capsbuild("keygen", "--output", tmp_path / "k")  # before any password is wanted
    remedy = "\n  Choose another prefix. With --force it is replaced, and nobody can sign with the old key any more.\n"
    errors = [f"ERROR: Key exists already: {tmp_path / name}{remedy}" for name in there]
    assert ran == Ran(1, "", "".join(errors))
    assert snapshot(tmp_path) == before
    assert capsbuild("keygen", "--output", tmp_path / "k", "--no-password", "--force").status == 0
    assert SecretKeyFile.parse((tmp_path / "k.key").read_bytes()).open().public_key == PublicKey.parse(
        (tmp_path / "k.pub").read_bytes()
    )
    assert mode(tmp_path / "k.key") == 0o600


@pytest.mark.parametrize("late", ["k.key", "k.pub"])
def test_a_key_that_comes_meanwhile_is_not_replaced(tmp_path: Path, late: str) -> None:
    make = f"open({str(tmp_path / late)!r}, 'x').close()"
    status, err = struck("os.link", 1, make, "keygen", "--output", tmp_path / "k", "--no-password")
    assert (status, err.startswith("ERROR: Cannot write the key: File exists")) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == [late]
    assert (tmp_path / late).read_bytes() == b""


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(
    "act", ["raise OSError(28, 'No space left on device')", "os.kill(os.getpid(), signal.SIGTERM)"]
)
def test_both_keys_appear_or_none(tmp_path: Path, number: int, act: str) -> None:
    status, _ = struck("os.link", number, act, "keygen", "--output", tmp_path / "k", "--no-password")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert (status, names) == ((1, []) if "raise" in act else (0, ["k.key", "k.pub"]))


def test_stopped_at_the_prompt_it_leaves_nothing(tmp_path: Path) -> None:
    ran, _ = typing("keygen", "--output", tmp_path / "k", answers=[b"secret\n", b"\x03"])  # Ctrl-C
    assert (ran.status, ran.out, ran.err) == (128 + signal.SIGINT, "", "ERROR: Stopped; nothing was written.\n")
    assert list(tmp_path.iterdir()) == []


def test_two_passwords_that_differ_make_no_key(tmp_path: Path) -> None:
    ran, _ = typing("keygen", "--output", tmp_path / "k", answers=[b"one\n", b"other\n"])
    assert ran == Ran(1, "", "ERROR: The two passwords differ.\n  Type the same one twice.\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("arguments", "error"), [
    ([], "the following arguments are required: --output"),
    (["--output", ""], "argument --output: the name is empty"),
    (["--output", "keys/"], "argument --output: the name is empty"),
    (["--output", "k", "--password", "p"], "unrecognized arguments: --password p"),
])  # fmt: skip
def test_wrong_usage_ends_with_two(arguments: list[str], error: str, tmp_path: Path) -> None:
    ran = capsbuild("keygen", *arguments, cwd=tmp_path)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.endswith(f"capsbuild keygen: error: {error}\n")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", ["\n", "\r\n", "\nsecond\n"])
def test_no_key_is_sealed_with_an_empty_password(tmp_path: Path, content: str) -> None:
    """Which would be in the clear for all that tries."""
    write(tmp_path, {"password": content})
    (tmp_path / "password").chmod(0o600)
    ran = capsbuild(
        "keygen", "--output", tmp_path / "k", env={"CAPSULE_SIGN_PASSWORD_FILE": str(tmp_path / "password")}
    )
    assert ran == Ran(1, "", "ERROR: The new password is empty.\n  Choose one, or say --no-password.\n")
    ran, _ = typing("keygen", "--output", tmp_path / "k", answers=[b"\n", b"\n"])
    assert (ran.status, ran.err) == (1, "ERROR: The new password is empty.\n  Choose one, or say --no-password.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["password"]


def test_a_link_in_the_place_of_a_key_is_refused_even_with_force(tmp_path: Path) -> None:
    (tmp_path / "k.key").symlink_to("nowhere")
    for force in ([], ["--force"]):
        ran = capsbuild("keygen", "--output", tmp_path / "k", "--no-password", *force)
        assert (ran.status, ran.err.startswith(f"ERROR: Output is a symbolic link: {tmp_path}/k.key\n")) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["k.key"]


# Passwords


def test_a_typed_password_opens_the_key_and_is_not_shown(capsule: Path, keys: Keys) -> None:
    typed = PASSWORD.replace("\t", "\x16\t").encode() + b"\n"
    ran, shown = typing("sign", capsule, "--key", keys.sealed, "--json", answers=[typed])
    assert (ran.status, ran.err) == (0, "")
    assert json.loads(ran.out)["signature"] == f"{capsule}.minisig"
    assert shown.replace("\r\n", "\n") == f"Password of {keys.sealed}: \n"
    assert believed(capsule, keys.public).startswith("capsule=alan@2.1.0 id=")


def test_a_build_asks_before_it_builds(app: Path, tmp_path: Path, keys: Keys) -> None:
    ran, shown = typing("--from-dir", app, "--output", tmp_path / "new", "--sign", keys.sealed, answers=[b"hunter3\n"])
    assert (ran.status, ran.out, ran.err) == (1, "", wrong(keys.sealed))
    assert "hunter3" not in shown
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("answer", [b"hunter3-typo\n", b"\n", b"\x04", b"caf\xe9-typo\n", b"x" * 1024 + b"\n"],
                         ids=["wrong", "empty", "end of file", "not UTF-8", "too long"])  # fmt: skip
def test_a_password_that_is_none_is_refused(capsule: Path, keys: Keys, answer: bytes) -> None:
    ran, shown = typing("sign", capsule, "--key", keys.sealed, "--json", answers=[answer])
    (error,) = json.loads(ran.out)["errors"]
    codes = {b"\x04": "key-password-none", b"c": "key-password-unfit", b"x": "key-password-unfit"}
    assert error["code"] == codes.get(answer[:1], "minisign-password-wrong")
    assert (ran.status, ran.err) == (1, f"ERROR: {error['message']}\n")
    assert "-typo" not in ran.out + ran.err + shown
    assert os.listdir(capsule.parent) == ["app.tar.gz"]


@pytest.mark.parametrize("env", [{}, {"CAPSULE_SIGN_PASSWORD_FILE": ""}])
@pytest.mark.parametrize("command", ["sign", "keygen", "build"])
def test_without_a_terminal_and_a_file_nobody_waits(
    app: Path, capsule: Path, keys: Keys, command: str, env: dict[str, str]
) -> None:
    arguments: dict[str, list[str | Path]] = {
        "sign": ["sign", capsule, "--key", keys.sealed],
        "keygen": ["keygen", "--output", capsule.parent / "k"],
        "build": ["--from-dir", app, "--output", capsule, "--sign", keys.sealed],
    }
    before = snapshot(capsule.parent)
    assert without_a_terminal(*arguments[command], env=env) == Ran(1, "", NOBODY)
    assert snapshot(capsule.parent) == before


@pytest.mark.parametrize(("content", "ok"), [
    (f"{PASSWORD}\n", True),
    (PASSWORD, True),
    (f"{PASSWORD}\r\nmore", True),
    (f"{PASSWORD} \n", False),
    (f"\n{PASSWORD}\n", False),
])  # fmt: skip
def test_the_password_is_the_first_line_of_its_file(capsule: Path, keys: Keys, content: str, ok: bool) -> None:
    keys.password.write_text(content, newline="")
    ran = without_a_terminal("sign", capsule, "--key", keys.sealed, env=keys.env)
    assert (ran.status, ran.err) == ((0, "") if ok else (1, wrong(keys.sealed)))


@pytest.mark.parametrize(("content", "error"), [
    (None, "Password file not found: {0}\n  Name an existing one."),
    ("", "Password file is empty: {0}\n  Put the password into it."),
    ("a\0b\n", UNFIT),
    ("a" * 1024, UNFIT),
    ("a" * 10_000_000, UNFIT),
])  # fmt: skip
def test_a_password_file_that_has_none_is_refused(capsule: Path, keys: Keys, content: str | None, error: str) -> None:
    if content is None:
        keys.password.unlink()
    else:
        keys.password.write_text(content)
    ran = capsbuild("sign", capsule, "--key", keys.sealed, env=keys.env)
    assert ran == Ran(1, "", f"ERROR: {error.format(keys.password)}\n")


def test_the_longest_password_that_we_take_is_read_by_minisign(tmp_path: Path, capsule: Path, keys: Keys) -> None:
    longest = "x" * 1023
    keys.sealed.write_bytes(SecretKeyFile.seal(keys.secret, longest.encode(), QUICK).format())
    keys.password.write_text(longest)
    assert capsbuild("sign", capsule, "--key", keys.sealed, env=keys.env).status == 0
    ran = run_minisign("-S", "-s", keys.sealed, "-m", capsule, typed=f"{longest}\n")
    assert ran.returncode == 0, ran.stderr


def test_a_key_without_a_password_asks_for_none(capsule: Path, keys: Keys) -> None:
    env = {"CAPSULE_SIGN_PASSWORD_FILE": "/absent"}
    assert without_a_terminal("sign", capsule, "--key", keys.clear, env=env).status == 0


def test_a_password_may_come_through_a_fifo_and_waiting_for_it_can_be_stopped(capsule: Path, keys: Keys) -> None:
    text = keys.password.read_bytes()
    keys.password.unlink()
    os.mkfifo(keys.password)
    command = [*COMMAND, "sign", str(capsule), "--key", str(keys.sealed)]
    with subprocess.Popen(command, env=ENVIRONMENT | keys.env, stderr=subprocess.PIPE) as waiting:
        assert waiting.stderr
        writer = os.open(keys.password, os.O_WRONLY)  # there when it is being read
        waiting.send_signal(signal.SIGINT)
        assert (waiting.wait(timeout=30), waiting.stderr.read()) == (130, b"ERROR: Stopped; nothing was written.\n")
    os.close(writer)
    assert os.listdir(capsule.parent) == ["app.tar.gz"]
    with subprocess.Popen(command, env=ENVIRONMENT | keys.env, stdout=subprocess.DEVNULL) as fed:
        keys.password.write_bytes(text)
        assert fed.wait(timeout=30) == 0


def test_a_key_may_come_through_a_pipe(capsule: Path, keys: Keys) -> None:
    with keys.clear.open("rb") as key:
        cat = subprocess.Popen(["cat"], stdin=key, stdout=subprocess.PIPE)
        ran = capsbuild("sign", capsule, "--key", "/dev/stdin", stdin=cat.stdout)
    assert (cat.wait(), ran.status, ran.err) == (0, 0, "")


# Files


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602, 0o666])
def test_files_that_are_open_to_others_are_told(capsule: Path, keys: Keys, bits: int) -> None:
    keys.sealed.chmod(bits)
    keys.password.chmod(bits)
    ran = capsbuild("sign", capsule, "--key", keys.sealed, env=keys.env)
    told = [f"Secret key is open to others: {keys.sealed}", f"Password file is open to others: {keys.password}"]
    assert ran.err == "".join(f"WARNING: {text} (mode {bits:04o})\n  Close it: chmod 600.\n" for text in told)
    assert ran.status == 0


@pytest.mark.parametrize("bits", [0o600, 0o400])
def test_files_that_are_closed_are_not(capsule: Path, keys: Keys, bits: int) -> None:
    keys.sealed.chmod(bits)
    assert capsbuild("sign", capsule, "--key", keys.sealed, env=keys.env).err == ""


@pytest.mark.parametrize(("name", "error"), [
    ("absent", "Secret key not found: absent\n  Name an existing one."),
    (".", "Cannot read .: Is a directory\n  Name a file."),
    ("release.pub", "This is a public key: release.pub\n  Name the secret one, which signs."),
    ("password",
     "password lacks a line that begins with 'untrusted comment: '.\n  Give the file as minisign wrote it."),
    ("/dev/zero", "/dev/zero is too long to be one of minisign's files.\n  Give the file as minisign wrote it."),
    ("/dev/null", "/dev/null has 1 lines, where minisign writes 2.\n  Give the file as minisign wrote it."),
])  # fmt: skip
def test_what_is_no_secret_key_is_refused(capsule: Path, keys: Keys, name: str, error: str) -> None:
    ran = capsbuild("sign", capsule, "--key", name, cwd=keys.clear.parent)
    assert ran == Ran(1, "", f"ERROR: {error}\n")


# Nothing of it is told


def test_no_error_holds_what_is_secret(capsule: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in a message, not in a traceback, and not in what a debugger of causes would show."""
    secrets = [PASSWORD, "hunter3", keys.clear.read_text().split("\n")[1][80:100], keys.secret.key[:32].hex()]
    keys.clear.write_bytes(keys.clear.read_bytes().replace(b"RWQAAEIy", b"RWQBAEIy"))
    keys.password.write_text("hunter3\n")

    def undecodable(_: str) -> str:
        return b"hunter3 \xff".decode()

    for attempt in (
        lambda: keys_module.open_secret_key(str(keys.clear), {}),
        lambda: keys_module.open_secret_key(str(keys.sealed), keys.env),
        lambda: keys_module.open_secret_key(str(keys.sealed), {}),
    ):
        monkeypatch.setattr("getpass.getpass", undecodable)
        with pytest.raises(CapsuleError) as refused:
            attempt()
        error: BaseException | None = refused.value
        text = "".join(traceback.format_exception(error))  # type: ignore[arg-type]
        while error:
            text += repr(error.args) + repr(vars(error))
            error = error.__cause__ or error.__context__
        assert not [secret for secret in secrets if secret in text]


def test_a_stop_in_the_middle_tells_nothing(capsule: Path, keys: Keys) -> None:
    """Even of a defect, whose traceback has no values in it."""
    program = (
        "import sys\nfrom capsule_builder.trust import minisign\ndel minisign.sign\n"
        "from capsule_builder.cli.capsbuild import main\nsys.exit(main(sys.argv[1:]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, "sign", capsule, "--key", keys.sealed],
        env=ENVIRONMENT | keys.env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "AttributeError" in ran.stderr
    assert PASSWORD[:7] not in ran.stdout + ran.stderr
    assert not list(capsule.parent.glob("*.minisig"))


def test_our_signature_has_minisigns_comment(capsule: Path, keys: Keys) -> None:
    capsbuild("sign", capsule, "--key", keys.clear)
    signature = Signature.parse(Path(f"{capsule}.minisig").read_bytes())
    assert (signature.prehashed, signature.untrusted_comment) == (True, "signature from minisign secret key")
