"""Attacks on signatures: each ends with its own status and code, whoever signed, and writes nothing.

The table also has what the ``minisign`` program says of the same files: where it is content, the strict form is ours.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import nacl.bindings
import pytest

from capsule_builder.archive.reader import open_archive
from capsule_builder.errors import CapsuleError
from capsule_builder.trust import minisign
from capsule_builder.trust import verify as verify_module
from capsule_builder.trust.minisign import PublicKey, SecretKey, SecretKeyFile, Signature
from capsule_builder.trust.verify import verify
from tests.capsbuild.command import capsbuild, snapshot
from tests.minisign.test_minisign import run_minisign
from tests.reader.forge import MANIFEST, Forge, One, small
from tests.reader.reading import read


@dataclasses.dataclass
class Scene:
    """A signed capsule, and what an attacker has: other capsules that were signed by the same key, and a key of his."""

    folder: Path
    secret: SecretKey
    foe: SecretKey
    by_minisign: bool

    @property
    def archive(self) -> Path:
        return self.folder / "forged.tar.gz"

    @property
    def signature(self) -> Path:
        return self.folder / "forged.tar.gz.minisig"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    def sign(
        self, archive: Path, secret: SecretKey | None = None, *flags: str, comment: str | None = None
    ) -> Signature:
        secret = secret or self.secret
        comment = claim(archive) if comment is None else comment
        if not self.by_minisign and not flags:
            with archive.open("rb") as file:
                Path(f"{archive}.minisig").write_bytes(minisign.sign(minisign.prehash(file), secret, comment).format())
        else:
            key = self.folder / "signing.key"
            key.write_bytes(SecretKeyFile.seal(secret, None).format())
            ran = run_minisign("-S", *flags, "-s", key, "-m", archive, "-t", comment)
            assert ran.returncode == 0, ran.stderr
            key.unlink()
        return Signature.parse(Path(f"{archive}.minisig").read_bytes())

    def write(self, **changes: object) -> None:
        """The signature with other fields."""
        good = Signature.parse(self.signature.read_bytes())
        self.signature.write_bytes(dataclasses.replace(good, **changes).format())  # type: ignore[arg-type]

    def other(self, version: str = "9.9.9", name: str = "forged") -> Signature:
        """The signature, by the same key, of another capsule, or of another version of this one."""
        path = self.folder / "other.tar.gz"
        path.write_bytes(capsule(name, version))
        return self.sign(path)


def capsule(name: str = "forged", version: str = "1.2.3") -> bytes:
    manifest = MANIFEST.replace(b"forged", name.encode()).replace(b"1.2.3", version.encode())
    entries = [One("capsule.yml", "file", manifest), *small()[1:]]
    return Forge([("app", entries)], metadata=lambda document: document.update(name=name, version=version)).build()


def claim(archive: Path) -> str:
    metadata = json.loads(
        subprocess.run(["tar", "xzOf", archive, ".capsule_metadata.json"], capture_output=True).stdout
    )
    return f"capsule={metadata['name']}@{metadata['version']} id={metadata['id']}"


@pytest.fixture(params=["ours", "minisign"])
def scene(tmp_path: Path, request: pytest.FixtureRequest) -> Scene:
    made = Scene(tmp_path, SecretKey.generate(), SecretKey.generate(), request.param == "minisign")
    made.archive.write_bytes(capsule())
    made.keys.mkdir()
    (made.keys / "release.pub").write_bytes(made.secret.public_key.format())
    made.sign(made.archive)
    return made


Change = Callable[[Scene], object]


def lines(change: Callable[[list[bytes]], list[bytes]]) -> Change:
    def changed(scene: Scene) -> None:
        scene.signature.write_bytes(b"".join(change(scene.signature.read_bytes().splitlines(keepends=True))))

    return changed


def text(change: Callable[[bytes], bytes]) -> Change:
    return lambda scene: scene.signature.write_bytes(change(scene.signature.read_bytes()))


def instead(make: Callable[[Path], object]) -> Change:
    """Something else in the place of the signature file."""

    def changed(scene: Scene) -> None:
        scene.signature.rename(scene.folder / "kept")
        make(scene.signature)

    return changed


def labelled(label: bytes) -> Change:
    def changed(all_lines: list[bytes]) -> list[bytes]:
        blob = base64.b64decode(all_lines[1])
        return [all_lines[0], base64.b64encode(label + blob[2:]) + b"\n", *all_lines[2:]]

    return lines(changed)


def commented(scene: Scene, comment: str) -> None:
    """A comment that no constructor of ours takes, truly signed."""
    good = Signature.parse(scene.signature.read_bytes())
    signed = nacl.bindings.crypto_sign(good.signature + comment.encode(), scene.secret.key)[:64]
    blob = b"ED" + good.key_id + good.signature
    parts = [
        b"untrusted comment: x",
        base64.b64encode(blob),
        f"trusted comment: {comment}".encode(),
        base64.b64encode(signed),
    ]
    scene.signature.write_bytes(b"\n".join(parts) + b"\n")


def swap_files(scene: Scene) -> None:
    scene.other(name="other")
    (scene.folder / "other.tar.gz.minisig").replace(scene.signature)


def with_comment_of_another(scene: Scene) -> None:
    scene.write(trusted_comment=scene.other().trusted_comment)


def with_comment_and_global_of_another(scene: Scene) -> None:
    other = scene.other()
    scene.write(trusted_comment=other.trusted_comment, global_signature=other.global_signature)


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(path.parent, os.O_RDONLY)
        made.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


ATTACKS: dict[str, tuple[int, str, bool, Change]] = {
    # name: status, code, whether minisign is content, and what is done
    "nothing": (0, "", True, lambda scene: None),
    "the signature of another capsule": (6, "signature-other", False, swap_files),
    "the signature of another version": (6, "signature-other", False,
        lambda s: s.signature.write_bytes(s.other().format())),
    "the comment of another signature": (6, "minisign-comment-forged", False, with_comment_of_another),
    "comment and global signature of another": (6, "minisign-comment-forged", False,
        with_comment_and_global_of_another),
    "the first signature of another": (6, "minisign-comment-forged", False,
        lambda s: s.write(signature=s.other().signature)),
    "a changed comment": (6, "minisign-comment-forged", False, text(lambda t: t.replace(b"1.2.3", b"1.2.4"))),
    "a wrong global signature": (6, "minisign-comment-forged", False, lambda s: s.write(global_signature=bytes(64))),
    "a first signature of zeros": (6, "minisign-comment-forged", False, lambda s: s.write(signature=bytes(64))),
    "another key's id": (6, "signature-unknown", False, lambda s: s.write(key_id=s.foe.key_id)),
    "zero as the key's id": (6, "signature-unknown", False, lambda s: s.write(key_id=bytes(8))),
    "another key": (6, "signature-unknown", False, lambda s: s.sign(s.archive, s.foe)),
    "another key under our id": (6, "minisign-comment-forged", False,
        lambda s: s.sign(s.archive, SecretKey(s.secret.key_id, s.foe.key))),
    "prehashed, and said to be legacy": (6, "minisign-forged", False, labelled(b"Ed")),
    "an unknown algorithm": (6, "minisign-malformed", False, labelled(b"EX")),
    "the archive changed": (6, "minisign-forged", False, lambda s: s.archive.write_bytes(restamped())),
    "the archive of the comment, signed as another": (6, "signature-other", True,
        lambda s: s.sign(s.archive, comment=claim(s.archive).replace("forged", "other"))),
    "no claim in the comment": (6, "minisign-claim", True, lambda s: s.sign(s.archive, comment="timestamp:1")),
    "a claim with something behind": (6, "minisign-claim", True,
        lambda s: s.sign(s.archive, comment=f"{claim(s.archive)} id={'0' * 64}")),
    "a statement's comment": (6, "minisign-claim", True,
        lambda s: s.sign(s.archive, comment=claim(s.archive).replace("capsule=", "reproduced="))),
    "a comment over the limit": (6, "minisign-malformed", False, lambda s: commented(s, "x" * 8174)),
    "an escape in the comment": (6, "minisign-malformed", True, lambda s: commented(s, "capsule=\x1b[2J")),
    "two signatures, one after the other": (6, "minisign-malformed", True, text(lambda t: t + t)),
    "one line more": (6, "minisign-malformed", True, text(lambda t: t + b"more\n")),
    "an empty line more": (6, "minisign-malformed", True, text(lambda t: t + b"\n")),
    "a byte more": (6, "minisign-malformed", True, text(lambda t: t + b"x")),
    "a NUL more": (6, "minisign-malformed", True, text(lambda t: t + b"\0")),
    "an empty line before": (6, "minisign-malformed", False, text(lambda t: b"\n" + t)),
    "a byte order mark": (6, "minisign-malformed", False, text(lambda t: b"\xef\xbb\xbf" + t)),
    "CRLF": (6, "minisign-malformed", True, text(lambda t: t.replace(b"\n", b"\r\n"))),
    "no base64": (6, "minisign-malformed", False, lines(lambda all_: [all_[0], b"!!!!\n", *all_[2:]])),
    "lines in another order": (6, "minisign-malformed", False, lines(lambda all_: [*all_[2:], *all_[:2]])),
    "the text of a key": (6, "minisign-malformed", False,
        lambda s: s.signature.write_bytes(s.secret.public_key.format())),
    "an empty file": (6, "minisign-malformed", False, text(lambda t: b"")),
    "no signature": (5, "signature-missing", False, instead(lambda path: None)),
    "a link to the signature": (0, "", True, instead(lambda path: path.symlink_to("kept"))),
    "a link to nothing": (5, "signature-missing", False, instead(lambda path: path.symlink_to("nothing"))),
    "a link to itself": (3, "system", False, instead(lambda path: path.symlink_to(path.name))),
    "a link to what has no end": (3, "file-special", False, instead(lambda path: path.symlink_to("/dev/zero"))),
    "a directory": (3, "file-special", False, instead(lambda path: path.mkdir())),
    "a socket": (3, "system", False, instead(socket_at)),
    "a terabyte": (6, "minisign-malformed", False, instead(huge)),
}  # fmt: skip


def restamped() -> bytes:
    """The same capsule to the ID, in other bytes."""
    return Forge(metadata=lambda document: document["build"].update(host="elsewhere")).build()


def judged(scene: Scene, status: int, *codes: str, options: tuple[str | Path, ...] = ()) -> None:
    """``capsbuild verify`` ends so, says so in JSON and in words, and leaves nothing."""
    before = snapshot(scene.folder) if not scene.signature.is_symlink() and not huge_at(scene.signature) else {}
    ran = capsbuild("verify", scene.archive, *options, "--json", "--extract-to", scene.folder / "out",
                    wrapper=["timeout", "60"])  # fmt: skip
    document = json.loads(ran.out)
    assert ([error["code"] for error in document.get("errors", [])], ran.status) == ([*codes], status)
    assert document.get("status", 0) == status
    assert ran.err.count("ERROR: ") == len(codes)
    assert "Traceback" not in ran.err
    assert ran.err.replace("\n", "").isprintable()
    assert (scene.folder / "out").exists() == (status == 0)
    if before and status:
        assert snapshot(scene.folder) == before


def huge_at(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 1 << 20


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_as_the_table_says(scene: Scene, name: str) -> None:
    status, code, minisign_is_content, change = ATTACKS[name]
    change(scene)
    judged(scene, status, *[code] if code else [], options=("--public-key", scene.keys / "release.pub"))
    ran = run_minisign("-V", "-q", "-p", scene.keys / "release.pub", "-m", scene.archive)
    assert (ran.returncode == 0) == minisign_is_content, ran.stderr


def test_a_fifo_is_not_waited_for(scene: Scene) -> None:
    scene.signature.unlink()
    os.mkfifo(scene.signature)
    judged(scene, 3, "file-special", options=("--trusted-keys", scene.keys))


def test_a_signature_cut_anywhere_is_none(scene: Scene) -> None:
    """But for the last line end, which minisign does without."""
    whole = scene.signature.read_bytes()
    key = PublicKey.parse((scene.keys / "release.pub").read_bytes())
    for end in range(len(whole) - 1):
        scene.signature.write_bytes(whole[:end])
        with pytest.raises(verify_module.SignatureError) as refused:
            verify(str(scene.archive), [key])
        assert [problem.code for problem in refused.value.problems] == ["minisign-malformed"]
    scene.signature.write_bytes(whole[:-1])
    assert verify(str(scene.archive), [key]).signed_by


def test_the_legacy_form_is_taken_unless_it_must_not_be(scene: Scene) -> None:
    scene.sign(scene.archive, None, "-l")
    options = ("--public-key", scene.keys / "release.pub", "--require-prehashed")
    judged(scene, 6, "signature-legacy", options=options)
    assert run_minisign("-V", "-H", "-p", scene.keys / "release.pub", "-m", scene.archive).returncode == 1
    labelled(b"ED")(scene)
    judged(scene, 6, "minisign-forged", options=options)
    labelled(b"Ed")(scene)
    judged(scene, 0, options=options[:2])


def test_zero_is_an_id_like_others(scene: Scene) -> None:
    zero = SecretKey(bytes(8), scene.secret.key)
    (scene.keys / "release.pub").write_bytes(zero.public_key.format())
    scene.sign(scene.archive, zero)
    judged(scene, 0, options=("--trusted-keys", scene.keys))


# Keys


def given(scene: Scene, text: bytes) -> tuple[str | Path, ...]:
    (scene.folder / "given").write_bytes(text)
    return ("--public-key", scene.folder / "given")


def test_what_is_no_public_key_is_told_apart(scene: Scene) -> None:
    judged(scene, 2, "key-secret", options=given(scene, SecretKeyFile.seal(scene.secret, None).format()))
    judged(scene, 2, "minisign-malformed", options=given(scene, scene.signature.read_bytes()))
    judged(scene, 2, "minisign-malformed", options=given(scene, b""))
    judged(scene, 2, "minisign-malformed", options=given(scene, scene.secret.public_key.format() * 2))
    judged(scene, 2, "minisign-malformed", options=("--public-key", "/dev/zero"))
    judged(scene, 3, "system", options=("--public-key", scene.keys))
    judged(scene, 3, "system", options=("--public-key", "RWnothing"))
    judged(scene, 3, "system", options=("--trusted-keys", scene.archive))


def test_one_bad_key_among_good_ones_is_told_and_trust_is_not_guessed(scene: Scene) -> None:
    (scene.keys / "a-cut.pub").write_bytes(scene.secret.public_key.format()[:-5])
    (scene.keys / "z-secret.pub").write_bytes(SecretKeyFile.seal(scene.foe, None).format())
    (scene.keys / "README").write_text("no key, and no .pub")
    judged(scene, 2, "minisign-malformed", "key-secret", options=("--trusted-keys", scene.keys))
    for name in ("a-cut.pub", "z-secret.pub"):
        (scene.keys / name).unlink()
    (scene.keys / "folder.pub").mkdir()
    judged(scene, 2, "file-special", options=("--trusted-keys", scene.keys))
    (scene.keys / "folder.pub").rmdir()
    os.mkfifo(scene.keys / "fifo.pub")
    judged(scene, 2, "file-special", options=("--trusted-keys", scene.keys))
    (scene.keys / "fifo.pub").unlink()
    (scene.keys / "gone.pub").symlink_to("nothing")
    judged(scene, 3, "system", options=("--trusted-keys", scene.keys))
    (scene.keys / "gone.pub").unlink()
    judged(scene, 0, options=("--trusted-keys", scene.keys))


def test_a_stranger_with_the_id_of_a_trusted_key_neither_passes_nor_is_in_the_way(scene: Scene) -> None:
    namesake = SecretKey(scene.secret.key_id, scene.foe.key)
    for name in ("a.pub", "z.pub"):
        (scene.keys / name).write_bytes(namesake.public_key.format())
        judged(scene, 0, options=("--trusted-keys", scene.keys))
        subprocess.run(["rm", "-r", scene.folder / "out"], check=True)
    third = SecretKey(scene.secret.key_id, SecretKey.generate().key)
    scene.sign(scene.archive, third)
    judged(scene, 6, "minisign-comment-forged", options=("--trusted-keys", scene.keys))


# What changes while it is read


class Meddled(io.FileIO):
    """An archive that somebody meddles with once its first ``after`` bytes have been read."""

    def __init__(self, path: Path, after: int, meddle: Callable[[], object]) -> None:
        super().__init__(path)
        self._after, self._meddle = after, meddle

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(min(size or 0, max(1, self._after - self.tell())) if self._meddle else size) or b""
        if self.tell() >= self._after and self._meddle:
            meddle, self._meddle = self._meddle, None  # type: ignore[assignment]
            meddle()
        return data


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def meddled(scene: Scene, monkeypatch: pytest.MonkeyPatch, after: int, meddle: Callable[[], object]) -> str:
    """The code of the refusal; "" when there is none, and what was unpacked is what was signed."""
    opened: list[str] = []

    def opens(path: str) -> io.FileIO:
        opened.append(path)
        open_archive(path).close()
        return Meddled(Path(path), after, meddle)

    out = scene.folder / "out"
    signed = scene.archive.read_bytes()
    key = PublicKey.parse((scene.keys / "release.pub").read_bytes())
    monkeypatch.setattr(verify_module, "open_archive", opens)
    try:
        found = verify(str(scene.archive), [key], extract_to=str(out))
    except CapsuleError as refused:
        assert not out.exists()
        return refused.problems[0].code
    finally:
        assert len(opened) == 1
    assert found.size == len(signed)
    for _, path, kind, data in read(signed):
        if kind in ("file", "executable"):
            assert (out / path).read_bytes() == data
    return ""


def test_what_was_read_counts_whatever_becomes_of_the_file(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    size = scene.archive.stat().st_size
    other = scene.folder / "evil"
    other.write_bytes(capsule("evil"))
    for after, meddle in (
        (size // 2, lambda: overwrite(scene.archive, 0, bytes(size // 2))),  # behind the reader
        (size // 2, lambda: other.replace(scene.archive)),  # under its name
        (100, lambda: scene.signature.unlink()),  # which had been read before
    ):
        assert meddled(scene, monkeypatch, after, meddle) == ""
        subprocess.run(["rm", "-r", scene.folder / "out"], check=True)
        scene.archive.write_bytes(capsule())
        scene.sign(scene.archive)


def test_what_is_changed_before_it_is_read_is_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    good, size = scene.archive.read_bytes(), scene.archive.stat().st_size
    restamp = restamped()
    assert len(restamp) != size
    for meddle, code in (
        (lambda: overwrite(scene.archive, size - 36, bytes(4)), "gzip-crc"),
        (lambda: overwrite(scene.archive, size, b"more"), "archive-trailing"),  # it grows
        (lambda: os.truncate(scene.archive, size - 1), "archive-truncated"),
    ):
        assert meddled(scene, monkeypatch, size // 2, meddle) == code
        scene.archive.write_bytes(good)
    scene.archive.write_bytes(restamp)  # another sound archive, with the same ID
    assert meddled(scene, monkeypatch, size // 2, lambda: None) == "minisign-forged"


def test_an_archive_that_arrives_while_it_is_read_is_judged_by_its_end(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size is that of what was read, not what it had when it was opened."""
    good = scene.archive.read_bytes()
    monkeypatch.setattr(
        Path, "read_bytes", lambda self, real=Path.read_bytes: good if self == scene.archive else real(self)
    )
    os.truncate(scene.archive, 200)
    assert meddled(scene, monkeypatch, 200, lambda: overwrite(scene.archive, 200, good[200:])) == ""
