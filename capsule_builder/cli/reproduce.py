"""``capsbuild reproduce``: builds a capsule again, tells whether it is the same, and signs that it is if wanted."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Sequence

from capsule_builder import __version__
from capsule_builder.building.reproduce import Change, RebuildError, Reproduction, reproduce
from capsule_builder.cli import report
from capsule_builder.cli.options import add_build_options, check_build_options, python_of, some, source_of
from capsule_builder.cli.progress import bar
from capsule_builder.cli.statement import DAMAGED, SYSTEM, USAGE, UnusableError, check_place, failure, system
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.inspection.excerpts import Excerpt
from capsule_builder.output import NewFile, commit_together
from capsule_builder.paths import shown
from capsule_builder.signals import undisturbed
from capsule_builder.statements.provenance import BUILDER, STATEMENT, encode, subjects
from capsule_builder.trust import minisign
from capsule_builder.trust.keys import check_not_key, open_secret_key
from capsule_builder.trust.minisign import SecretKey

SUFFIX = ".reproduced.json"
"""What the name of the statement ends in, after that of the capsule."""

PREDICATE = "urn:rules-capsule:reproduced:v1"
"""What the statement says: that the builder that it names got the same ID (``docs/provenance.md``)."""

_MAX_SHOWN = 20
_EPILOG = """\
examples:
  capsbuild reproduce capsule-alan-c7eb04c6a27c.tar.gz --from-dir app --wheels wheelhouse --requirements lock.txt
  capsbuild reproduce capsule-alan-c7eb04c6a27c.tar.gz --from-dir app --sign my.key

exit status: 0 it has the same ID; 1 it has another, or, with --same-bytes, other bytes; 2 wrong usage, or a build that
is refused; 3 something cannot be read or written; 4 not a capsule, or a damaged one.
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    try:
        report.prepare()
        parser = _parser()
        arguments = parser.parse_args(argv)
        check_build_options(parser, arguments)
        if arguments.output and not arguments.sign:
            parser.error("--output goes with --sign")
        return _run(arguments)
    except report.Stopped as stopped:
        report.leave(stopped)


def _run(arguments: argparse.Namespace) -> int:
    found: Reproduction | None = None
    problems: list[Problem] = []
    warnings: list[Problem] = []
    status, statement = 0, None
    try:
        secret = _key(arguments, warnings)
        found = _reproduce(arguments)
        if secret and _is_same(found, arguments):
            statement = _sign(found, secret, arguments.output or f"{arguments.file}{SUFFIX}")
    except (UnusableError, RebuildError) as refused:
        problems, status = [*refused.problems], USAGE
    except CapsuleError as refused:
        special = refused.problems[0].code == "archive-special"
        problems, status = [*refused.problems], SYSTEM if special else DAMAGED
    except OSError as failed:
        problems, status = [system(failed)], SYSTEM
    report.finish()
    for warning in [*warnings, *(found.warnings if found else ())]:
        report.warning(warning)
    if found and found.reason:
        report.warning(found.reason)
    report.errors(problems)
    told = True
    if problems or not found:
        if arguments.json:
            report.result(json.dumps(failure(status, problems)), done=False)
        return status
    same = _is_same(found, arguments)
    if arguments.json:
        told = report.result(json.dumps(_document(found, same, statement)), done=bool(statement))
    elif not (arguments.quiet and same):
        lines = _good(found, arguments.file, statement) if same else _bad(found, arguments.file)
        told = report.result(*lines, done=bool(statement))
    return (0 if told else SYSTEM) if same else 1


def _is_same(found: Reproduction, arguments: argparse.Namespace) -> bool:
    return found.is_reproduced and (found.same_bytes or not arguments.same_bytes)


def _key(arguments: argparse.Namespace, warnings: list[Problem]) -> SecretKey | None:
    """Opens the key, whose password may have to be typed, before anything is built."""
    if not arguments.sign:
        return None
    place = arguments.output or f"{arguments.file}{SUFFIX}"
    for each in (place, f"{place}.minisig"):
        check_place(each, arguments.file)
    try:
        check_not_key(place, arguments.sign)
        secret, found = open_secret_key(arguments.sign, os.environ)
    except CapsuleError as refused:
        raise UnusableError(refused.problems) from None
    warnings += found
    return secret


def _reproduce(arguments: argparse.Namespace) -> Reproduction:
    return reproduce(
        arguments.file,
        source_of(arguments),
        arguments.manifest,
        python=python_of(arguments),
        level=arguments.compression_level,
        jobs=arguments.jobs,
        progress=None if arguments.quiet else bar,
    )


def _sign(found: Reproduction, secret: SecretKey, place: str) -> str:
    """Writes the statement and its signature, both or neither; gives the statement's place."""
    document = {
        "_type": STATEMENT,
        "subject": subjects(found.name, found.version, found.id, found.sha256),
        "predicateType": PREDICATE,
        "predicate": {
            "builder": {"id": BUILDER, "version": {"capsule-builder": __version__}},
            "sameId": True,
            "sameBytes": found.same_bytes,
        },
    }
    with contextlib.ExitStack() as stack:
        with undisturbed():
            new = stack.enter_context(NewFile(place))
            beside = stack.enter_context(NewFile(f"{place}.minisig"))
        new.file.write(encode(document))
        new.file.seek(0)
        # Not the comment of a capsule's signature: nobody can pass the one off as the other.
        comment = f"reproduced={found.name}@{found.version} id={found.id}"
        beside.file.write(minisign.sign(minisign.prehash(new.file), secret, comment).format())
        report.finish()
        commit_together(beside, new)
    return place


def _good(found: Reproduction, file: str, statement: str | None) -> list[str]:
    told = "the same" if found.same_bytes else "others, with the same content"
    lines = [f"✅ Capsule reproduced: {shown(file)}", f"   BUILD_SHA: {found.id}", f"   Bytes: {told}"]
    return [*lines, *([f"   Statement: {shown(statement)}"] if statement else [])]


def _bad(found: Reproduction, file: str) -> list[str]:
    if found.id == found.rebuilt_id:
        lines = [f"❌ Capsule not reproduced to the byte: {shown(file)}", f"   BUILD_SHA: {found.id}, rebuilt too"]
    else:
        lines = [f"❌ Capsule not reproduced: {shown(file)}", f"   BUILD_SHA: {found.id}"]
        lines.append(f"   Rebuilt:   {found.rebuilt_id}")
    lines += _some("Entries", [line for change in found.changes for line in _change(change)])
    lines += _some("Metadata", [f"{each.name}: {each.packed!r} -> {each.rebuilt!r}" for each in found.fields])
    lines += _some("First differing bytes", [line for each in found.excerpts for line in _excerpt(each)])
    return lines


def _some(title: str, lines: list[str]) -> list[str]:
    more = [f"… and {len(lines) - _MAX_SHOWN:,} more lines"] if len(lines) > _MAX_SHOWN else []
    return [f"   {title}:", *(f"     {line}" for line in [*lines[:_MAX_SHOWN], *more])] if lines else []


def _change(change: Change) -> list[str]:
    sides = [f"{side.kind} {shown(side.detail)}".rstrip() for side in (change.packed, change.rebuilt) if side]
    return [f"{change.kind} {shown(change.path)}: {' -> '.join(sides)}"]


def _excerpt(excerpt: Excerpt) -> list[str]:
    called = shown(excerpt.path) if excerpt.path else "the archive"
    sides = [side.hex(" ") or "(it ends)" for side in (excerpt.packed, excerpt.rebuilt)]
    return [f"{called} at {excerpt.offset:,}:", f"  packed:  {sides[0]}", f"  rebuilt: {sides[1]}"]


def _document(found: Reproduction, same: bool, statement: str | None) -> dict[str, object]:
    return {
        "reproduced": same,
        "name": found.name,
        "version": found.version,
        "id": found.id,
        "rebuilt_id": found.rebuilt_id,
        "builder": found.builder,
        "same_bytes": found.same_bytes,
        "reason": {"code": found.reason.code, "message": str(found.reason)} if found.reason else None,
        "entries": [
            {
                "change": change.kind,
                "path": change.path,
                "packed": {"kind": change.packed.kind, "detail": change.packed.detail} if change.packed else None,
                "rebuilt": {"kind": change.rebuilt.kind, "detail": change.rebuilt.detail} if change.rebuilt else None,
            }
            for change in found.changes
        ],
        "fields": [{"field": each.name, "packed": each.packed, "rebuilt": each.rebuilt} for each in found.fields],
        "bytes": [
            {"path": each.path, "offset": each.offset, "packed": each.packed.hex(), "rebuilt": each.rebuilt.hex()}
            for each in found.excerpts
        ],
        "statement": statement,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="capsbuild reproduce",
        description="Builds a capsule again, with the options of a build, and tells whether it is the same.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="the capsule")
    add_build_options(parser, level=None)
    parser.add_argument("--same-bytes", action="store_true", help="refuse the same content in other bytes")
    parser.add_argument(
        "--sign",
        metavar="KEY",
        type=some,
        help="write a statement that it is the same, signed with the minisign key KEY",
    )
    parser.add_argument(
        "--output", metavar="FILE", type=some, help=f"where to write that statement (default: FILE{SUFFIX})"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="print warnings, errors and differences only")
    return parser
