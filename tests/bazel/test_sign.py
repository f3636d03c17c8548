"""``bazel run //app:capsule.sign``: signed on the user's host when it is run, and never by an action."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess

import pytest

from capsule_builder.trust.minisign import SecretKey, SecretKeyFile
from tests.bazel.harness import Bazel

TARGET = "//apps/one:capsule.sign"
QUICK = (1 << 15, 1 << 24)
"""The least work that libsodium does for a password."""
PASSWORD = "hunter2-never-shown"
MARK = "\N{WHITE HEAVY CHECK MARK}"


@pytest.fixture
def keys(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory with a key pair, the secret key sealed with PASSWORD, and the password in a file."""
    directory = tmp_path / "keys"
    directory.mkdir()
    secret = SecretKey.generate()
    for name, data in {
        "sealed.key": SecretKeyFile.seal(secret, PASSWORD.encode(), QUICK).format(),
        "clear.key": SecretKeyFile.seal(secret, None).format(),
        "release.pub": secret.public_key.format(),
        "password": PASSWORD.encode() + b"\n",
    }.items():
        (directory / name).write_bytes(data)
        (directory / name).chmod(0o600)
    return directory


def verified(archive: pathlib.Path, keys: pathlib.Path) -> str:
    """The trusted comment, by the real minisign."""
    command = ["minisign", "-V", "-H", "-Q", "-p", keys / "release.pub", "-m", archive]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_run_copies_the_capsule_out_with_a_signature_that_minisign_believes(
    bazel: Bazel, tmp_path: pathlib.Path, keys: pathlib.Path
) -> None:
    dist = tmp_path / "new/dist"
    environment = {"CAPSULE_SIGN_PASSWORD_FILE": str(keys / "password")}
    arguments = ["--", "--key", str(keys / "sealed.key"), "--output-dir", str(dist)]
    ran = bazel.run("run", TARGET, *arguments, env=environment)
    capsule_id = bazel.output("apps/one:capsule.id").read_text().strip()
    copied = dist / f"capsule-shop-front-{capsule_id[:12]}.tar.gz"
    signature = copied.with_name(copied.name + ".minisig")
    assert sorted(dist.iterdir()) == [copied, signature]
    assert copied.read_bytes() == bazel.output("apps/one:capsule.tar.gz").read_bytes()
    assert copied.stat().st_mode & 0o200
    version = json.loads(bazel.output("apps/one:capsule.metadata.json").read_text())["version"]
    comment = f"capsule=shop-front@{version} id={capsule_id}"
    assert verified(copied, keys) == comment + "\n"
    lines = [f"{MARK} Capsule signed: {copied}", f"   Signature: {signature}", f"   Signed: {comment}"]
    assert ran.stdout.splitlines()[-4:-1] == lines
    assert PASSWORD not in ran.stdout + ran.stderr

    first = signature.read_bytes()
    bazel.run("run", TARGET, *arguments, env=environment)  # older ones are no obstacle
    assert signature.read_bytes() == first


def test_relative_paths_are_the_users(bazel: Bazel, tmp_path: pathlib.Path, keys: pathlib.Path) -> None:
    key = os.path.relpath(keys / "clear.key", bazel.workspace)
    try:
        told = bazel.run("run", TARGET, "--", "--key", key, "--output-dir=dist", "--json").stdout
        document = json.loads(told.splitlines()[-1])
        archive = bazel.workspace / document["archive"]
        assert (archive.parent, str(archive) + ".minisig") == (
            bazel.workspace / "dist",
            str(bazel.workspace / document["signature"]),
        )
        assert verified(archive, keys) == document["trusted_comment"] + "\n"
    finally:
        subprocess.run(["rm", "-rf", bazel.workspace / "dist"], check=True)


@pytest.mark.parametrize("name", ["in/a/directory", "it's"])
def test_it_signs_whatever_the_target_is_called(
    bazel: Bazel, tmp_path: pathlib.Path, keys: pathlib.Path, name: str
) -> None:
    dist = tmp_path / "dist"
    command = ["--", "--key", str(keys / "clear.key"), "--output-dir", str(dist)]
    bazel.run("run", f"//apps/one:{name}.sign", *command)
    archive, _ = sorted(dist.iterdir())
    assert verified(archive, keys).startswith("capsule=shop-front@")


def test_without_a_terminal_or_a_password_it_is_refused_and_leaves_nothing(
    bazel: Bazel, tmp_path: pathlib.Path, keys: pathlib.Path
) -> None:
    bazel.build(TARGET)
    command = ["setsid", "--wait", str(bazel.output("apps/one:capsule.sign")), "--key", str(keys / "sealed.key")]
    environment = {name: value for name, value in os.environ.items() if name != "CAPSULE_SIGN_PASSWORD_FILE"}
    ran = subprocess.run(
        [*command, "--output-dir", str(tmp_path / "dist")],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("ERROR: The secret key's password is needed, and nobody types it.\n")
    assert not (tmp_path / "dist").exists()


def test_it_explains_itself_and_refuses_what_it_does_not_know(bazel: Bazel) -> None:
    assert bazel.run("run", TARGET, "--", "--help").stdout.startswith("usage: bazel run TARGET.sign -- ")
    for arguments in (["--output-dir=x"], ["--key", "k", "--output", "x"], ["--key", "k", "file"]):
        ran = bazel.run("run", TARGET, "--", *arguments, ok=False)
        assert (ran.returncode, "usage: bazel run TARGET.sign" in ran.stderr) == (2, True)


# What it costs those who do not sign


def test_no_action_has_to_do_with_keys(bazel: Bazel) -> None:
    """The target's one action writes the script; the actions of the capsule have no part of what signs."""
    # Names that begin with the target's: the files that Bazel makes for any executable are among them.
    text = bazel.run("aquery", f"mnemonic('', {TARGET})", "--include_artifacts=false").stdout
    assert set(re.findall(r"^  Mnemonic: (.*)$", text, re.M)) <= {
        "FileWrite", "SourceSymlinkManifest", "SymlinkTree", "RepoMappingManifest", "Middleman", "RunfilesTree",
    }  # fmt: skip
    built = bazel.run("aquery", "mnemonic('Capsule.*', deps(//apps/one:capsule))").stdout
    assert "Mnemonic: CapsuleLayer" in built
    assert not re.search(r"nacl|cffi|minisign\.py|keys\.py|signing", built)


def test_the_capsule_does_not_depend_on_it(bazel: Bazel) -> None:
    assert "signing" not in bazel.run("cquery", "deps(//apps/one:capsule)").stdout
    assert "@rules_capsule_signing//:site" in bazel.run("cquery", f"deps({TARGET})").stdout


def test_all_targets_of_a_package_can_be_built_without_it(bazel: Bazel) -> None:
    said = bazel.build("//apps/one:all")
    assert "INFO: Analyzed 5 targets" in said
    (bazel.output("apps/one:capsule.sign")).unlink(missing_ok=True)
    bazel.build("//apps/one:all")
    assert not bazel.output("apps/one:capsule.sign").exists()
    assert bazel.output("apps/one:capsule").exists()


def test_it_goes_along_with_the_capsules_own_attributes(bazel: Bazel) -> None:
    file = bazel.workspace / "apps/one/BUILD"
    before = file.read_text()
    attributes = 'tags = ["slow"],\n    testonly = True,\n    visibility = ["//visibility:private"],\n    '
    file.write_text(before.replace('name = "stamped",\n    ', 'name = "stamped",\n    ' + attributes))
    try:
        both = "set(//apps/one:stamped //apps/one:stamped.sign)"
        for attribute, value in (("tags", "slow"), ("testonly", "1"), ("visibility", "//visibility:private")):
            found = bazel.run("cquery", f"attr({attribute}, {value}, {both})").stdout
            assert re.findall(r"^(\S+) \(", found, re.M) == ["//apps/one:stamped", "//apps/one:stamped.sign"]
        for attribute, value in (("tags", "manual"), ("testonly", "0")):
            found = bazel.run("cquery", f"attr({attribute}, {value}, {both} + //apps/one:capsule.sign)").stdout
            assert "//apps/one:stamped " not in found
            assert "//apps/one:capsule.sign " in found
    finally:
        file.write_text(before)
