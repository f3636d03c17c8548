"""Signs capsules: the archive is read and found sound, then signed under the name and the ID that it really has."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from capsule_builder.archive.effort import default_jobs
from capsule_builder.archive.reader import CapsuleReader, open_archive
from capsule_builder.errors import refusal
from capsule_builder.metadata import archive_name
from capsule_builder.output import NewFile, check_output, commit_together
from capsule_builder.paths import shown
from capsule_builder.signals import undisturbed
from capsule_builder.trust import minisign
from capsule_builder.trust.file_name import check_file_name
from capsule_builder.trust.minisign import Claim, SecretKey, Signature


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
        CapsuleError: the file is no sound capsule, or has another signature already and ``force`` is off; or the
            signature would take its place.
        OSError: the file cannot be read, or the signature not written.
    """
    place = output or f"{path}.minisig"
    check_output(place, None)
    if os.path.exists(place) and os.path.exists(path) and os.path.samefile(place, path):
        raise refusal("output-archive", f"Output is the capsule itself: {shown(place)}", "Name another.")
    with contextlib.ExitStack() as stack:
        claim, signature = _signed(stack.enter_context(open_archive(path)), path, secret)
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
        CapsuleError: the file is no sound capsule, or changes meanwhile.
        OSError: the file cannot be read, or the copy not written.
    """
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as made:
        archive = stack.enter_context(open_archive(path))
        with CapsuleReader(archive, label=shown(path)) as head:
            check_file_name(path, head)
            name = archive_name(head.metadata["name"], head.id)
        archive.seek(0)
        with undisturbed():
            _make(directory, made)
        place = os.path.join(directory, name)
        for output in (place, f"{place}.minisig"):
            check_output(output, None)
        with undisturbed():
            copy = made.enter_context(NewFile(place))
            beside = made.enter_context(NewFile(f"{place}.minisig"))
        claim, signature = _signed(archive, path, secret, copy.file)
        if archive_name(claim.name, claim.id) != name:
            raise refusal("sign-changed", f"Capsule changed while it was copied: {shown(path)}", "Sign it again.")
        beside.file.write(signature.format())
        if before_commit:
            before_commit()
        commit_together(beside, copy)
        made.pop_all()
    return Signed(place, beside.path, claim, secret.key_id)


def _make(directory: str, made: contextlib.ExitStack) -> None:
    """Makes a directory, and those above it; they go again with ``made``."""
    path = os.path.abspath(directory)
    missing = []
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    for each in reversed(missing):
        os.mkdir(each)
        made.callback(_unmake, each)


def _unmake(directory: str) -> None:
    with contextlib.suppress(OSError):  # somebody else may use it by now
        os.rmdir(directory)


def _signed(archive: BinaryIO, path: str, secret: SecretKey, copy: BinaryIO | None = None) -> tuple[Claim, Signature]:
    """What the capsule is, and its signature, when it has been read to its end and found sound.

    It is read once, and ``copy`` gets all of it: what is signed is what was judged, whatever becomes of the file.
    """
    digest = hashlib.blake2b()

    def watch(data: bytes | memoryview) -> None:
        digest.update(data)
        if copy:
            copy.write(data)

    with CapsuleReader(archive, label=shown(path), watch=watch, jobs=default_jobs()) as reader:
        check_file_name(path, reader)
        manifest = reader.finish()
        claim = Claim(manifest.name, manifest.version, reader.id)
    return claim, minisign.sign(digest.digest(), secret, str(claim))


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
