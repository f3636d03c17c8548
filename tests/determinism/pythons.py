"""Every Python from 3.10 on that is on this machine, each with the builder's locked packages."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LOCK = REPOSITORY / "requirements" / "builder.txt"
VERSIONS = range(10, 15)


@functools.cache
def found() -> dict[str, str]:
    """Interpreters by minor version ("3.12"): those on PATH, in /usr/bin, and pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    pythons = {}
    for minor in VERSIONS:
        name = f"python3.{minor}"
        candidates = [f"/usr/bin/{name}", *sorted(map(str, pyenv.glob(f"3.{minor}.*/bin/{name}"))), shutil.which(name)]
        for candidate in filter(None, candidates):
            if not Path(candidate).exists():
                continue
            probe = "import sys; print('%d.%d' % sys.version_info[:2]); import pip"
            done = subprocess.run([candidate, "-c", probe], capture_output=True, text=True, check=False)
            if done.returncode == 0 and done.stdout.strip() == f"3.{minor}":
                pythons[f"3.{minor}"] = candidate
                break
    return pythons


def site(version: str) -> Path:
    """A directory with the builder's packages for a version; installed once, and again when the lock changes."""
    lock = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    place = REPOSITORY / ".dev" / "python" / f"{version}-{lock}"
    if not place.exists():
        partial = place.with_name(f"{place.name}.{os.getpid()}.partial")
        command = [found()[version], "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "--only-binary", ":all:", "--target", str(partial), "-r", str(LOCK)]
        subprocess.run(command, check=True)
        partial.rename(place)
    return place
