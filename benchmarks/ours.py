"""Command lines of ``capsbuild``, as it is installed beside this Python."""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CAPSBUILD = os.path.join(os.path.dirname(sys.executable), "capsbuild")


def capsbuild(*arguments: str | Path, cache: Path | None = None, output: str = "{out}") -> str:
    """A build, for bash; without a ``cache`` none is used."""
    line = [CAPSBUILD, "--quiet", *arguments]
    if cache:
        line += ["--cache-dir", cache]
    elif has_cache():
        line += ["--no-cache"]
    return f"{shlex.join(map(str, line))} --output {output}"


@functools.cache
def has_cache() -> bool:
    """Whether it keeps a cache."""
    said = subprocess.run([CAPSBUILD, "--help"], stdout=subprocess.PIPE, check=True, text=True).stdout
    return "--cache-dir" in said
