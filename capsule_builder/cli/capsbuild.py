"""``capsbuild``: builds a capsule from a directory or a ZIP; its other commands are modules beside this one."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence

from capsule_builder import __version__
from capsule_builder.archive.members import DEFAULT_LEVEL, MAX_JOBS, MAX_LEVEL, MIN_LEVEL, default_jobs
from capsule_builder.build import Built, PythonOptions, Signer, Source, build
from capsule_builder.cli import report
from capsule_builder.cli.progress import bar
from capsule_builder.errors import Problem
from capsule_builder.metadata import UNSTAMPED, short_id
from capsule_builder.paths import shown
from capsule_builder.python.gather import DEFAULT_PLATFORM, Wish
from capsule_builder.stamp import from_environment

_EPILOG = """\
other commands:
  capsbuild anchors DIR        list every byte that ties a tree to the place where it lies
  capsbuild requirements ...   tell whether an environment is all that requirements files ask for
  capsbuild sign FILE ...      sign a capsule that was built
  capsbuild keygen ...         make a key pair to sign with
  capsbuild verify FILE ...    tell whether a file is a capsule, is whole, and who signed it; unpack it

examples:
  capsbuild --from-dir app --manifest app/capsule.yml
  capsbuild --from-dir app --wheels wheelhouse --requirements requirements.txt
  capsbuild --from-dir app --venv .venv --output dist/app.tar.gz --json
  capsbuild --from-zip app.zip --strip-components 1

exit status: 0 the capsule was built; 1 it was refused, and nothing was written; 2 wrong usage.
"""


_COMMANDS = ("anchors", "keygen", "requirements", "sign", "verify")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``capsbuild`` with ``argv`` (default: the process's); gives the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in _COMMANDS:
        command: Callable[[Sequence[str]], int] = importlib.import_module(f"capsule_builder.cli.{argv[0]}").main
        return command(argv[1:])
    try:
        report.prepare()
        return _run(_arguments(argv))
    except report.Stopped as stopped:
        report.leave(stopped)


def _run(arguments: argparse.Namespace) -> int:
    built: Built | None = None
    warnings: list[Problem] = []
    with report.refusals("Cannot write the capsule") as problems:
        sign = _signer(arguments.sign, warnings) if arguments.sign else None
        built = build(
            Source(arguments.from_dir or arguments.from_zip, bool(arguments.from_zip), arguments.strip_components),
            arguments.manifest,
            python=_python(arguments),
            output=arguments.output,
            level=arguments.compression_level,
            jobs=arguments.jobs,
            build=from_environment(os.environ) if arguments.stamp else UNSTAMPED,
            hash_archive=arguments.json,
            sign=sign,
            progress=None if arguments.quiet else bar,
            before_commit=report.finish,
        )
    report.finish()
    warnings += built.warnings if built else ()
    for warning in warnings:
        report.warning(warning)
    report.errors(problems)
    if built and not arguments.quiet:
        report.notes(built.notes)
    told = True
    if arguments.json:
        told = report.result(json.dumps(_document(built, warnings) if built else _failure(problems)))
    elif built and not arguments.quiet:
        told = report.result(
            f"✅ Capsule built successfully: {shown(built.archive)}",
            f"   BUILD_SHA: {built.id}",
            f"   Size: {built.size / 1e6:.2f} MB",
            *([f"   Signature: {shown(built.signature)}"] if built.signature else []),
        )
    return 0 if built and told else 1


def _signer(key: str, warnings: list[Problem]) -> Signer:
    """Opens the key, whose password may have to be typed, before anything is built."""
    from capsule_builder.keys import open_secret_key
    from capsule_builder.minisign import Claim
    from capsule_builder.signing import sign_stream

    secret, found = open_secret_key(key, os.environ)
    warnings += found
    return lambda archive, *claim: sign_stream(archive, Claim(*claim), secret).format()


def _python(arguments: argparse.Namespace) -> PythonOptions:
    return PythonOptions(
        wish=Wish(
            wheels=arguments.wheels,
            venv=arguments.venv,
            requirements=arguments.requirements,
            platform=arguments.platform,
            verify=not arguments.no_verify_requirements,
        ),
        interpreter=arguments.interpreter,
        bytecode=arguments.bytecode == "unchecked-hash",
        compiler=arguments.bytecode_python,
    )


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.strip_components and not arguments.from_zip:
        parser.error("--strip-components goes with --from-zip")
    if arguments.bytecode_python and arguments.bytecode == "none":
        parser.error("--bytecode-python goes with --bytecode unchecked-hash")
    return arguments


def _document(built: Built, warnings: Sequence[Problem]) -> dict[str, object]:
    return {
        "id": built.id,
        "short_id": short_id(built.id),
        "name": built.name,
        "version": built.version,
        "archive": built.archive,
        "archive_sha256": built.archive_sha256,
        "signature": built.signature,
        "size": built.size,
        "files": built.files,
        "warnings": [str(warning) for warning in warnings],
        "notes": list(built.notes),
    }


def _failure(problems: Sequence[Problem]) -> dict[str, object]:
    return {"errors": [{"code": problem.code, "message": str(problem)} for problem in problems]}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="capsbuild",
        description="Builds a capsule: one application as one reproducible tar.gz, named by its content.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"capsbuild {__version__}")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--from-dir", metavar="DIR", help="the application; .capsuleignore files in it leave things out"
    )
    source.add_argument(
        "--from-zip", metavar="FILE", type=_some, help="the application as a ZIP, read in place, under the same rules"
    )
    parser.add_argument(
        "--strip-components",
        metavar="N",
        type=_number(0, 100),
        default=0,
        help="take N leading parts off every name in the ZIP, as tar does",
    )
    parser.add_argument(
        "--manifest",
        metavar="FILE",
        type=_some,
        help="its manifest, included as capsule.yml (default: capsule.yml of the application)",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=_some,
        help="where to write it (default: capsule-<name>-<first 12 digits of the ID>.tar.gz here)",
    )
    parser.add_argument(
        "--stamp",
        action="store_true",
        help="record the build's time (or SOURCE_DATE_EPOCH) and host in the metadata; the ID stays the same",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=_number(1, MAX_JOBS),
        default=default_jobs(),
        help="threads that compress (default: one a core); the bytes are the same for any number",
    )
    parser.add_argument(
        "--compression-level",
        metavar="N",
        type=_number(MIN_LEVEL, MAX_LEVEL),
        default=DEFAULT_LEVEL,
        help=f"{MIN_LEVEL} (fast) to {MAX_LEVEL} (small), default {DEFAULT_LEVEL}; the ID stays the same",
    )
    python = parser.add_argument_group(
        "Python environment", "A finished environment at venv/ of the application is taken without being asked for."
    )
    environment = python.add_mutually_exclusive_group()
    environment.add_argument(
        "--wheels", metavar="DIR", type=_some, help="make venv/ from the wheels in DIR that the requirements ask for"
    )
    environment.add_argument(
        "--venv", metavar="DIR", type=_some, help="make venv/ from the finished virtual environment in DIR"
    )
    python.add_argument(
        "--requirements",
        metavar="FILE",
        type=_some,
        help="what the environment must satisfy, beside the manifest's dependencies.pip_requirements",
    )
    python.add_argument(
        "--no-verify-requirements",
        action="store_true",
        help="build even if requirements are not met; the metadata say so",
    )
    python.add_argument(
        "--platform",
        metavar="TAG",
        type=_some,
        default=DEFAULT_PLATFORM,
        help=f"the hosts' platform, as pip names it (default: {DEFAULT_PLATFORM})",
    )
    python.add_argument(
        "--interpreter",
        metavar="DIR",
        type=_some,
        help="bundle the relocatable Python in DIR; the host needs none",
    )
    python.add_argument(
        "--bytecode",
        choices=["none", "unchecked-hash"],
        default="none",
        help="compile the environment, for a faster start (default: none)",
    )
    python.add_argument(
        "--bytecode-python",
        metavar="EXE",
        type=_some,
        help="the interpreter that compiles (default: this one if it is of the right version, or python3.X on PATH)",
    )
    parser.add_argument(
        "--sign",
        metavar="KEY",
        type=_some,
        help="sign the archive with the minisign key in the file KEY, into a .minisig beside it",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="print warnings and errors only")
    return parser


def _some(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return int(text)

    return parse


if __name__ == "__main__":
    raise SystemExit(main())
