"""What lies in a finished environment and belongs to nobody: interpreter, activation, caches. Pure.

All of it is made anew for a capsule, or not needed there.
"""

from __future__ import annotations

import re

from capsule_builder.python.layout import Layout

ACTIVATE = re.compile(r"bin/(de)?activate(_this\.py|\.[A-Za-z0-9]+)?$", re.IGNORECASE)
"""Activation scripts, of every shell."""

INTERPRETER = re.compile(r"bin/(python|pythonw|𝜋thon)[0-9.]*t?$")
"""The interpreter's names, whether they are links or copies. CPython 3.14 has one that is not ASCII."""

_AT_ROOT = frozenset(["pyvenv.cfg", ".lock", ".gitignore", "CACHEDIR.TAG", "lib64"])  # lib64: a link made a text
_BIN = re.compile(r"bin/((pip|wheel|easy_install)(-?3(\.[0-9]+)?)?|pydoc\.bat|python[0-9.]*t?-config)$")
_SITE = re.compile(r"(_virtualenv\.(py|pth)|distutils-precedence\.pth|[^/]+\.virtualenv)$")
_LINKS = re.compile(r"(lib64|local/(bin|include|lib)|include/python3\.[0-9]+t?)$")


def is_furniture(path: str, layout: Layout) -> bool:
    """Whether a file that no RECORD names is the environment's own; ``path`` is relative to it."""
    if path in _AT_ROOT or ACTIVATE.match(path) or INTERPRETER.match(path) or _BIN.match(path):
        return True
    if "/__pycache__/" in f"/{path}":
        return True
    return path.startswith(f"{layout.site}/") and bool(_SITE.match(path[len(layout.site) + 1 :]))


def is_furniture_link(path: str) -> bool:
    """Whether a symbolic link is the environment's own; ``path`` is relative to it."""
    return bool(_LINKS.match(path) or INTERPRETER.match(path))


def is_made_by_pip(path: str, name: str) -> bool:
    """Whether an installer makes this script of pip, setuptools or wheel that their entry points do not name."""
    return name in {"pip", "setuptools", "wheel"} and bool(_BIN.match(path) or path.endswith(".virtualenv"))
