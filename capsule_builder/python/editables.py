"""Path files and editable installs: what makes an environment import from outside of it. Pure; nothing is imported.

Path files are those of the ``site`` module; editable installs those of PEP 660 and of setuptools before it.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

NO_EDITABLE = "Install it as a package: 'pip install .' instead of 'pip install -e .', or 'uv sync --no-editable'."
"""What to do about an editable install."""

_MARKS = re.compile(r"(__editable__.*|_editable_impl_.*\.pth|.*\.egg-link|easy-install\.pth)$", re.DOTALL)
_FINDER = re.compile(r"__editable___.*_finder\.py$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PathLine:
    """A line of a path file that leads out of the environment: its number, the offset of its first byte, its text."""

    number: int
    offset: int
    text: str


def is_mark(name: str) -> bool:
    """Whether a file of site-packages with this name is written for an editable install only."""
    return bool(_MARKS.match(name))


def is_finder(name: str) -> bool:
    """Whether it is setuptools' module that maps package names to absolute paths."""
    return bool(_FINDER.match(name))


def outward_lines(data: bytes, site: str) -> Iterator[PathLine]:
    """The lines of a path file which name a directory by an absolute path, or one outside of the environment.

    ``site`` is where the file lies, relative to the environment. Lines that begin with ``import`` are code, and name
    none.
    """
    offset = 0
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        text = line.decode("utf-8", "surrogateescape").strip()
        if text and not text.startswith(("#", "import ", "import\t")):
            place = posixpath.normpath(posixpath.join(site, text))
            if text.startswith("/") or place == ".." or place.startswith("../"):
                yield PathLine(number, offset, text)
        offset += len(line)


def direct_url(data: bytes) -> Mapping[str, object] | None:
    """What a ``direct_url.json`` says (PEP 610); None when it says nothing that can be read."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_editable(url: Mapping[str, object] | None) -> bool:
    """Whether a distribution was installed in place."""
    info = url.get("dir_info") if url else None
    return isinstance(info, dict) and info.get("editable") is True
