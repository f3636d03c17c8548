"""What the commands that look into capsules have in common: how they end when one cannot be read."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from capsule_builder.cli import report
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import shown

USAGE, SYSTEM, DAMAGED = 2, 3, 4
_STATUS = {"archive-special": SYSTEM, "output-special": USAGE, "output-directory": USAGE, "output-missing": USAGE}


@dataclass
class Failure:
    """Why a command cannot give its result: nothing, as long as ``status`` is 0."""

    status: int = 0
    problems: list[Problem] = field(default_factory=list)

    def tell(self, as_json: bool) -> int:
        """Prints the problems, and with ``as_json`` the object that stands for them; gives the exit status."""
        report.finish()
        report.errors(self.problems)
        if as_json:
            errors = [{"code": problem.code, "message": str(problem)} for problem in self.problems]
            report.result(json.dumps({"status": self.status, "errors": errors}), done=False)
        return self.status


@contextlib.contextmanager
def failures() -> Iterator[Failure]:
    """Turns what stops a command into problems and an exit status, those of ``capsbuild verify``."""
    failure = Failure()
    try:
        yield failure
    except CapsuleError as refused:
        failure.problems += refused.problems
        failure.status = _STATUS.get(refused.problems[0].code, DAMAGED)
    except OSError as failed:
        reason = failed.strerror or str(failed)
        where = f": {shown(os.fsdecode(failed.filename))}" if failed.filename else ""
        failure.problems.append(Problem("system", f"{reason}{where}", "Nothing was written."))
        failure.status = SYSTEM
