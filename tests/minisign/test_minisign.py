"""Signatures and keys go both ways between this module and the real ``minisign`` program."""

from __future__ import annotations

import base64
import dataclasses
import doctest
import hashlib
import io
import subprocess
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsule_builder.errors import CapsuleError
from capsule_builder.trust import minisign
from capsule_builder.trust.minisign import Claim, PublicKey, SecretKey, SecretKeyFile, Signature

PASSWORD = "correct horse é"
QUICK = (1 << 15, 1 << 24)
"""The least work that libsodium does, for tests where the strength is not the point."""


def run_minisign(*arguments, typed="", memory=None):
    """Runs the program with what a user would type; ``memory`` limits its address space, in bytes."""
    command = ["minisign", *map(str, arguments)]
    if memory:
        command = ["sh", "-c", f'ulimit -v {memory >> 10} && exec "$0" "$@"', *command]
    return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=120)


def made_by_minisign(directory, *, password=None, memory=None):
    """A key pair of the program's, as (public key file, secret key file)."""
    public, secret = directory / "minisign.pub", directory / "minisign.key"
    flags = [] if password is not None else ["-W"]
    typed = f"{password}\n{password}\n" if password is not None else ""
    result = run_minisign("-G", "-f", *flags, "-p", public, "-s", secret, typed=typed, memory=memory)
    assert result.returncode == 0, result.stderr
    return public, secret


def code_of(refused):
    return [problem.code for problem in refused.value.problems]


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "capsule.tar.gz"
    path.write_bytes(bytes(range(256)) * 9000)  # over two of the blocks that are hashed at once
    return path


@pytest.fixture(scope="module")
def secret():
    return SecretKey.generate()


@pytest.fixture(scope="module")
def comment():
    return minisign.trusted_comment("tori-metacognitive", "2.1.0", hashlib.sha256().hexdigest())


def signed(secret, data, comment):
    return minisign.sign(minisign.prehash(io.BytesIO(data)), secret, comment)


# Ours, read by minisign


@pytest.mark.parametrize("flags", [(), ("-H",)], ids=["default", "prehashed-only"])
def test_minisign_believes_our_signature_and_reads_our_public_key(tmp_path, archive, secret, comment, flags):
    (tmp_path / "ours.pub").write_bytes(secret.public_key.format())
    with archive.open("rb") as stream:
        signature = minisign.sign(minisign.prehash(stream), secret, comment)
    (tmp_path / "capsule.tar.gz.minisig").write_bytes(signature.format())
    result = run_minisign("-V", *flags, "-Q", "-m", archive, "-p", tmp_path / "ours.pub")
    assert (result.returncode, result.stdout) == (0, comment + "\n"), result.stderr
    archive.write_bytes(archive.read_bytes() + b"x")
    assert run_minisign("-V", "-m", archive, "-p", tmp_path / "ours.pub").returncode == 1


@pytest.mark.parametrize("password", [None, PASSWORD, ""], ids=["clear", "password", "empty password"])
def test_minisign_signs_with_our_secret_key(tmp_path, archive, secret, password):
    file = SecretKeyFile.seal(secret, None if password is None else password.encode(), QUICK)
    (tmp_path / "ours.key").write_bytes(file.format())
    typed = "" if password is None else f"{password}\n"
    result = run_minisign("-S", "-s", tmp_path / "ours.key", "-m", archive, "-t", "hello", typed=typed)
    assert result.returncode == 0, result.stderr
    signature = Signature.parse((tmp_path / "capsule.tar.gz.minisig").read_bytes())
    with archive.open("rb") as stream:
        assert minisign.verify(signature, stream, secret.public_key, require_prehashed=True) == "hello"


def test_minisign_takes_the_longest_comments_that_we_write(tmp_path, archive, secret):
    trusted = "é" * (minisign.MAX_TRUSTED_COMMENT // 2) + "x"
    signature = dataclasses.replace(
        signed(secret, archive.read_bytes(), trusted), untrusted_comment="u" * minisign.MAX_UNTRUSTED_COMMENT
    )
    (tmp_path / "capsule.tar.gz.minisig").write_bytes(signature.format())
    public = base64.b64encode(b"Ed" + secret.key_id + secret.public_key.key).decode()
    result = run_minisign("-V", "-Q", "-m", archive, "-P", public)
    assert (result.returncode, result.stdout) == (0, trusted + "\n"), result.stderr
    with pytest.raises(CapsuleError, match="more than 8173 bytes"):
        signed(secret, b"", trusted + "x")


# minisign's, read by us


@pytest.mark.parametrize(("flags", "prehashed"), [((), True), (("-H",), True), (("-l",), False)])
def test_we_believe_signatures_of_minisign(tmp_path, archive, flags, prehashed):
    public_file, secret_file = made_by_minisign(tmp_path)
    result = run_minisign("-S", *flags, "-s", secret_file, "-m", archive, "-c", "untrusted é", "-t", "trusted\té")
    assert result.returncode == 0, result.stderr
    public = PublicKey.parse(public_file.read_bytes())
    written = (tmp_path / "capsule.tar.gz.minisig").read_bytes()
    signature = Signature.parse(written)
    assert signature.prehashed is prehashed
    assert signature.untrusted_comment == "untrusted é"
    assert signature.format() == written
    assert PublicKey.parse(public.format()) == public
    assert minisign.verify(signature, io.BytesIO(archive.read_bytes()), public) == "trusted\té"
    with pytest.raises(CapsuleError) as refused:
        minisign.verify(signature, io.BytesIO(archive.read_bytes() + b"x"), public)
    assert code_of(refused) == ["minisign-forged"]
    if not prehashed:
        with pytest.raises(CapsuleError) as refused:
            minisign.verify(signature, archive.open("rb"), public, require_prehashed=True)
        assert code_of(refused) == ["minisign-legacy"]


def test_the_comment_that_minisign_writes_by_itself_is_read(tmp_path, archive):
    public_file, secret_file = made_by_minisign(tmp_path)
    assert run_minisign("-S", "-s", secret_file, "-m", archive).returncode == 0
    signature = Signature.parse((tmp_path / "capsule.tar.gz.minisig").read_bytes())
    comment = minisign.verify_comment(signature, PublicKey.parse(public_file.read_bytes()))
    assert comment.endswith("\tfile:capsule.tar.gz\thashed")


@pytest.mark.parametrize("memory", [None, 300 << 20, 100 << 20], ids=["1 GiB", "less", "little"])
def test_we_open_secret_keys_of_minisign(tmp_path, memory):
    """With less memory than scrypt wants, minisign halves the parameters until they fit: each pair is another N."""
    public_file, secret_file = made_by_minisign(tmp_path, password=PASSWORD, memory=memory)
    file = SecretKeyFile.parse(secret_file.read_bytes())
    assert file.encrypted
    assert (file.memlimit == 1 << 30) is (memory is None)
    assert file.format() == secret_file.read_bytes()
    secret = file.open(PASSWORD.encode())
    assert secret.public_key == PublicKey.parse(public_file.read_bytes())
    if memory is None:
        return
    with pytest.raises(CapsuleError) as refused:
        file.open(b"hunter2")
    assert code_of(refused) == ["minisign-password-wrong"]
    with pytest.raises(CapsuleError) as refused:
        file.open()
    assert code_of(refused) == ["minisign-password-missing"]


def test_we_open_keys_that_never_had_or_have_lost_their_password(tmp_path, secret):
    public_file, secret_file = made_by_minisign(tmp_path)
    file = SecretKeyFile.parse(secret_file.read_bytes())
    assert not file.encrypted
    assert file.open().public_key == PublicKey.parse(public_file.read_bytes())

    secret_file.write_bytes(SecretKeyFile.seal(secret, PASSWORD.encode(), QUICK).format())
    result = run_minisign("-C", "-W", "-s", secret_file, typed=f"{PASSWORD}\n")
    assert result.returncode == 0, result.stderr
    file = SecretKeyFile.parse(secret_file.read_bytes())
    assert not file.encrypted
    assert file.format() == secret_file.read_bytes()
    assert file.open() == secret


# What is refused


def outcome(data, archive, public):
    """The trusted comment, or None when the signature file is refused; anything but a refusal escapes."""
    try:
        return minisign.verify(Signature.parse(data), io.BytesIO(archive), public)
    except CapsuleError as error:
        assert all(problem.code.startswith("minisign-") for problem in error.problems)
        return None


def test_no_changed_byte_of_a_signature_goes_unnoticed(secret, comment):
    whole = signed(secret, b"archive", comment).format()
    assert outcome(whole, b"archive", secret.public_key) == comment
    first_line = range(len("untrusted comment: "), whole.index(b"\n"))
    for at in range(len(whole)):
        for flip in (0x01, 0x20, 0x80):
            changed = bytearray(whole)
            changed[at] ^= flip
            result = outcome(bytes(changed), b"archive", secret.public_key)
            # The untrusted comment is nobody's word, so a change there is harmless: the trusted one stays as it was.
            assert result is None or (at in first_line and result == comment)


def test_no_truncated_signature_is_read(secret, comment):
    whole = signed(secret, b"archive", comment).format()
    for end in range(len(whole) - 1):
        assert outcome(whole[:end], b"archive", secret.public_key) is None
    assert outcome(whole[:-1], b"archive", secret.public_key) == comment  # minisign does without the last line end too


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: whole + b"\n",
        lambda whole: whole + b"x",
        lambda whole: whole + b"trusted comment: y\n",
        lambda whole: whole + whole,
        lambda whole: b"\n" + whole,
        lambda whole: b"\xef\xbb\xbf" + whole,
        lambda whole: whole.replace(b"\n", b"\r\n"),
        lambda whole: whole.replace(b"=\n", b"= \n"),
        lambda whole: whole.replace(b"=\n", b"\n"),
        lambda whole: whole.replace(b"id=", b"\x00id="),
        lambda whole: whole.replace(b"signature from", b"\xff"),
        lambda whole: whole.replace(b"signature from", b"x" * 1000),
        lambda whole: whole + b"x" * 20000,
        lambda whole: b"",
    ],
)
def test_what_minisign_would_not_have_written_is_not_read(secret, comment, change):
    with pytest.raises(CapsuleError) as refused:
        Signature.parse(change(signed(secret, b"archive", comment).format()), "capsule.tar.gz.minisig")
    assert code_of(refused) == ["minisign-malformed"]
    assert str(refused.value).startswith("capsule.tar.gz.minisig ")


def test_a_comment_of_another_signature_is_refused(secret):
    first, second = signed(secret, b"archive", "first"), signed(secret, b"another", "second")
    for stolen in (
        dataclasses.replace(first, trusted_comment=second.trusted_comment),
        dataclasses.replace(first, trusted_comment="second", global_signature=second.global_signature),
        dataclasses.replace(first, signature=second.signature),
    ):
        with pytest.raises(CapsuleError) as refused:
            minisign.verify_comment(stolen, secret.public_key)
        assert code_of(refused) == ["minisign-comment-forged"]


def test_another_key_is_named(secret, comment):
    signature = signed(secret, b"archive", comment)
    other = SecretKey.generate().public_key
    with pytest.raises(CapsuleError) as refused:
        minisign.verify(signature, io.BytesIO(b"archive"), other)
    assert code_of(refused) == ["minisign-key-id"]
    assert minisign.key_id_text(secret.key_id) in str(refused.value)
    assert minisign.key_id_text(other.key_id) in str(refused.value)
    namesake = PublicKey(secret.key_id, other.key)
    with pytest.raises(CapsuleError) as refused:
        minisign.verify(signature, io.BytesIO(b"archive"), namesake)
    assert code_of(refused) == ["minisign-comment-forged"]


def test_a_prehashed_signature_does_not_pass_for_a_legacy_one(secret, comment):
    """The one forgery that the format allows, and what ``require_prehashed`` is for."""
    digest = minisign.prehash(io.BytesIO(b"archive"))
    relabelled = dataclasses.replace(minisign.sign(digest, secret, comment), prehashed=False)
    with pytest.raises(CapsuleError):
        minisign.verify(relabelled, io.BytesIO(b"archive"), secret.public_key)
    assert minisign.verify(relabelled, io.BytesIO(digest), secret.public_key) == comment
    with pytest.raises(CapsuleError) as refused:
        minisign.verify(relabelled, io.BytesIO(digest), secret.public_key, require_prehashed=True)
    assert code_of(refused) == ["minisign-legacy"]


def test_a_legacy_signature_of_a_large_file_is_refused_before_it_is_in_memory(monkeypatch, secret, comment):
    monkeypatch.setattr(minisign, "MAX_LEGACY_BYTES", 100)
    legacy = dataclasses.replace(signed(secret, b"", comment), prehashed=False)
    with pytest.raises(CapsuleError) as refused:
        minisign.verify(legacy, io.BytesIO(b"x" * 101), secret.public_key)
    assert code_of(refused) == ["minisign-legacy-size"]


def test_a_file_is_hashed_in_constant_memory():
    class Endless(io.RawIOBase):
        """128 MiB that are never there as a whole."""

        left = 1 << 27

        def read(self, size=-1):
            assert 0 < size <= 1 << 20
            size = min(size, self.left)
            self.left -= size
            return bytes(size)

    expected = hashlib.blake2b()
    for _ in range(1 << 7):
        expected.update(bytes(1 << 20))
    assert minisign.prehash(Endless()) == expected.digest()


def test_no_changed_byte_of_a_secret_key_goes_unnoticed(secret):
    """But for the fields that mean nothing in a key without a password: the salt and the two limits."""
    whole = base64.b64decode(SecretKeyFile.seal(secret, None).format().split(b"\n")[1])
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1
        data = b"untrusted comment: x\n" + base64.b64encode(changed) + b"\n"
        if 6 <= at < 54:
            assert SecretKeyFile.parse(data).open() == secret
            continue
        with pytest.raises(CapsuleError) as refused:
            SecretKeyFile.parse(data, "the.key").open()
        assert code_of(refused) == ["minisign-malformed"]


def test_a_key_without_a_checksum_must_still_fit_together(tmp_path, secret):
    body = bytearray(secret.key_id + secret.key + bytes(32))
    assert SecretKeyFile(False, bytes(32), 0, 0, bytes(body)).open() == secret
    body[50] ^= 1
    with pytest.raises(CapsuleError, match="do not belong together"):
        SecretKeyFile(False, bytes(32), 0, 0, bytes(body)).open()


@pytest.mark.parametrize("limits", [(1 << 26, 1 << 30), (1 << 25, 1 << 31), (2**64 - 1, 2**64 - 1)])
def test_a_key_file_cannot_ask_for_all_the_memory(limits):
    with pytest.raises(CapsuleError) as refused:
        SecretKeyFile(True, bytes(32), *limits, bytes(104))
    assert code_of(refused) == ["minisign-kdf-limits"]


@pytest.mark.parametrize(
    "data", [b"", b"RWQ=", b"untrusted comment: x\n", b"RWQAAEIy\nRWQAAEIy\n", b"a\nb\nc\n", b"\xff"]
)
@pytest.mark.parametrize("kind", [PublicKey, SecretKeyFile, Signature])
def test_what_is_no_key_is_not_read(kind, data):
    with pytest.raises(CapsuleError) as refused:
        kind.parse(data, "the.file")
    assert code_of(refused) == ["minisign-malformed"]
    assert str(refused.value).startswith("the.file ")


def test_our_key_files_are_those_that_minisign_writes(tmp_path):
    while True:
        public_file, secret_file = made_by_minisign(tmp_path)
        public = PublicKey.parse(public_file.read_bytes())
        if public.key_id[-1] >= 0x10:  # minisign 0.11 leaves the zeros at the front of a key's id out; 0.12 does not
            break
    assert public.format() == public_file.read_bytes()
    assert SecretKeyFile.parse(secret_file.read_bytes()).format() == secret_file.read_bytes()


def test_a_public_key_may_be_given_as_its_base64_alone(secret):
    line = secret.public_key.format().split(b"\n")[1]
    assert PublicKey.parse(line) == PublicKey.parse(secret.public_key.format()) == secret.public_key


def test_nothing_secret_is_printed(secret):
    password = b"hunter2-never-shown"
    clear, sealed = SecretKeyFile.seal(secret, None), SecretKeyFile.seal(secret, password, QUICK)
    printed = [repr(secret), repr(clear), repr(sealed), str(secret)]
    damaged = clear.format().replace(b"\nRWQ", b"\nRWR")
    for attempt in (
        lambda: sealed.open(password + b"x"),
        lambda: dataclasses.replace(clear, body=clear.body[:-1] + bytes([clear.body[-1] ^ 1])).open(),
        lambda: SecretKey(secret.key_id, secret.key[:32] + bytes(32)),
        lambda: SecretKeyFile.parse(damaged).open(),
        lambda: SecretKeyFile.parse(clear.format().replace(b"\nRW", b"\n\xff")),
        lambda: SecretKeyFile.parse(clear.format() + b"x"),
        lambda: Signature.parse(clear.format()),
        lambda: PublicKey.parse(clear.format()),
    ):
        with pytest.raises(CapsuleError) as refused:
            attempt()
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__ or refused.value.__context__ is None
        printed.append("".join(traceback.format_exception(refused.value)))
    seed, line = secret.key[:32], clear.format().split(b"\n")[1].decode()
    for text in printed:
        assert password.decode() not in text
        assert repr(seed)[2:-1] not in text
        assert repr(seed[:8])[2:-1] not in text
        assert seed.hex() not in text
        assert line[80:100] not in text


def test_the_example_in_the_module_is_true():
    result = doctest.testmod(minisign)
    assert (result.failed, result.attempted > 0) == (0, True)


# Laws

comments = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=250)


@given(data=st.binary(max_size=100), trusted=comments, untrusted=comments)
@settings(deadline=None, max_examples=50)
def test_a_signature_survives_the_file(data, trusted, untrusted):
    secret = SecretKey.generate()
    signature = dataclasses.replace(signed(secret, data, trusted), untrusted_comment=untrusted)
    assert Signature.parse(signature.format()) == signature
    assert minisign.verify(signature, io.BytesIO(data), secret.public_key) == trusted


@given(password=st.binary(max_size=20))
@settings(deadline=None, max_examples=10)
def test_a_secret_key_survives_the_file(password):
    secret = SecretKey.generate()
    for protection in (password, None):
        file = SecretKeyFile.parse(SecretKeyFile.seal(secret, protection, QUICK).format())
        assert file.open(protection) == secret


def test_the_trusted_comment_names_the_capsule(comment):
    assert comment == f"capsule=tori-metacognitive@2.1.0 id={hashlib.sha256().hexdigest()}"
    assert Claim.parse(comment) == Claim("tori-metacognitive", "2.1.0", hashlib.sha256().hexdigest())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "timestamp:1\tfile:capsule.tar.gz\thashed",
        f"capsule=a@1 id={'0' * 63}",
        f"capsule=a@1 id={'A' * 64}",
        f"capsule=a@1 id={'0' * 64} ",
        f"capsule=a@1 id={'0' * 64}\n",
        f"capsule=a@1  id={'0' * 64}",
        f"capsule=a@b@1 id={'0' * 64}",
        f"capsule=@1 id={'0' * 64}",
        f"capsule=a@ id={'0' * 64}",
        f"capsule=a b@1 id={'0' * 64}",
        f"xcapsule=a@1 id={'0' * 64}",
        f"capsule=é@1 id={'0' * 64}",
    ],
)
def test_other_comments_name_no_capsule(text):
    with pytest.raises(CapsuleError) as refused:
        Claim.parse(text)
    assert code_of(refused) == ["minisign-claim"]


@pytest.mark.parametrize(("name", "version"), [("a b", "1"), ("a@b", "1"), ("a", "1 id=0"), ("", "1"), ("a", "")])
def test_a_name_that_could_be_read_two_ways_is_not_signed(name, version):
    with pytest.raises(CapsuleError) as refused:
        minisign.trusted_comment(name, version, "0" * 64)
    assert code_of(refused) == ["minisign-claim"]
