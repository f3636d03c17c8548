"""Harnesses for what people and other programs write: manifests, signatures and keys, requirements, patterns."""

from __future__ import annotations

import functools
import hashlib
import io

import yaml
from packaging.requirements import Requirement

from capsule_builder.manifest import Manifest, check, load
from capsule_builder.patterns import Patterns
from capsule_builder.requirements import Requirements, read_requirements
from capsule_builder.trust import minisign
from capsule_builder.trust.minisign import Claim, PublicKey, SecretKey, SecretKeyFile, Signature
from tests.fuzz.laws import check_path, judging, law
from tests.manifest.golden import read_cases
from tests.manifest.test_hostile_input import PIECES, assert_sound
from tests.manifest.test_model import EVERYTHING, SPECIFIED

MANIFEST_TOKENS = tuple(piece.encode() for piece in PIECES if len(piece) < 100)


def manifest(data: bytes) -> bool:
    """Any text as a manifest; every reader of YAML reads the same in one that is taken."""
    found: Manifest | None = None
    with judging():
        assert_sound(data)
        found, warnings = load(data, "c.yml")
    law(check(data, "c.yml")[0] == found, "it is judged alike each time")
    if found is None:
        return False
    law(all(warning.severity == "warning" for warning in warnings), "what is taken has no errors")
    plain = yaml.safe_load(data.decode())
    for key in ("name", "version", "entrypoint"):
        law(plain[key] == getattr(found, key), f"every reader of YAML reads the same: {key}")
    law({str(key): value for key, value in plain.get("env", {}).items()}.keys() == found.env.keys(), "and the same env")
    for path in (found.entrypoint, *(service.entrypoint for service in found.services if service.entrypoint)):
        check_path(path)
    law(str(Claim(found.name, found.version, "0" * 64)), "its name and version can be signed")
    return True


def manifest_seeds() -> list[bytes]:
    """Those of the documentation, then every one that the tests have a message for."""
    return [EVERYTHING, SPECIFIED, *(case.text.encode() for case in read_cases() if len(case.text) < 2000)]


ARCHIVE = b"an archive"
COMMENT = minisign.trusted_comment("app", "1.0.0", hashlib.sha256(ARCHIVE).hexdigest())
MINISIGN_TOKENS = (
    b"untrusted comment: ", b"trusted comment: ", b"\n", b"\r\n", b"=", b"==", b"RW", b"RU", b" id=", b"@",
    b"capsule=", "\u2028".encode(), b"\xff", b"\0", b"A" * 8, b"\t",
)  # fmt: skip


@functools.lru_cache
def _secret() -> SecretKey:
    import nacl.bindings

    return SecretKey(b"8 bytes.", nacl.bindings.crypto_sign_seed_keypair(bytes(32))[1])


@functools.lru_cache
def _signature() -> Signature:
    return minisign.sign(minisign.prehash(io.BytesIO(ARCHIVE)), _secret(), COMMENT)


def signature(data: bytes) -> bool:
    """Any text as a signature: it has one form, and only the one that was made is believed."""
    found: Signature | None = None
    with judging():
        found = Signature.parse(data)
    if found is None:
        return False
    text = found.format()
    law(text in (data, data + b"\n"), "it has one form, but for the last line's end")
    law(Signature.parse(text) == found, "it is read back")
    comment = None
    with judging():
        comment = minisign.verify(found, io.BytesIO(ARCHIVE), _secret().public_key)
    if comment is not None:
        true = _signature()
        signed = (found.key_id, found.signature, found.trusted_comment, found.global_signature, found.prehashed)
        made = (true.key_id, true.signature, true.trusted_comment, true.global_signature, true.prehashed)
        law(comment == COMMENT and signed == made, "only what was signed is believed")
    return comment is not None


def signature_seeds() -> list[bytes]:
    """The true one."""
    return [_signature().format()]


def public_key(data: bytes) -> bool:
    """Any text as a public key."""
    found: PublicKey | None = None
    with judging():
        found = PublicKey.parse(data)
    if found is None:
        return False
    law(PublicKey.parse(found.format()) == found, "it is read back")
    line = found.format().splitlines()[1]
    law(data.removesuffix(b"\n").split(b"\n")[-1] == line, "it has one form, but for the comment")
    return True


def public_key_seeds() -> list[bytes]:
    """A file, and its second line alone."""
    made = _secret().public_key.format()
    return [made, made.splitlines(keepends=True)[1]]


def secret_key(data: bytes) -> bool:
    """Any text as a secret key; those without a password are opened."""
    found: SecretKeyFile | None = None
    with judging():
        found = SecretKeyFile.parse(data)
    if found is None:
        return False
    law(SecretKeyFile.parse(found.format()) == found, "it is read back")
    line = found.format().splitlines()[1]
    law(data.removesuffix(b"\n").split(b"\n")[-1] == line, "it has one form, but for the comment")
    if found.encrypted:
        return False
    key = None
    with judging():
        key = found.open()
    if key is None:
        return False
    made = minisign.sign(minisign.prehash(io.BytesIO(ARCHIVE)), key, COMMENT)
    law(minisign.verify(made, io.BytesIO(ARCHIVE), key.public_key) == COMMENT, "what it signs can be verified")
    return True


def secret_key_seeds() -> list[bytes]:
    """One without a password, and one that has been masked (by nothing that opens it)."""
    clear = SecretKeyFile.seal(_secret(), None)
    return [clear.format(), SecretKeyFile(True, bytes(32), 32768, 1 << 24, clear.body).format()]


def claim(data: bytes) -> bool:
    """Any text as a trusted comment."""
    text = data.decode("utf-8", "surrogateescape")
    found: Claim | None = None
    with judging():
        found = Claim.parse(text)
    if found is None:
        return False
    law(str(found) == text, "it has one form")
    law(Claim(found.name, found.version, found.id) == found, "its parts can be signed again")
    return True


def claim_seeds() -> list[bytes]:
    """A true one."""
    return [COMMENT.encode()]


SEPARATOR = b"\n\x1e\n"
NAMES = ("requirements.txt", "base.txt", "more/c.txt")
REQUIREMENTS_TOKENS = (
    b"\n", b"\\\n", b" \\\n    ", b"-r base.txt\n", b"-c more/c.txt\n", b"-r ../base.txt", b"-e .", b"--hash=sha256:",
    b"0" * 64, b"a==1.0", b" ; python_version < '3.12'", b"[extra]", b" @ https://h/a-1.0-py3-none-any.whl", b"#",
    b" #", b"${HOME}", b"'", b'"', b"--pre", b"--no-binary=:all:", b"===", b"~=1.0", b"<2,>=1", b"(", b")", b" and ",
    b" or ", b"file:", b"//", b"./a-1.0-py3-none-any.whl", b"\xef\xbb\xbf", b"\xff\xfe", b"# coding: utf-16", b"\x0c",
    b"\x85", b"# -*- coding: latin-1 -*-", b"1!2.0.post1.dev3+x", b"==1.*", b"#egg=a", b"#sha256=", b"%", b"9" * 60,
    b"@", b";", b"# coding: hex\n", b"# coding: rot13\n", b"# coding: idna\n", b"# coding: unicode_escape\n",
    b"\xe2\x80\xa8", b"\0",
)  # fmt: skip


def requirements(data: bytes) -> bool:
    """Any texts as requirements files that name each other."""
    files = dict(zip(NAMES, data.split(SEPARATOR, len(NAMES) - 1), strict=False))

    def read(path: str) -> bytes:
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    found: Requirements | None = None
    with judging():
        found = read_requirements(NAMES[0], read)
    if found is None:
        return False
    for line in found.lines:
        law(line.file in files and line.line >= 1, "a line knows where it stands")
        law(Requirement(str(line.requirement)) == line.requirement, f"it is read back: {line.text}")
        law(line.name and line.name == line.name.lower(), "a name is normalised")
        law(line.is_pinned in (True, False) and all(":" in lock for lock in line.locks), "a line can be asked")
    return True


def requirements_seeds() -> list[bytes]:
    """One of everything that pip documents."""
    return [
        b"a==1.0\n",
        b"# all\n-r base.txt\n-c more/c.txt\nb[x,y]>=1.0,<2 ; python_version < '3.12' and os_name == 'posix'\n"
        + SEPARATOR
        + b"c @ https://h/c-1.0-py3-none-any.whl#sha256="
        + b"0" * 64
        + b"\n./d-2.0-py3-none-any.whl\n"
        + SEPARATOR
        + b"a==1.0\n",
        b"a==1.0 \\\n    --hash=sha256:%s \\\n    --hash=sha256:%s\n--pre\n" % (b"0" * 64, b"1" * 64),
        b"\xff\xfe" + "a==1.0\n".encode("utf-16-le"),
        b"# -*- coding: latin-1 -*-\na # \xe9\n",
    ]


PATTERN_TOKENS = (
    b"*", b"**", b"**/", b"/**", b"/**/", b"?", b"[", b"]", b"[!", b"[^", b"[a-z]", b"[z-a]", b"[[:alpha:]]", b"[]",
    b"[]]", b"\\", b"!", b"/", b"#", b" ", b"\\ ", b"\n", b"\t", b"-", b"a", b"b", b"*a", b"[[:no:]]", b"[\\",
    b"\xc3\xa9", b"\xff",
)  # fmt: skip


def patterns(data: bytes) -> bool:
    """Lines of patterns, and a path as the last line: the last pattern that names it decides, whatever is beside it."""
    *lines, path = data[:1000].decode("utf-8", "surrogateescape").split("\n")
    found: bool | None = None
    with judging():
        together = Patterns(lines)
        found = together.decide(path)
        named = together.match(path)
    alone = [decision for line in lines if (decision := Patterns([line]).decide(path)) is not None]
    law(found is (alone[-1] if alone else None), "the last one that names it decides")
    law(named or found is not True, "what is named is matched")
    return named


def patterns_seeds() -> list[bytes]:
    """Some of the usual."""
    return [
        b"*.pyc\n!keep.pyc\na/keep.pyc",
        b"/build/\n**/x/**\na/x/b",
        b"[[:alpha:]]*[!0-9]\\?\nab?",
        b"a/**/b*c\na/d/bc",
    ]
