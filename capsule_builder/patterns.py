"""Patterns as in ``.gitignore``, for ``.capsuleignore`` and for ``executables`` (gitignore(5); PyPI ``pathspec``)."""

from __future__ import annotations

from collections.abc import Iterable


class Patterns:
    """Some lines of patterns; the last one that matches decides."""

    def __init__(self, lines: Iterable[str]) -> None:
        lines = tuple(lines)
        self._spec = None
        if lines:  # most layers have no patterns, and an action that needs none does not import pathspec
            from pathspec import GitIgnoreSpec

            self._spec = GitIgnoreSpec.from_lines(lines)

    def decide(self, path: str) -> bool | None:
        """True when the patterns name ``path`` (a directory's ends in ``/``), False for ``!``, None for neither."""
        return None if self._spec is None else self._spec.check_file(path).include

    def match(self, path: str) -> bool:
        """Whether the patterns name ``path``."""
        return self.decide(path) is True
