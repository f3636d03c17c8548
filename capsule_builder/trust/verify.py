"""Verifies a capsule: that it is one, that it is what it says, and who signed it.

What knows of signatures is imported when there is a key.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from capsule_builder.archive.damage import named
from capsule_builder.archive.reader import CapsuleReader, open_archive
from capsule_builder.errors import CapsuleError, refusal
from capsule_builder.paths import shown
from capsule_builder.signals import undisturbed
from capsule_builder.trust.file_name import check_file_name

if TYPE_CHECKING:
    from capsule_builder.trust.minisign import PublicKey, Signature
    from capsule_builder.trust.unpack import Staging

MAX_LEGACY = 16 << 20
"""The largest archive checked against a signature of the legacy form, which needs all of it in memory."""

_MAX_SMALL = 16 << 10


class UnsignedError(CapsuleError):
    """There is no signature, and one is required."""


class SignatureError(CapsuleError):
    """The signature is not one by a trusted key of this archive."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A capsule that holds.

    ``id`` is 64 hex digits; ``size`` is the archive's length and ``total_size`` that of all files, in bytes;
    ``signed_by`` is the id of the key as minisign prints it, None when no signature was checked.
    """

    id: str
    name: str
    version: str
    files: int
    layers: int
    size: int
    total_size: int
    signed_by: str | None
    trusted_comment: str | None


def verify(
    path: str,
    keys: Sequence[PublicKey] = (),
    *,
    require_signature: bool = False,
    require_prehashed: bool = False,
    extract_to: str | None = None,
    before_commit: Callable[[], None] | None = None,
    jobs: int = 1,
) -> Verified:
    """Reads the capsule ``path`` once and to its end, over ``jobs`` processes, and refuses it unless everything holds.

    With ``keys`` its signature, ``<path>.minisig``, must be by one of them and name this capsule; that it is missing
    matters only when it is required. With ``extract_to``, a path where nothing is yet, the capsule is unpacked there;
    ``before_commit`` is called when nothing is left to do but to put it in its place.

    Raises:
        UnsignedError, SignatureError: the signature is missing, or does not hold.
        CapsuleError: the archive is not a capsule, or is damaged.
        OSError: something cannot be read or written.
    """
    name = shown(path)
    signature, key = read_signature(path, keys, require_signature)
    with contextlib.ExitStack() as stack:
        archive = stack.enter_context(open_archive(path))
        watch = _Watch(signature, os.fstat(archive.fileno()).st_size, require_prehashed, name)
        reader = stack.enter_context(CapsuleReader(archive, label=name, watch=watch, jobs=jobs))
        _check_claim(signature, reader, name)
        check_file_name(path, reader)
        staging: Staging | None = None
        if extract_to is not None:
            from capsule_builder.trust.unpack import Staging

            with undisturbed():
                staging = stack.enter_context(Staging(extract_to))
            stack.callback(reader.close)  # its thread would take signals that wait until all is cleared away
            staging.unpack(reader)
        manifest = reader.finish()
        signed_by = watch.verify(key) if key else None
        if before_commit:
            before_commit()
        if staging:
            staging.commit()
        return Verified(
            id=reader.id,
            name=manifest.name,
            version=manifest.version,
            files=reader.listing.files,
            layers=len(reader.index.layers),
            size=watch.size,
            total_size=reader.metadata["total_size"],
            signed_by=signed_by,
            trusted_comment=signature.trusted_comment if signature else None,
        )


class _Watch:
    """Sees every byte of the archive as it is read, and so can say whether these are the ones that were signed."""

    def __init__(self, signature: Signature | None, size: int, require_prehashed: bool, name: str) -> None:
        self.size = 0
        self._signature = signature
        self._name = name
        self._digest = hashlib.blake2b()
        self._whole: bytearray | None = None
        if signature and not signature.prehashed:
            if require_prehashed:
                raise _refused("signature-legacy", f"{name}: signature has the legacy form", "Have it signed again.")
            self._require_small(size)
            self._whole = bytearray()

    def __call__(self, data: bytes | memoryview) -> None:
        self.size += len(data)
        if self._whole is not None:
            self._require_small(len(self._whole) + len(data))
            self._whole += data
        elif self._signature:
            self._digest.update(data)

    def verify(self, key: PublicKey) -> str:
        """Refuses the signature unless it is that of all that was seen; gives the id of the key."""
        from capsule_builder.trust import minisign

        assert self._signature  # noqa: S101
        with _as_signature_error(self._name):
            if self._whole is not None:
                minisign.verify(self._signature, io.BytesIO(self._whole), key)
            else:
                minisign.verify_prehashed(self._signature, self._digest.digest(), key)
        return minisign.key_id_text(key.key_id)

    def _require_small(self, size: int) -> None:
        if size > MAX_LEGACY:
            message = f"{self._name}: signature has the legacy form, which is checked for up to {MAX_LEGACY:,} bytes"
            raise _refused("signature-legacy", message, "Have it signed again.")


def read_signature(
    path: str, keys: Sequence[PublicKey], required: bool
) -> tuple[Signature, PublicKey] | tuple[None, None]:
    """The signature of the archive ``path``, whose comment can be trusted from here on, and the key that made it.

    Raises:
        UnsignedError, SignatureError: it is missing and required, or its comment is by none of the keys.
        OSError: it cannot be read.
    """
    if not keys:
        return None, None
    place = f"{path}.minisig"
    try:
        data = read_small(place, "Signature")
    except FileNotFoundError:
        if not required:
            return None, None
        problems = refusal("signature-missing", f"No signature: {shown(place)}", "Have it signed.").problems
        raise UnsignedError(problems) from None
    from capsule_builder.trust import minisign

    with _as_signature_error(shown(path)):
        signature = minisign.Signature.parse(data, "Its signature")
        return signature, _author(signature, keys)


def _author(signature: Signature, keys: Sequence[PublicKey]) -> PublicKey:
    """The key that made it. Several may have its id, which whoever makes a key can choose."""
    from capsule_builder.trust import minisign

    refused = None
    for key in keys:
        if key.key_id == signature.key_id:
            try:
                minisign.verify_comment(signature, key)
            except CapsuleError as error:
                refused = error
            else:
                return key
    if refused:
        raise refused
    message = f"Signed by a key that is not trusted: {minisign.key_id_text(signature.key_id)}"
    raise refusal("signature-unknown", message, "If you trust that key, name it.")


def read_small(path: str, what: str) -> bytes:
    """A signature or a key where somebody else may have put something else: no fifo is waited for.

    Of what is too long to be either, there is enough to see that.

    Raises:
        CapsuleError: it is no regular file, nor a link to one; ``what`` names it in the message.
        OSError: it cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise refusal("file-special", f"{what} is not a regular file: {shown(path)}", "Put a file there.")
        return os.read(fd, _MAX_SMALL + 1)
    finally:
        os.close(fd)


def _check_claim(signature: Signature | None, reader: CapsuleReader, name: str) -> None:
    if not signature:
        return
    from capsule_builder.trust.minisign import Claim

    with _as_signature_error(name):
        claim = Claim.parse(signature.trusted_comment)
        if claim != Claim(reader.metadata["name"], reader.metadata["version"], reader.id):
            message = f"Signature is that of another capsule: {signature.trusted_comment}"
            raise refusal("signature-other", message, "Fetch the archive and its signature again.")


@contextlib.contextmanager
def _as_signature_error(name: str) -> Iterator[None]:
    try:
        with named(name):
            yield
    except CapsuleError as error:
        raise SignatureError(error.problems) from None


def _refused(code: str, message: str, remedy: str) -> SignatureError:
    return SignatureError(refusal(code, message, remedy).problems)
