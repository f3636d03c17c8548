"""``.capsuleignore``: gitignore(5), with one set of defaults below it (``docs/capsbuild.md``)."""

from __future__ import annotations

import stat

from capsule_builder.errors import CapsuleError, refusal
from capsule_builder.paths import shown
from capsule_builder.patterns import Patterns
from capsule_builder.sources.files import special_file

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

    def spare(self, names: str) -> bool:
        """Whether it is plain that nothing of these ``names``, with a ``/`` between them, is left out."""
        if self._outer is not None:
            return False
        names = f"/{names}/"
        suspect = (  # one of these is in every name that the defaults have something to say about
            "/." in names
            or "~/" in names
            or (".py" in names and (".pyc/" in names or ".pyo/" in names))
            or (".sw" in names and (".swo/" in names or ".swp/" in names))
            or "/__pycache__/" in names
            or "/Thumbs.db/" in names
        )
        return not suspect or not self._patterns

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


VENV = "venv/"
VENV_MARK = "venv/pyvenv.cfg"
"""The file that makes ``venv/`` a virtual environment: what is in it is up to the packages, and no rule applies."""


class TreeRules:
    """The rules of a whole tree, which learns of its directories from the top down.

    ``has_venv`` tells that there is a virtual environment at ``venv/``.
    """

    def __init__(self) -> None:
        self.has_venv = False
        self._own = {"": IgnoreRules.defaults()}  # of directories that have an ignore file, or none for good

    @property
    def top(self) -> IgnoreRules:
        """The rules at the top, before any ignore file was read."""
        return self._own[""]

    def exempt_venv(self) -> IgnoreRules:
        """Learns that ``venv/`` is a virtual environment; gives the rules in it, which leave nothing out."""
        self.has_venv = True
        self._own[VENV] = IgnoreRules("", Patterns([]), None)
        return self._own[VENV]

    def exempt(self, path: str) -> bool:
        """Whether ``path`` lies in the virtual environment."""
        return self.has_venv and path.startswith(VENV)

    def add(self, base: str, outer: IgnoreRules, text: bytes) -> IgnoreRules:
        """Learns of the ignore file in ``base`` (empty, or ending in ``/``), below the rules ``outer``."""
        self._own[base] = outer.below(base, text)
        return self._own[base]

    def ignored(self, path: str) -> bool:
        """Whether a path is left out, or anything that it lies below; a directory's path ends in ``/``."""
        rules = self.top
        parts = path.removesuffix("/").split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth]) + "/"
            if rules.ignored(above):
                return True
            rules = self._own.get(above, rules)
        return rules.ignored(path)


def ignore_text(text: bytes, path: str) -> bytes:
    """The content of the ignore file ``path``, if it is text.

    Raises:
        CapsuleError: it is not.
    """
    if b"\0" in text:  # UTF-16, most likely: every one of its patterns would match nothing
        raise refusal("ignore-encoding", f"Not a text file in UTF-8: {shown(path)}", "Save it as UTF-8.")
    return text


def ignore_link(path: str) -> CapsuleError:
    """The refusal of an ignore file that is a link: none is followed, but to pass it over could let a secret in."""
    return CapsuleError([special_file(path, stat.S_IFLNK, "Put a file in its place: a link is not followed.")])
