"""``capsbuild keygen``: makes a key pair, interchangeable with one of ``minisign -G``."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence

from capsule_builder.cli import report
from capsule_builder.errors import Problem
from capsule_builder.paths import shown
from capsule_builder.trust.keys import PASSWORD_FILE, read_password, write_pair
from capsule_builder.trust.minisign import PublicKey, key_id_text

_EPILOG = f"""\
The password is asked for at the terminal, or is the first line of the file that the environment variable
{PASSWORD_FILE} names. Sealing the key with it takes seconds and 1 GiB of memory, by intent.

exit status: 0 the keys were made; 1 they were not, and nothing was written; 2 wrong usage.
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    try:
        report.prepare()
        return _run(_parser().parse_args(argv))
    except report.Stopped as stopped:
        report.leave(stopped)


def _run(arguments: argparse.Namespace) -> int:
    public: PublicKey | None = None
    warnings: list[Problem] = []

    def password() -> bytes | None:
        if arguments.no_password:
            return None
        typed, found = read_password(os.environ, "Password of the new key: ", "The same once more: ")
        warnings.extend(found)
        return typed

    prefix = arguments.output
    with report.refusals("Cannot write the key") as problems:
        public = write_pair(prefix, password, force=arguments.force, before_commit=report.finish)
    report.finish()
    for warning in warnings:
        report.warning(warning)
    report.errors(problems)
    told = True
    if arguments.json:
        document = _document(prefix, public, warnings) if public else _failure(problems)
        told = report.result(json.dumps(document), done=bool(public))
    elif public:
        told = report.result(
            f"✅ Key pair made: {key_id_text(public.key_id)}",
            f"   Secret key: {shown(prefix)}.key",
            f"   Public key: {shown(prefix)}.pub",
        )
    return 0 if public and told else 1


def _document(prefix: str, public: PublicKey, warnings: Sequence[Problem]) -> dict[str, object]:
    return {
        "key_id": key_id_text(public.key_id),
        "secret_key": f"{prefix}.key",
        "public_key": f"{prefix}.pub",
        "warnings": [str(warning) for warning in warnings],
    }


def _failure(problems: Sequence[Problem]) -> dict[str, object]:
    return {"errors": [{"code": problem.code, "message": str(problem)} for problem in problems]}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="capsbuild keygen",
        description="Makes a key pair to sign with, as minisign -G does: secret PREFIX.key, and PREFIX.pub for all.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--output", metavar="PREFIX", type=_some, required=True, help="the names, less .key and .pub")
    parser.add_argument("--no-password", action="store_true", help="leave the secret key in the clear")
    parser.add_argument("--force", action="store_true", help="replace keys that exist")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return parser


def _some(text: str) -> str:
    if not text or os.path.basename(text) == "":
        raise argparse.ArgumentTypeError("the name is empty")
    return text
