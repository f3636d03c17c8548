"""The virtual environment of examples/metacog: exactly what its lock names, made once for each lock."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LOCK = REPOSITORY / "examples" / "metacog" / "requirements_nodb.txt"
PYTHON = "3.11"  # what the example's manifest asks for


@functools.cache
def metacog_venv() -> Path:
    """``.dev/metacog_venv``, made anew when the lock has changed. Several test processes may ask at once."""
    state = REPOSITORY / ".dev"
    venv, stamp = state / "metacog_venv", state / "metacog_venv.stamp"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    with open(state / "metacog_venv.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text() == wanted and (venv / "bin/python").exists()):
            shutil.rmtree(venv, ignore_errors=True)
            uv = os.path.join(os.path.dirname(sys.executable), "uv")
            subprocess.run([uv, "venv", "--quiet", "--python", PYTHON, venv], check=True)
            install = [uv, "pip", "install", "--quiet", "--python", venv / "bin/python", "--compile-bytecode"]
            subprocess.run([*install, "--require-hashes", "-r", LOCK], check=True)
            stamp.write_text(wanted)
    return venv


def metacog_python() -> str:
    """Its interpreter."""
    return str(metacog_venv() / "bin" / "python")


def at_the_contract(capsule: Path) -> list[str]:
    """The command line of an unpacked capsule's own ``venv/bin/python``.

    It leads to ``/opt/tori/python/3.11``, which the host provides: here it is mounted for the process alone.
    """
    base = subprocess.run(
        [metacog_python(), "-c", "import sys; print(sys.base_prefix)"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    contract = f"/opt/tori/python/{PYTHON}"
    mount = (
        'set -e; mount --bind "$1" /mnt; mount -t tmpfs none /opt;'  # the base itself may lie in /opt
        f' mkdir -p {contract}; mount --bind /mnt {contract}; shift; exec "$@"'
    )
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh", base, str(capsule / "venv/bin/python")]
