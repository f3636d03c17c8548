"""Where it was measured, and with what."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
from pathlib import Path

_ASKED = {
    "GNU tar": ["tar", "--version"],
    "gzip": ["gzip", "--version"],
    "pigz": ["pigz", "--version"],
    "zstd": ["zstd", "--version"],
    "bsdtar": ["bsdtar", "--version"],
    "zip": ["zip", "-v"],
    "casync": ["casync", "--version"],
    "ostree": ["ostree", "--version"],
    "bazel": ["bazel", "--version"],
}


def describe() -> dict[str, str]:
    """The date, the machine and the versions of all programs; ``summary`` is one line of it."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    cores = len(os.sched_getaffinity(0))
    cpu = model[1] if model else platform.machine()
    return {
        "date": datetime.date.today().isoformat(),
        "summary": f"{cores} cores ({cpu}), Linux {platform.release()}, Python {platform.python_version()}",
        **{name: _version(command) for name, command in _ASKED.items()},
    }


def _version(command: list[str]) -> str:
    said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    found = re.search(r"\d+(\.\d+)+|\b\d+\b", "\n".join(said.stdout.splitlines()[:3]))
    return found[0] if found else "unknown"
