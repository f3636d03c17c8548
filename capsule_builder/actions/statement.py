"""What the Bazel actions about finished capsules run: ``provenance`` and ``sbom``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from capsule_builder.actions.main import run, unfit
from capsule_builder.actions.params import Arguments
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import raw
from capsule_builder.requirements import Distribution, Requirements, Target, read_requirements
from capsule_builder.statements.kinds import PROVENANCE, Statement, sbom
from capsule_builder.statements.locked import lock_problems
from capsule_builder.statements.packed import Packed, read_packed


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one action; ``argv`` (default: the process's) is its arguments or ``@FILE``. Gives the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    return run(argv, {"provenance": _provenance, "sbom": _sbom}, "Cannot write the statement")


def _provenance(arguments: Arguments) -> None:
    _write(arguments, PROVENANCE)


def _sbom(arguments: Arguments) -> None:
    _write(arguments, sbom(_platform(arguments), "Name a program that has it in the toolchain."))


def _write(arguments: Arguments, statement: Statement) -> None:
    capsule = read_packed(arguments.one("--archive"))
    if problems := _lock_problems(arguments, capsule):
        raise CapsuleError(problems)
    with open(arguments.one("--output"), "wb") as output:
        output.write(statement.make(capsule))


def _platform(arguments: Arguments) -> str:
    return arguments.one("--platform") or Target().platform


def _lock_problems(arguments: Arguments, capsule: Packed) -> list[Problem]:
    wheels: dict[str, str] = {}
    for path in arguments.options["--facts"]:
        with open(path, encoding="utf-8") as facts:
            wheel = Distribution.from_json(facts.readline())
        wheels[wheel.name] = wheel.sha256 or ""
    found: list[Problem] = []
    for what, file, *place in arguments.places:
        if what == "unfit":
            raise CapsuleError([unfit(file)])
        found += lock_problems(capsule, _lock(file, *place), _platform(arguments), wheels)
    return found


def _lock(file: str, place: str) -> Requirements:
    """The lock in ``file``, which messages call ``place``; an action sees no file that is not named to it."""

    def read(path: str) -> bytes:
        if path != place:
            raise FileNotFoundError(path)
        with open(raw(file), "rb") as lock:
            return lock.read()

    def explained(problem: Problem) -> Problem:
        if problem.code != "requirements-missing":
            return problem
        return Problem(
            problem.code, problem.message, "The attribute lock takes one file, with all that is locked in it."
        )

    try:
        return read_requirements(place, read)
    except CapsuleError as error:
        raise CapsuleError(map(explained, error.problems)) from error


if __name__ == "__main__":
    raise SystemExit(main())
