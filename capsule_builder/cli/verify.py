"""``capsbuild verify``: tells whether a file is a capsule, is whole, and who signed it; unpacks it if wanted."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from capsule_builder.cli import report
from capsule_builder.cli.options import add_jobs, some
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.metadata import short_id
from capsule_builder.paths import shown
from capsule_builder.trust.verify import SignatureError, UnsignedError, Verified, read_small, verify

if TYPE_CHECKING:
    from capsule_builder.trust.minisign import PublicKey

_EPILOG = """\
examples:
  capsbuild verify capsule-alan-c7eb04c6a27c.tar.gz
  capsbuild verify capsule-alan-c7eb04c6a27c.tar.gz --public-key release.pub
  capsbuild verify capsule-alan-c7eb04c6a27c.tar.gz --trusted-keys /etc/tori/keys --require-signature --extract-to alan

exit status: 0 everything holds; 2 wrong usage; 3 something cannot be read or written; 4 not a capsule, or a damaged
one; 5 the signature is missing; 6 the signature is wrong: a bad one, by another key, or of another capsule.
"""

_USAGE, _SYSTEM, _DAMAGED, _UNSIGNED, _WRONG_SIGNATURE = 2, 3, 4, 5, 6
_STATUS = {
    "extract-exists": _USAGE,
    "archive-special": _SYSTEM,
    "extract-space": _SYSTEM,
    "file-special": _SYSTEM,
    "open-files": _SYSTEM,
    "process-ended": _SYSTEM,
}
_KEY = re.compile(r"RW[A-Za-z0-9+/]{54}")
_MAX_KEY = 16 << 10


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    try:
        report.prepare()
        parser = _parser()
        arguments = parser.parse_args(argv)
        for option in ("require_signature", "require_prehashed"):
            if getattr(arguments, option) and not (arguments.public_key or arguments.trusted_keys):
                parser.error(f"--{option.replace('_', '-')} needs --public-key or --trusted-keys")
        return _run(arguments)
    except report.Stopped as stopped:
        report.leave(stopped)


def _run(arguments: argparse.Namespace) -> int:
    verified: Verified | None = None
    problems: Sequence[Problem] = ()
    status = 0
    try:
        keys = _keys(arguments)
    except CapsuleError as refused:
        problems, status = refused.problems, _USAGE
    except OSError as failed:
        problems, status = [_system(failed)], _SYSTEM
    else:
        try:
            verified = verify(
                arguments.file,
                keys,
                require_signature=arguments.require_signature or bool(arguments.public_key),
                require_prehashed=arguments.require_prehashed,
                extract_to=arguments.extract_to,
                before_commit=report.finish,
                jobs=arguments.jobs,
            )
        except UnsignedError as refused:
            problems, status = refused.problems, _UNSIGNED
        except SignatureError as refused:
            problems, status = refused.problems, _WRONG_SIGNATURE
        except CapsuleError as refused:
            problems, status = refused.problems, _STATUS.get(refused.problems[0].code, _DAMAGED)
        except MemoryError:
            problems, status = [report.no_memory("Cannot verify the capsule")], _SYSTEM
        except OSError as failed:
            problems, status = [_system(failed)], _SYSTEM
    report.finish()
    report.errors(problems)
    if verified and keys and not verified.signed_by:
        report.warning(Problem("unsigned", f"Not signed: {shown(arguments.file)}", "Anybody may have made it."))
    told, unpacked = True, bool(verified and arguments.extract_to)
    if arguments.json:
        document = _document(verified, arguments) if verified else _failure(status, problems)
        told = report.result(json.dumps(document), done=unpacked)
    elif verified and not arguments.quiet:
        told = report.result(*_lines(verified, arguments), done=unpacked)
    return status if told else status or _SYSTEM


def _keys(arguments: argparse.Namespace) -> list[PublicKey]:
    """The keys that are trusted.

    Raises:
        CapsuleError: some of them are no public keys, or the directory holds none.
        OSError: one cannot be read.
    """
    if not arguments.public_key and not arguments.trusted_keys:
        return []
    from capsule_builder.trust.minisign import PublicKey  # it takes long to import

    if arguments.public_key and _KEY.fullmatch(arguments.public_key):
        return [PublicKey.parse(arguments.public_key.encode())]
    if arguments.public_key:
        with open(arguments.public_key, "rb") as file:  # a pipe, too
            return [_key(file.read(_MAX_KEY + 1), arguments.public_key)]
    names = sorted(name for name in os.listdir(arguments.trusted_keys) if name.endswith(".pub"))
    if not names:
        where = shown(arguments.trusted_keys)
        raise refusal("trusted-keys-none", f"No public key (*.pub) in {where}", "Put those that you trust into it.")
    keys: list[PublicKey] = []
    problems: list[Problem] = []
    for name in names:
        place = os.path.join(arguments.trusted_keys, name)
        try:
            keys.append(_key(read_small(place, "Public key"), place))
        except CapsuleError as refused:
            problems += refused.problems
    if problems:  # whoever is to be trusted must be plain: none of them is passed over
        raise CapsuleError(problems)
    return keys


def _key(data: bytes, path: str) -> PublicKey:
    from capsule_builder.trust.minisign import PublicKey

    try:
        return PublicKey.parse(data, shown(path))
    except CapsuleError:
        if _is_secret(data):
            raise refusal("key-secret", f"This is a secret key: {shown(path)}", "Name the public one.") from None
        raise


def _is_secret(data: bytes) -> bool:
    from capsule_builder.trust.minisign import SecretKeyFile

    try:
        SecretKeyFile.parse(data)
    except CapsuleError:
        return False
    return True


def _system(failed: OSError) -> Problem:
    reason = failed.strerror or str(failed)
    where = f": {shown(os.fsdecode(failed.filename))}" if failed.filename else ""
    return Problem("system", f"{reason}{where}", "Nothing was written.")


def _lines(verified: Verified, arguments: argparse.Namespace) -> list[str]:
    layers = "1 layer" if verified.layers == 1 else f"{verified.layers:,} layers"
    size = f"{verified.total_size / 1e6:.2f} MB unpacked"
    lines = [
        f"✅ Capsule verified: {shown(arguments.file)}",
        f"   BUILD_SHA: {verified.id}",
        f"   {verified.name} {verified.version}: {verified.files:,} files in {layers}, {size}",
        f"   Signature: {_signature(verified, arguments)}",
    ]
    if arguments.extract_to:
        lines.append(f"   Unpacked to: {shown(arguments.extract_to)}")
    return lines


def _signature(verified: Verified, arguments: argparse.Namespace) -> str:
    if verified.signed_by:
        return f"good, by the key {verified.signed_by}"
    return "there is none" if arguments.trusted_keys else "not checked (no key was given)"


def _document(verified: Verified, arguments: argparse.Namespace) -> dict[str, object]:
    return {
        "id": verified.id,
        "short_id": short_id(verified.id),
        "name": verified.name,
        "version": verified.version,
        "archive": arguments.file,
        "size": verified.size,
        "files": verified.files,
        "layers": verified.layers,
        "total_size": verified.total_size,
        "signature": "good" if verified.signed_by else "missing" if arguments.trusted_keys else "unchecked",
        "signed_by": verified.signed_by,
        "trusted_comment": verified.trusted_comment,
        "extracted_to": arguments.extract_to,
    }


def _failure(status: int, problems: Sequence[Problem]) -> dict[str, object]:
    return {"status": status, "errors": [{"code": problem.code, "message": str(problem)} for problem in problems]}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="capsbuild verify",
        description="Tells whether a file is a capsule that is what it says, to the last byte, and who signed it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="the archive; its signature is FILE.minisig")
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument(
        "--public-key",
        metavar="KEY",
        type=some,
        help="it must be signed by this key: a minisign .pub file, or its base64 line",
    )
    whose.add_argument(
        "--trusted-keys", metavar="DIR", type=some, help="if it is signed, then by one of the keys in DIR (*.pub)"
    )
    parser.add_argument("--require-signature", action="store_true", help="refuse it when it is not signed")
    parser.add_argument("--require-prehashed", action="store_true", help="refuse signatures of minisign's legacy form")
    parser.add_argument(
        "--extract-to",
        metavar="DIR",
        type=some,
        help="unpack it to DIR, which does not exist or is empty, once everything holds",
    )
    add_jobs(parser, "processes that check (default: one a core); with --extract-to it is one")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="print warnings and errors only")
    return parser
