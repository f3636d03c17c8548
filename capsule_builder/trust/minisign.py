"""minisign's signatures and keys: https://jedisct1.github.io/minisign/, section "Signature format".

A signature is two Ed25519 signatures in four lines of text. The first one is over the BLAKE2b-512 digest of the file
(``ED``, prehashed) or over the file itself (``Ed``, legacy); the second, the *global* one, is over the first and the
trusted comment. The global one can be checked without the file, so the comment can be trusted before the file is there.

What cannot be read or believed is refused with a ``CapsuleError`` whose code begins with ``minisign-``; no message,
cause or repr holds a password or a secret key.

>>> import io
>>> secret = SecretKey.generate()
>>> digest = prehash(io.BytesIO(b"an archive"))
>>> signature = sign(digest, secret, trusted_comment("app", "1.0", "0" * 64))
>>> signature == Signature.parse(signature.format())
True
>>> verify(signature, io.BytesIO(b"an archive"), secret.public_key)[:19]
'capsule=app@1.0 id='
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from dataclasses import dataclass, field
from typing import BinaryIO

import nacl.bindings
from nacl.exceptions import BadSignatureError, CryptoError

from capsule_builder.errors import CapsuleError, refusal

MAX_UNTRUSTED_COMMENT = 1003
"""Bytes that the ``minisign`` program reads of an untrusted comment."""
MAX_TRUSTED_COMMENT = 8173
"""Bytes that the ``minisign`` program reads and writes of a trusted comment."""
MAX_LEGACY_BYTES = 256 << 20
"""The largest file checked against a legacy signature: Ed25519 needs all of it in memory, several times over."""
SENSITIVE = (1 << 25, 1 << 30)
"""libsodium's ``opslimit`` and ``memlimit`` (bytes) for a key that matters, and the most that is accepted: 1 GiB."""

_LEGACY, _PREHASHED = b"Ed", b"ED"
_SCRYPT, _NO_KDF, _BLAKE2B = b"Sc", b"\0\0", b"B2"
_UNTRUSTED, _TRUSTED = "untrusted comment: ", "trusted comment: "
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CLAIM = re.compile(r"capsule=([!-?A-~]+)@([!-?A-~]+) id=([0-9a-f]{64})")


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key (32 bytes) and the 8 bytes that name the pair."""

    key_id: bytes
    key: bytes

    def __post_init__(self) -> None:
        _require_lengths("The public key", (self.key_id, 8), (self.key, 32))

    @classmethod
    def parse(cls, data: bytes, origin: str = "The public key") -> PublicKey:
        """Reads a ``.pub`` file, or its base64 line alone; ``origin`` names it in a refusal."""
        lines = _lines(data, origin)
        if len(lines) == 2:
            _comment(lines[0], _UNTRUSTED, origin)
        elif len(lines) != 1:
            raise _malformed(origin, f"has {len(lines)} lines, where minisign writes 2")
        blob = _unbase64(lines[-1], 42, origin)
        if blob[:2] != _LEGACY:
            raise _malformed(origin, "is not an Ed25519 key")
        return cls(blob[2:10], blob[10:])

    def format(self) -> bytes:
        """The ``.pub`` file, as minisign writes it."""
        return _text(f"{_UNTRUSTED}minisign public key {key_id_text(self.key_id)}", _LEGACY + self.key_id + self.key)


@dataclass(frozen=True)
class SecretKey:
    """An Ed25519 secret key: ``key`` is the seed and the public half (64 bytes), as libsodium has it."""

    key_id: bytes
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _require_lengths("The secret key", (self.key_id, 8), (self.key, 64))
        # A wrong public half would make signatures from which the seed can be computed.
        if not hmac.compare_digest(nacl.bindings.crypto_sign_seed_keypair(self.key[:32])[1], self.key):
            raise _malformed("The secret key", "is damaged: its two halves do not belong together")

    @classmethod
    def generate(cls) -> SecretKey:
        """A new pair from the system's randomness."""
        return cls(os.urandom(8), nacl.bindings.crypto_sign_keypair()[1])

    @property
    def public_key(self) -> PublicKey:
        """The key that verifies what this one signs."""
        return PublicKey(self.key_id, self.key[32:])


@dataclass(frozen=True)
class SecretKeyFile:
    """A secret key as it lies on disk: masked by a password through scrypt, or (``minisign -G -W``) in the clear.

    ``body`` is key id, key and checksum (104 bytes), masked or not; ``opslimit`` and
    ``memlimit`` (bytes) are libsodium's.
    """

    encrypted: bool
    salt: bytes = field(repr=False)
    opslimit: int
    memlimit: int
    body: bytes = field(repr=False)
    origin: str = field(default="The secret key", compare=False)

    def __post_init__(self) -> None:
        _require_lengths(self.origin, (self.salt, 32), (self.body, 104))
        if self.encrypted and (self.opslimit > SENSITIVE[0] or self.memlimit > SENSITIVE[1]):
            raise refusal(
                "minisign-kdf-limits",
                f"{self.origin} asks for more work or memory than minisign ever does"
                f" (opslimit {self.opslimit}, memlimit {self.memlimit} bytes).",
                "Change its password with minisign -C, or make a new key.",
            )

    @classmethod
    def parse(cls, data: bytes, origin: str = "The secret key") -> SecretKeyFile:
        """Reads a ``.key`` file; ``origin`` names it in a refusal."""
        lines = _lines(data, origin)
        if len(lines) != 2:
            raise _malformed(origin, f"has {len(lines)} lines, where minisign writes 2")
        _comment(lines[0], _UNTRUSTED, origin)
        blob = _unbase64(lines[1], 158, origin)
        algorithm, kdf, checksum = blob[:2], blob[2:4], blob[4:6]
        if algorithm != _LEGACY or kdf not in (_SCRYPT, _NO_KDF) or checksum != _BLAKE2B:
            raise _malformed(origin, "uses an algorithm that minisign 0.11 does not know")
        limits = int.from_bytes(blob[38:46], "little"), int.from_bytes(blob[46:54], "little")
        return cls(kdf == _SCRYPT, blob[6:38], *limits, blob[54:], origin)

    def format(self) -> bytes:
        """The ``.key`` file, as minisign writes it."""
        limits = self.opslimit.to_bytes(8, "little") + self.memlimit.to_bytes(8, "little")
        kdf = _SCRYPT if self.encrypted else _NO_KDF
        return _text(
            f"{_UNTRUSTED}minisign encrypted secret key", _LEGACY + kdf + _BLAKE2B + self.salt + limits + self.body
        )

    @classmethod
    def seal(cls, secret: SecretKey, password: bytes | None, limits: tuple[int, int] = SENSITIVE) -> SecretKeyFile:
        """The file for a key, masked by ``password``, or in the clear when that is None.

        ``limits`` are opslimit and memlimit; the default takes seconds and 1 GiB of memory, as minisign's own does.
        """
        body = secret.key_id + secret.key + _checksum(secret.key_id + secret.key)
        if password is None:
            return cls(False, bytes(32), 0, 0, body)
        salt = os.urandom(32)
        return cls(True, salt, *limits, _xor(body, _mask(password, salt, *limits)))

    def open(self, password: bytes | None = None) -> SecretKey:
        """The key. ``password`` is needed when the file is ``encrypted`` and not looked at when it is not."""
        body = self.body
        if self.encrypted:
            if password is None:
                raise refusal("minisign-password-missing", f"{self.origin} needs its password, and none was given.")
            body = _xor(body, _mask(password, self.salt, self.opslimit, self.memlimit))
        # minisign 0.11 leaves the checksum of a key that never had a password empty.
        checksum_is_due = self.encrypted or any(body[72:])
        if checksum_is_due and not hmac.compare_digest(_checksum(body[:72]), body[72:]):
            if self.encrypted:
                raise refusal("minisign-password-wrong", f"{self.origin} cannot be opened: the password is wrong.")
            raise _malformed(self.origin, "is damaged: its checksum does not fit")
        return SecretKey(body[:8], body[8:72])


@dataclass(frozen=True)
class Signature:
    """A signature file. Only ``verify`` and ``verify_comment`` say whether any of it may be believed."""

    prehashed: bool
    key_id: bytes
    signature: bytes
    trusted_comment: str
    global_signature: bytes
    untrusted_comment: str = "signature from minisign secret key"

    def __post_init__(self) -> None:
        _require_lengths("The signature", (self.key_id, 8), (self.signature, 64), (self.global_signature, 64))
        _require_comment(self.untrusted_comment, MAX_UNTRUSTED_COMMENT, "The signature")
        _require_comment(self.trusted_comment, MAX_TRUSTED_COMMENT, "The signature")

    @classmethod
    def parse(cls, data: bytes, origin: str = "The signature") -> Signature:
        """Reads a ``.minisig`` file; ``origin`` names it in a refusal."""
        lines = _lines(data, origin)
        if len(lines) != 4:
            raise _malformed(origin, f"has {len(lines)} lines, where minisign writes 4")
        untrusted, trusted = _comment(lines[0], _UNTRUSTED, origin), _comment(lines[2], _TRUSTED, origin)
        blob, global_signature = _unbase64(lines[1], 74, origin), _unbase64(lines[3], 64, origin)
        if blob[:2] not in (_LEGACY, _PREHASHED):
            raise _malformed(origin, "uses an algorithm that minisign 0.11 does not know")
        return cls(blob[:2] == _PREHASHED, blob[2:10], blob[10:], trusted, global_signature, untrusted)

    def format(self) -> bytes:
        """The ``.minisig`` file, as minisign writes it."""
        algorithm = _PREHASHED if self.prehashed else _LEGACY
        head = _text(_UNTRUSTED + self.untrusted_comment, algorithm + self.key_id + self.signature)
        return head + _text(_TRUSTED + self.trusted_comment, self.global_signature)


def prehash(stream: BinaryIO) -> bytes:
    """The BLAKE2b-512 digest (64 bytes) of what is left of a stream, in constant memory."""
    digest = hashlib.blake2b()
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.digest()


def sign(digest: bytes, secret: SecretKey, trusted: str) -> Signature:
    """The prehashed signature for the ``digest`` that :func:`prehash` gave, with a trusted comment."""
    _require_lengths("The digest", (digest, 64))
    _require_comment(trusted, MAX_TRUSTED_COMMENT, "The signature")
    signature = nacl.bindings.crypto_sign(digest, secret.key)[:64]
    global_signature = nacl.bindings.crypto_sign(signature + trusted.encode(), secret.key)[:64]
    return Signature(True, secret.key_id, signature, trusted, global_signature)


def verify_comment(signature: Signature, public: PublicKey) -> str:
    """The trusted comment, once the global signature has shown that the holder of the key wrote it.

    It says nothing of the file itself, which need not be there.
    """
    if signature.key_id != public.key_id:
        raise refusal(
            "minisign-key-id",
            f"The signature was made by the key {key_id_text(signature.key_id)},"
            f" not by {key_id_text(public.key_id)}, which it was checked against.",
            "Use the public key of the one who signed, if you trust that key.",
        )
    comment = signature.trusted_comment.encode()
    if not _is_signed(signature.global_signature, signature.signature + comment, public):
        raise refusal("minisign-comment-forged", "The trusted comment is not the one that was signed.")
    return signature.trusted_comment


def verify(signature: Signature, stream: BinaryIO, public: PublicKey, *, require_prehashed: bool = False) -> str:
    """The trusted comment, once both signatures have been checked against the rest of the stream.

    ``require_prehashed`` refuses legacy signatures (``minisign -H``). Without it, the form is as untrusted as the first
    comment: whoever turns ``ED`` into ``Ed`` has a signature for the 64 bytes of the digest, taken as a file.
    """
    comment = verify_comment(signature, public)
    if signature.prehashed:
        message = prehash(stream)
    elif require_prehashed:
        raise refusal("minisign-legacy", "The signature has the legacy form.", "Sign again without minisign's -l.")
    else:
        message = stream.read(MAX_LEGACY_BYTES + 1)
        if len(message) > MAX_LEGACY_BYTES:
            limit = f"{MAX_LEGACY_BYTES >> 20} MiB"
            raise refusal(
                "minisign-legacy-size",
                f"The signature has the legacy form, which is checked for files of up to {limit} only.",
                "Sign again without minisign's -l.",
            )
    _require_signed(signature, message, public)
    return comment


def verify_prehashed(signature: Signature, digest: bytes, public: PublicKey) -> str:
    """As :func:`verify`, for a file whose BLAKE2b-512 ``digest`` is known; a legacy signature is refused."""
    comment = verify_comment(signature, public)
    if not signature.prehashed:
        raise refusal("minisign-legacy", "The signature has the legacy form.", "Sign again without minisign's -l.")
    _require_signed(signature, digest, public)
    return comment


@dataclass(frozen=True)
class Claim:
    """What a capsule's trusted comment says: which capsule the archive is, and its ID (64 hex digits)."""

    name: str
    version: str
    id: str

    def __post_init__(self) -> None:
        if not _CLAIM.fullmatch(str(self)):
            raise refusal("minisign-claim", f"{str(self)!a} cannot be the trusted comment of a capsule's signature.")

    def __str__(self) -> str:
        return f"capsule={self.name}@{self.version} id={self.id}"

    @classmethod
    def parse(cls, comment: str) -> Claim:
        """Reads a trusted comment that :func:`trusted_comment` wrote."""
        match = _CLAIM.fullmatch(comment)
        if match is None:
            raise refusal(
                "minisign-claim",
                f"The trusted comment {comment[:200]!a} does not name a capsule.",
                "It must read: capsule=<name>@<version> id=<64 hex digits>",
            )
        return cls(*match.groups())


def trusted_comment(name: str, version: str, id: str) -> str:  # noqa: A002
    """``capsule=<name>@<version> id=<64 hex digits>``; :meth:`Claim.parse` reads it."""
    return str(Claim(name, version, id))


def key_id_text(key_id: bytes) -> str:
    """A key's id as minisign 0.12 prints it: 16 upper-case hex digits (0.11 leaves zeros at the front out)."""
    return f"{int.from_bytes(key_id, 'little'):016X}"


def _require_signed(signature: Signature, message: bytes, public: PublicKey) -> None:
    if not _is_signed(signature.signature, message, public):
        raise refusal(
            "minisign-forged", "The file is not the one that was signed.", "Fetch the file and its signature again."
        )


def _is_signed(signature: bytes, message: bytes, public: PublicKey) -> bool:
    try:
        nacl.bindings.crypto_sign_open(signature + message, public.key)
    except BadSignatureError:
        return False
    return True


def _checksum(key_id_and_key: bytes) -> bytes:
    return hashlib.blake2b(_LEGACY + key_id_and_key, digest_size=32).digest()


def _mask(password: bytes, salt: bytes, opslimit: int, memlimit: int) -> bytes:
    """What libsodium's ``crypto_pwhash_scryptsalsa208sha256`` gives, which turns its two limits into N, r and p."""
    log2_n, r, p = nacl.bindings.nacl_bindings_pick_scrypt_params(opslimit, memlimit)
    try:
        return nacl.bindings.crypto_pwhash_scryptsalsa208sha256_ll(
            password, salt, 1 << log2_n, r, p, dklen=104, maxmem=2 * SENSITIVE[1]
        )
    except CryptoError:
        raise refusal(
            "minisign-kdf-memory", f"There is not enough memory to open or seal the secret key: {memlimit} bytes."
        ) from None


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _text(comment_line: str, blob: bytes) -> bytes:
    return b"%s\n%s\n" % (comment_line.encode(), base64.b64encode(blob))


def _lines(data: bytes, origin: str) -> list[str]:
    if len(data) > 16 << 10:
        raise _malformed(origin, "is too long to be one of minisign's files")
    try:
        return data.decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise _malformed(origin, "is not UTF-8 text") from None  # the cause would carry the data


def _comment(line: str, prefix: str, origin: str) -> str:
    if not line.startswith(prefix):
        raise _malformed(origin, f"lacks a line that begins with {prefix!r}")
    comment = line.removeprefix(prefix)
    _require_comment(comment, MAX_TRUSTED_COMMENT if prefix == _TRUSTED else MAX_UNTRUSTED_COMMENT, origin)
    return comment


def _unbase64(line: str, length: int, origin: str) -> bytes:
    """Strict: the only text that is taken is the one that encoding the result gives again."""
    try:
        blob = binascii.a2b_base64(line.encode())
    except binascii.Error:
        blob = b""
    if len(blob) != length or base64.b64encode(blob).decode() != line:
        raise _malformed(origin, f"has a line that is not {length} bytes in base64")
    return blob


def _require_comment(comment: str, limit: int, origin: str) -> None:
    if _CONTROL.search(comment):
        raise _malformed(origin, "has a comment with a control character or a carriage return in it")
    if len(comment.encode()) > limit:
        raise _malformed(origin, f"has a comment of more than {limit} bytes")


def _require_lengths(origin: str, *fields: tuple[bytes, int]) -> None:
    for value, length in fields:
        if len(value) != length:
            raise _malformed(origin, f"has {len(value)} bytes where there must be {length}")


def _malformed(origin: str, reason: str) -> CapsuleError:
    return refusal("minisign-malformed", f"{origin} {reason}.", "Give the file as minisign wrote it.")
