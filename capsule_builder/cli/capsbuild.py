"""``capsbuild``: builds a capsule from a directory or a ZIP; its other commands are modules beside this one."""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from capsule_builder import __version__
from capsule_builder.cli import report
from capsule_builder.cli.options import add_build_options, check_build_options, python_of, some, source_of
from capsule_builder.cli.plain import plain_arguments
from capsule_builder.errors import Problem
from capsule_builder.paths import shown

if TYPE_CHECKING:
    import argparse

    from capsule_builder.building.build import Built, Signer
    from capsule_builder.cli.options import Arguments
    from capsule_builder.metadata import BuildFacts
    from capsule_builder.statements.kinds import Statement

_EPILOG = """\
other commands:
  capsbuild cache info|prune   tell what is remembered of earlier builds, and forget it
  capsbuild anchors DIR        list every byte that ties a tree to the place where it lies
  capsbuild requirements ...   tell whether an environment is all that requirements files ask for
  capsbuild sign FILE ...      sign a capsule that was built
  capsbuild keygen ...         make a key pair to sign with
  capsbuild provenance FILE    write where a capsule comes from (SLSA), from what is in it
  capsbuild sbom FILE          write what is in a capsule (CycloneDX)
  capsbuild reproduce FILE ... build a capsule again, and tell whether it is the same
  capsbuild verify FILE ...    tell whether a file is a capsule, is whole, and who signed it; unpack it
  capsbuild inspect FILE       tell what is in a capsule, and what takes the room
  capsbuild diff A B           tell how two capsules differ, and why their IDs do
  capsbuild report FILE ...    make a page of HTML to see both on

examples:
  capsbuild --from-dir app --manifest app/capsule.yml
  capsbuild --from-dir app --wheels wheelhouse --requirements requirements.txt
  capsbuild --from-dir app --venv .venv --output dist/app.tar.gz --json
  capsbuild --from-zip app.zip --strip-components 1

exit status: 0 the capsule was built; 1 it was refused, and nothing was written; 2 wrong usage.
"""


_COMMANDS = (
    "anchors",
    "cache",
    "diff",
    "inspect",
    "keygen",
    "provenance",
    "report",
    "reproduce",
    "requirements",
    "sbom",
    "sign",
    "verify",
)
_MODULES = {"report": "page"}  # of those that are not named like their command


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``capsbuild`` with ``argv`` (default: the process's); gives the exit status."""
    if argv is not None:
        return _main(argv)
    gc.disable()  # the process ends with the command; looking for circles takes a tenth of the time, and finds few
    try:
        return _main(sys.argv[1:])
    finally:
        gc.freeze()  # nor are they looked for at the end


def _main(argv: Sequence[str]) -> int:
    try:
        report.prepare()
        if argv and argv[0] in _COMMANDS:
            module = importlib.import_module(f"capsule_builder.cli.{_MODULES.get(argv[0], argv[0])}")
            command: Callable[[Sequence[str]], int] = module.main
            return command(argv[1:])
        return _run(_arguments(argv))
    except report.Stopped as stopped:
        report.leave(stopped)


def _run(arguments: Arguments) -> int:
    # Only now, for neither --help nor any of the other commands needs it.
    from capsule_builder.building.build import build
    from capsule_builder.cache.place import default_directory
    from capsule_builder.cli.progress import bar
    from capsule_builder.metadata import UNSTAMPED

    built: Built | None = None
    warnings: list[Problem] = []
    statements: list[Statement] = []
    with report.refusals("Cannot write the capsule") as problems:
        statements = _statements(arguments)
        sign = _signer(arguments, warnings) if arguments.sign else None
        built = build(
            source_of(arguments),
            arguments.manifest,
            python=python_of(arguments),
            output=arguments.output,
            level=arguments.compression_level,
            jobs=arguments.jobs,
            build=_stamp() if arguments.stamp else UNSTAMPED,
            hash_archive=arguments.json,
            sign=sign,
            statements=statements,
            progress=None if arguments.quiet else bar,
            before_commit=report.finish,
            cache=None if arguments.no_cache else arguments.cache_dir or default_directory(os.environ),
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
        document = _document(built, statements, warnings) if built else _failure(problems)
        told = report.result(json.dumps(document), done=bool(built))
    elif built and not arguments.quiet:
        told = report.result(
            f"✅ Capsule built successfully: {shown(built.archive)}",
            f"   BUILD_SHA: {built.id}",
            f"   Size: {built.size / 1e6:.2f} MB",
            *([f"   Signature: {shown(built.signature)}"] if built.signature else []),
            *(f"   {made.title}: {shown(path)}" for made, path in zip(statements, built.statements, strict=True)),
        )
    return 0 if built and told else 1


def _statements(arguments: Arguments) -> list[Statement]:
    """What is to be stated of the capsule; it is seen before anything is built whether that can be."""
    if not arguments.provenance and not arguments.sbom:
        return []
    from capsule_builder.statements.kinds import PROVENANCE, sbom

    found = [PROVENANCE] if arguments.provenance else []
    return [*found, sbom(arguments.platform)] if arguments.sbom else found


def _stamp() -> BuildFacts:
    from capsule_builder.actions.stamp import from_environment

    return from_environment(os.environ)


def _signer(arguments: Arguments, warnings: list[Problem]) -> Signer:
    """Opens the key, whose password may have to be typed, before anything is built."""
    from capsule_builder.trust.keys import check_not_key, open_secret_key
    from capsule_builder.trust.minisign import Claim
    from capsule_builder.trust.signing import sign_stream

    check_not_key(arguments.output, arguments.sign)
    secret, found = open_secret_key(arguments.sign, os.environ)
    warnings += found
    return lambda archive, *claim: sign_stream(archive, Claim(*claim), secret).format()


def _arguments(argv: Sequence[str]) -> Arguments:
    if plain := plain_arguments(argv):
        return plain
    parser = _parser()
    arguments = parser.parse_args(argv)
    check_build_options(parser, arguments)
    return arguments


def _document(built: Built, statements: Sequence[Statement], warnings: Sequence[Problem]) -> dict[str, object]:
    from capsule_builder.metadata import short_id

    places = {made.title.lower(): path for made, path in zip(statements, built.statements, strict=True)}
    return {
        "id": built.id,
        "short_id": short_id(built.id),
        "name": built.name,
        "version": built.version,
        "archive": built.archive,
        "archive_sha256": built.archive_sha256,
        "signature": built.signature,
        "provenance": places.get("provenance"),
        "sbom": places.get("sbom"),
        "size": built.size,
        "files": built.files,
        "warnings": [str(warning) for warning in warnings],
        "notes": list(built.notes),
    }


def _failure(problems: Sequence[Problem]) -> dict[str, object]:
    return {"errors": [{"code": problem.code, "message": str(problem)} for problem in problems]}


def _parser() -> argparse.ArgumentParser:
    import argparse

    parser = argparse.ArgumentParser(
        prog="capsbuild",
        description="Builds a capsule: one application as one reproducible tar.gz, named by its content.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"capsbuild {__version__}")
    add_build_options(parser)
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=some,
        help="where to write it (default: capsule-<name>-<first 12 digits of the ID>.tar.gz here)",
    )
    parser.add_argument(
        "--stamp",
        action="store_true",
        help="record the build's time (or SOURCE_DATE_EPOCH) and host in the metadata; the ID stays the same",
    )
    parser.add_argument(
        "--sign",
        metavar="KEY",
        type=some,
        help="sign the archive with the minisign key in the file KEY, into a .minisig beside it",
    )
    parser.add_argument(
        "--provenance", action="store_true", help="write where it comes from (SLSA), into a .provenance.json beside it"
    )
    parser.add_argument(
        "--sbom", action="store_true", help="write what is in it (CycloneDX), into a .cdx.json beside it"
    )
    cache = parser.add_mutually_exclusive_group()
    cache.add_argument(
        "--cache-dir",
        metavar="DIR",
        type=some,
        help="what remembers earlier builds (default: rules_capsule in $XDG_CACHE_HOME or ~/.cache)",
    )
    cache.add_argument("--no-cache", action="store_true", help="remember nothing; the archive is the same")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="print warnings and errors only")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
