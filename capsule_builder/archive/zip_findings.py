"""What is wrong with a ZIP: collected, so that all of it can be said at once."""

from __future__ import annotations

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import shown

MAX_FINDINGS = 1000
"""Where the collecting stops: a hostile ZIP may have millions."""

AGAIN = "Make the ZIP again (zip -r, or python -m zipfile -c), or get it anew."


class Findings:
    """The problems of the ZIP that messages call ``label``."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._problems: list[Problem] = []

    def add(self, code: str, message: str, remedy: str = AGAIN) -> None:
        """Notes a problem; a message begins with what is wrong.

        Raises:
            CapsuleError: there are ``MAX_FINDINGS`` by now.
        """
        self._problems.append(Problem(code, f"{shown(self._label)}: {message}", remedy))
        if len(self._problems) == MAX_FINDINGS:
            self.check()

    def check(self) -> None:
        """Raises what was found so far, if there is anything.

        Raises:
            CapsuleError: with every problem.
        """
        if self._problems:
            raise CapsuleError(self._problems)
