"""Signs capsules: the archive is read and found sound, then signed under the name and the ID that it really has."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from capsule_builder import minisign
from capsule_builder.capsule import archive_name
from capsule_builder.errors import refusal
from capsule_builder.minisign import Claim, SecretKey, Signature
from capsule_builder.output import NewFile, check_output, commit_pair, undisturbed
from capsule_builder.paths import CONTENTS_NAME, METADATA_NAME, shown

_COPY_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed archive: its path, that of its signature, what that says, and the 8 bytes that name the key."""

    archive: str
    signature: str
    claim: Claim
    key_id: bytes


def sign_stream(archive: BinaryIO, claim: Claim, secret: SecretKey) -> Signature:
    """The signature of all that is in ``archive``, whose capsule is known to be the one that ``claim`` names."""
    archive.seek(0)
    return minisign.sign(minisign.prehash(archive), secret, str(claim))


def sign_file(
    path: str,
    secret: SecretKey,
    *,
    output: str | None = None,
    force: bool = False,
    before_commit: Callable[[], None] | None = None,
) -> Signed:
    """Signs the capsule ``path``, into ``output``, or ``<path>.minisig``.

    ``before_commit`` is called when nothing is left to do but to put the signature in its place.

    Raises:
        CapsuleError: the file is no sound capsule, changes meanwhile, or has another signature already and ``force`` is
            off.
        OSError: the signature cannot be written.
    """
    place = output or f"{path}.minisig"
    check_output(place, None)
    with contextlib.ExitStack() as stack:
        archive = stack.enter_context(_opened(path))
        before = _state(archive)
        claim = _sound_claim(archive, shown(path))
        signature = sign_stream(archive, claim, secret)
        if _state(archive) != before:
            raise refusal("sign-changed", f"Capsule changed while it was signed: {shown(path)}", "Sign it again.")
        data = signature.format()
        if not force:
            _require_no_other(place, data)
        with undisturbed():
            new = stack.enter_context(NewFile(place))
        new.file.write(data)
        if before_commit:
            before_commit()
        new.commit()
    return Signed(path, place, claim, secret.key_id)


def sign_copy(
    path: str, secret: SecretKey, directory: str, *, before_commit: Callable[[], None] | None = None
) -> Signed:
    """Copies the capsule ``path`` into ``directory``, made if need be, under its real name, and signs it there.

    What is signed is the copy. Older files of these names are replaced; ``before_commit`` is as in :func:`sign_file`.

    Raises:
        CapsuleError: the file is no sound capsule.
        OSError: the copy cannot be written.
    """
    os.makedirs(directory, exist_ok=True)
    with contextlib.ExitStack() as stack:
        archive = stack.enter_context(_opened(path))
        claim = _sound_claim(archive, shown(path))
        place = os.path.join(directory, archive_name(claim.name, claim.id))
        for output in (place, f"{place}.minisig"):
            check_output(output, None)
        with undisturbed():
            copy = stack.enter_context(NewFile(place))
        archive.seek(0)
        while chunk := archive.read(_COPY_SIZE):
            copy.file.write(chunk)
        if _sound_claim(copy.file, shown(path)) != claim:
            raise refusal("sign-changed", f"Capsule changed while it was signed: {shown(path)}", "Sign it again.")
        signature = sign_stream(copy.file, claim, secret)
        with undisturbed():
            beside = stack.enter_context(NewFile(f"{place}.minisig"))
        beside.file.write(signature.format())
        if before_commit:
            before_commit()
        commit_pair(beside, copy)
    return Signed(place, beside.path, claim, secret.key_id)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """A regular file, open for reading."""
    try:
        file = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        raise refusal("sign-missing", f"Capsule not found: {shown(path)}", "Name an existing one.") from None
    except OSError as error:
        raise refusal("sign-unreadable", f"Cannot read {shown(path)}: {error.strerror}", "Name a capsule.") from None
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise refusal("sign-unreadable", f"Not a regular file: {shown(path)}", "Name a capsule that is a file.")
        yield file


def _state(file: BinaryIO) -> tuple[int, int, int]:
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _require_no_other(place: str, signature: bytes) -> None:
    """Refuses to replace a signature; the same one, which the same key makes of the same archive, is none to lose."""
    try:
        with open(place, "rb") as file:
            if file.read(len(signature) + 1) == signature:
                return
    except FileNotFoundError:
        return
    raise refusal(
        "sign-exists",
        f"Another signature is there already: {shown(place)}",
        "Remove it, name another with --output, or replace it with --force.",
    )


def _sound_claim(archive: BinaryIO, name: str) -> Claim:
    """What the capsule in ``archive`` is. To be replaced by the strict reader: this one inflates it and checks the ID.

    Raises:
        CapsuleError: it is no capsule, or is damaged.
    """
    archive.seek(0)
    try:
        with gzip.GzipFile(fileobj=archive) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
            heads = [_head(tar, path) for path in (METADATA_NAME, CONTENTS_NAME)]
            while plain.read(_COPY_SIZE):  # inflates the rest, and so checks it
                pass
        facts = json.loads(heads[0])
        claim = Claim(str(facts["name"]), str(facts["version"]), hashlib.sha256(heads[1]).hexdigest())
        if claim.id != facts["id"]:
            raise ValueError("its ID is not that of its content listing")
    except (tarfile.TarError, zlib.error, EOFError, ValueError, KeyError, TypeError, gzip.BadGzipFile) as error:
        raise refusal(
            "sign-unsound", f"Not a sound capsule: {name} ({error})", "Only a capsule can be signed: build it anew."
        ) from None
    return claim


def _head(tar: tarfile.TarFile, path: str) -> bytes:
    member = tar.next()
    file = tar.extractfile(member) if member and member.name == path else None
    if not file:
        raise ValueError(f"it does not begin with {path}")
    return file.read()
