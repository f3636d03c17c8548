"""``capsbuild sign``: signs a capsule that was built, or copies it out with its signature beside it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence

from capsule_builder.cli import report
from capsule_builder.cli.options import some
from capsule_builder.errors import Problem
from capsule_builder.paths import shown
from capsule_builder.trust.keys import PASSWORD_FILE, check_not_key, open_secret_key
from capsule_builder.trust.minisign import key_id_text
from capsule_builder.trust.signing import Signed, sign_copy, sign_file

_EPILOG = f"""\
The signature is minisign's: minisign -V -p KEY.pub -m FILE checks it. The password of the key, if it has one, is
asked for at the terminal, or is the first line of the file that the environment variable
{PASSWORD_FILE} names.

exit status: 0 the capsule was signed; 1 it was refused, and nothing was written; 2 wrong usage.
"""


def main(argv: Sequence[str], archive: str | None = None) -> int:
    """Runs the command with ``argv``; gives the exit status.

    With ``archive`` it is the command of one capsule that Bazel has built, which is copied out.
    """
    try:
        report.prepare()
        arguments = _parser(archive).parse_args(argv)
        return _run(arguments, archive or arguments.file)
    except report.Stopped as stopped:
        report.leave(stopped)


def _run(arguments: argparse.Namespace, archive: str) -> int:
    signed: Signed | None = None
    warnings: list[Problem] = []
    with report.refusals("Cannot sign the capsule") as problems:
        if not arguments.output_dir:
            check_not_key(arguments.output, arguments.key)
        secret, warnings = open_secret_key(arguments.key, os.environ)
        if arguments.output_dir:
            signed = sign_copy(archive, secret, arguments.output_dir, before_commit=report.finish)
        else:
            signed = sign_file(
                archive, secret, output=arguments.output, force=arguments.force, before_commit=report.finish
            )
    report.finish()
    for warning in warnings:
        report.warning(warning)
    report.errors(problems)
    if arguments.json:
        document = _document(signed, warnings) if signed else _failure(problems)
        told = report.result(json.dumps(document), done=bool(signed))
    else:
        told = report.result(*_lines(signed)) if signed else True
    return 0 if signed and told else 1


def _lines(signed: Signed) -> list[str]:
    return [
        f"✅ Capsule signed: {shown(signed.archive)}",
        f"   Signature: {shown(signed.signature)}",
        f"   Signed: {signed.claim}",
        f"   Key: {key_id_text(signed.key_id)}",
    ]


def _document(signed: Signed, warnings: Sequence[Problem]) -> dict[str, object]:
    return {
        "id": signed.claim.id,
        "name": signed.claim.name,
        "version": signed.claim.version,
        "archive": signed.archive,
        "signature": signed.signature,
        "trusted_comment": str(signed.claim),
        "key_id": key_id_text(signed.key_id),
        "warnings": [str(warning) for warning in warnings],
    }


def _failure(problems: Sequence[Problem]) -> dict[str, object]:
    return {"errors": [{"code": problem.code, "message": str(problem)} for problem in problems]}


def _parser(archive: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bazel run TARGET.sign --" if archive else "capsbuild sign",
        description="Copies the capsule out under its real name, with its signature beside it."
        if archive
        else "Signs a capsule under the name and the ID that it is found to have.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if not archive:
        parser.add_argument("file", metavar="FILE", type=some, help="the capsule")
    parser.add_argument(
        "--key", metavar="KEY", type=some, required=True, help="the secret key, of capsbuild keygen or of minisign -G"
    )
    where = parser.add_mutually_exclusive_group()
    if not archive:
        where.add_argument(
            "--output", metavar="SIG", type=some, help="where to write the signature (default: FILE.minisig)"
        )
        parser.add_argument("--force", action="store_true", help="replace another signature")
    where.add_argument(
        "--output-dir",
        metavar="DIR",
        type=some,
        default="." if archive else None,
        help="copy the capsule to DIR under its real name, with the signature beside it; made when it does not exist",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return parser
