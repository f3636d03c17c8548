"""What the builder says when it refuses: one small family, a stable code, the object, what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One reason to refuse.

    ``code`` is stable and made for programs (``link-dangling``), ``message`` names the object and what is wrong
    with it in one line, ``remedy`` says how to mend it (may be empty).
    """

    code: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message


class CapsuleError(Exception):
    """A refusal, with every problem that was found and not only the first.

    Raised wherever input is at fault; anything else that escapes is a defect of the builder. Nothing has been written
    to the place of the result when it is raised.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[CapsuleError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


def refusal(code: str, message: str, remedy: str = "") -> CapsuleError:
    """A ``CapsuleError`` of one problem."""
    return CapsuleError([Problem(code, message, remedy)])
