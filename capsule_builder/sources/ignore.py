"""``.capsuleignore``: gitignore(5), with one set of defaults below it (``docs/capsbuild.md``)."""

from __future__ import annotations

from capsule_builder.patterns import Patterns

IGNORE_NAME = ".capsuleignore"

DEFAULTS = (
    # the capsule's own
    IGNORE_NAME,
    # version control
    ".git",
    ".gitignore",
    ".gitattributes",
    ".gitmodules",
    ".hg",
    ".hgignore",
    ".svn",
    ".jj",
    # Python leaves these behind; none is reproducible
    "__pycache__/",
    "*.py[co]",
    ".pytest_cache/",
    ".mypy_cache/",
    ".ruff_cache/",
    ".hypothesis/",
    ".tox/",
    ".nox/",
    ".coverage",
    # editors and desktops
    ".idea/",
    ".vscode/",
    "*.sw[op]",
    "*~",
    ".DS_Store",
    "Thumbs.db",
)
"""What is left out unless a ``.capsuleignore`` takes it in again (``!.git``)."""


class IgnoreRules:
    """The rules that hold in one directory; those of deeper directories come first, the defaults last."""

    def __init__(self, base: str, patterns: Patterns, outer: IgnoreRules | None) -> None:
        self._base = base
        self._patterns = patterns
        self._outer = outer

    @staticmethod
    def defaults() -> IgnoreRules:
        """The rules above the top of a tree."""
        return IgnoreRules("", Patterns(DEFAULTS), None)

    def below(self, base: str, text: bytes) -> IgnoreRules:
        """These rules under those of the ``.capsuleignore`` in directory ``base`` (empty, or ending in ``/``)."""
        lines = text.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split("\n")
        return IgnoreRules(base, Patterns(line.removesuffix("\r") for line in lines), self)

    def ignored(self, path: str) -> bool:
        """Whether ``path`` is left out; a directory's path ends in ``/``.

        To be asked from the top down: as in git, nothing below a directory that is left out comes in again.
        """
        rules: IgnoreRules | None = self
        while rules:
            decision = rules._patterns.decide(path[len(rules._base) :])
            if decision is not None:
                return decision
            rules = rules._outer
        return False
