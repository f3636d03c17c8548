"""The way of the commands that write a statement about a capsule beside it; each says which statement."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence

from capsule_builder.cli import report
from capsule_builder.cli.options import some
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.output import NewFile, check_output
from capsule_builder.paths import shown
from capsule_builder.python.gather import DEFAULT_PLATFORM, read_file
from capsule_builder.requirements import Requirements, Target, read_requirements
from capsule_builder.signals import undisturbed
from capsule_builder.statements.kinds import Statement
from capsule_builder.statements.locked import lock_problems
from capsule_builder.statements.packed import Packed, read_packed

USAGE, SYSTEM, DAMAGED = 2, 3, 4
"""Exit statuses, as ``capsbuild verify`` has them."""

_EPILOG = """\
exit status: 0 it was written; 1 the capsule is not what the lock names; 2 wrong usage; 3 something cannot be read or
written; 4 not a capsule, or a damaged one.
"""


class _LockError(CapsuleError):
    """The capsule is sound, and not what the lock names."""


class UnusableError(CapsuleError):
    """What the user named beside the capsule is of no use."""


def run(
    argv: Sequence[str], command: str, description: str, suffix: str, statement_for: Callable[[str], Statement]
) -> int:
    """Runs the command that writes a statement; gives the exit status.

    It is put where ``argv`` says, or beside the capsule with ``suffix``. ``statement_for`` gets the hosts' platform.
    """
    try:
        report.prepare()
        return _write_statement(_parser(command, description, suffix).parse_args(argv), suffix, statement_for)
    except report.Stopped as stopped:
        report.leave(stopped)


def _write_statement(arguments: argparse.Namespace, suffix: str, statement_for: Callable[[str], Statement]) -> int:
    capsule: Packed | None = None
    title = ""
    problems: list[Problem] = []
    status = 0
    output: str = arguments.output or f"{arguments.file}{suffix}"
    try:
        check_place(output, arguments.file)
        statement, lock = _asked_for(arguments, statement_for)
        title = statement.title
        capsule = read_packed(arguments.file)
        if lock and (found := lock_problems(capsule, lock, arguments.platform, {})):
            raise _LockError(found)
        _write(output, statement.make(capsule))
    except _LockError as refused:
        problems, status = [*refused.problems], 1
    except UnusableError as refused:
        problems, status = [*refused.problems], USAGE
    except CapsuleError as refused:
        special = refused.problems[0].code == "archive-special"
        problems, status = [*refused.problems], SYSTEM if special else DAMAGED
    except OSError as failed:
        problems, status = [system(failed)], SYSTEM
    report.finish()
    report.errors(problems)
    told = True
    if arguments.json:
        document = _document(capsule, output) if capsule and not problems else failure(status, problems)
        told = report.result(json.dumps(document), done=not problems)
    elif capsule and not problems:
        told = report.result(
            f"✅ {title} written: {shown(output)}",
            f"   BUILD_SHA: {capsule.id}",
            f"   Distributions: {len(capsule.distributions)}",
        )
    return status if told else status or SYSTEM


def _asked_for(
    arguments: argparse.Namespace, statement_for: Callable[[str], Statement]
) -> tuple[Statement, Requirements | None]:
    """The statement to make, and the lock to hold the capsule against, before it is read."""
    try:
        statement = statement_for(arguments.platform)
        Target(platform=arguments.platform)
        return statement, read_requirements(arguments.lock, read_file) if arguments.lock else None
    except CapsuleError as refused:
        raise UnusableError(refused.problems) from None


def _parser(command: str, description: str, suffix: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"capsbuild {command}",
        description=description,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="the capsule")
    parser.add_argument("--output", metavar="FILE", type=some, help=f"where to write it (default: FILE{suffix})")
    parser.add_argument(
        "--lock",
        metavar="FILE",
        help="refuse it unless it holds the distributions of this requirements file and no others",
    )
    parser.add_argument(
        "--platform",
        metavar="TAG",
        default=DEFAULT_PLATFORM,
        help=f"the hosts' platform, which decides what depends on what (default: {DEFAULT_PLATFORM})",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return parser


def system(failed: OSError) -> Problem:
    """What the system refused to do."""
    where = f": {shown(os.fsdecode(failed.filename))}" if failed.filename else ""
    return Problem("system", f"{failed.strerror or failed}{where}", "Nothing was written.")


def failure(status: int, problems: list[Problem]) -> dict[str, object]:
    """The JSON of a refusal."""
    return {"status": status, "errors": [{"code": problem.code, "message": str(problem)} for problem in problems]}


def check_place(output: str, archive: str) -> None:
    """Refuses a place where no file can be put, or where the capsule lies.

    Raises:
        UnusableError: the place is refused.
    """
    try:
        check_output(output, None)
        if os.path.exists(output) and os.path.exists(archive) and os.path.samefile(output, archive):
            raise refusal("output-archive", f"Output is the capsule itself: {shown(output)}", "Name another.")
    except CapsuleError as refused:
        raise UnusableError(refused.problems) from None


def _write(output: str, data: bytes) -> None:
    with undisturbed():
        new = NewFile(output)
    with new:
        new.file.write(data)
        report.finish()
        new.commit()


def _document(capsule: Packed, output: str) -> dict[str, object]:
    return {
        "id": capsule.id,
        "name": capsule.name,
        "version": capsule.version,
        "output": output,
        "distributions": [f"{found.name}=={found.version}" for found in capsule.distributions],
    }
