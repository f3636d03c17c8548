"""The way of the commands that write a statement about a capsule beside it; each says what goes into the statement."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable

from capsule_builder.cli import report
from capsule_builder.cli.options import some
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.output import NewFile, check_output, undisturbed
from capsule_builder.packed import Packed, read_packed
from capsule_builder.paths import shown

USAGE, SYSTEM, DAMAGED = 2, 3, 4
"""Exit statuses, as ``capsbuild verify`` has them."""


class RefusedError(CapsuleError):
    """The capsule holds, and no statement is made of it."""


class UnusableError(CapsuleError):
    """What the user named beside the capsule is of no use."""


def write_statement(arguments: argparse.Namespace, what: str, suffix: str, make: Callable[[Packed], bytes]) -> int:
    """Reads ``arguments.file`` and writes what ``make`` makes of it; gives the exit status.

    It is put at ``arguments.output``, or beside the capsule with ``suffix``. ``make`` may raise the two errors above.
    """
    capsule: Packed | None = None
    problems: list[Problem] = []
    status = 0
    output: str = arguments.output or f"{arguments.file}{suffix}"
    try:
        check_place(output, arguments.file)
        capsule = read_packed(arguments.file)
        data = make(capsule)
        _write(output, data)
    except RefusedError as refused:
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
        told = report.result(json.dumps(document))
    elif capsule and not problems:
        told = report.result(
            f"✅ {what} written: {shown(output)}",
            f"   BUILD_SHA: {capsule.id}",
            f"   Distributions: {len(capsule.distributions)}",
        )
    return status if told else status or SYSTEM


def add_arguments(parser: argparse.ArgumentParser, suffix: str) -> None:
    """The arguments that all of these commands have."""
    parser.add_argument("file", metavar="FILE", help="the capsule")
    parser.add_argument("--output", metavar="FILE", type=some, help=f"where to write it (default: FILE{suffix})")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


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
