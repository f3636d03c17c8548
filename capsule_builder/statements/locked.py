"""Whether what was packed is what a lock names: the same distributions and versions, and none more or less."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from capsule_builder.errors import Problem
from capsule_builder.paths import shown
from capsule_builder.requirements import Line, Requirements, Target
from capsule_builder.requirements.walk import Walk
from capsule_builder.statements.packed import Packed

_NO_PYTHON = "3.11"  # what markers are judged by when there is no environment to say


def lock_problems(capsule: Packed, lock: Requirements, platform: str, wheels: Mapping[str, str]) -> list[Problem]:
    """Every difference between ``capsule`` and ``lock``, whose lines count when their markers hold on ``platform``.

    ``wheels`` has, by normalised names, the SHA-256 of the wheels that the capsule was packed of, in hex, as far as
    they are known: a capsule does not keep them. They are compared when the lock has hashes.
    """
    target = Target(capsule.python or _NO_PYTHON, platform)
    lines: dict[str, list[Line]] = defaultdict(list)
    for line in Walk(lock, target, lambda _edge: None).lines(lock.roots):
        lines[line.name].append(line)
    packed = {distribution.name: distribution for distribution in capsule.distributions}
    problems: list[Problem] = []
    for name in sorted(packed.keys() | lines.keys()):
        places = ", ".join(f"{shown(line.text)} ({shown(line.file)}:{line.line})" for line in lines[name])
        if name not in packed:
            message = f"{name} is locked and not packed: {places}"
            problems.append(Problem("lock-missing", message, "Build the capsule with it, or lock anew."))
            continue
        called = f"{name} {packed[name].version}"
        if not lines[name]:
            message = f"{called} is packed and not locked"
            problems.append(Problem("lock-absent", message, "Lock it, or build the capsule without it."))
        for line in lines[name]:
            if not line.is_pinned:
                message = f"{shown(line.file)}:{line.line}: names no exact version: {shown(line.text)}"
                problems.append(Problem("lock-loose", message, "Name the lock, with a version (==) on every line."))
            elif not line.requirement.specifier.contains(packed[name].version, prereleases=True):
                message = f"{called} is packed, and another version locked: {places}"
                problems.append(Problem("lock-version", message, "Build the capsule from the lock, or lock anew."))
                break
            elif lock.is_hashed and name in wheels and f"sha256:{wheels[name]}" not in line.locks:
                message = f"{called} is packed of a wheel that has another hash than its line: sha256:{wheels[name]}"
                where = f" ({shown(line.file)}:{line.line})"
                remedy = "Find out where the other file came from before you add its hash to the lock."
                problems.append(Problem("lock-hash", message + where, remedy))
    return problems
