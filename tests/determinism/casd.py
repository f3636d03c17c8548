"""buildbox-casd: a real remote execution engine (REAPI) on loopback; its actions find nothing but /usr."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

BUILDBOX = Path(__file__).resolve().parents[2] / ".dev" / "buildbox"
_MOUNTS = {"/usr": "/usr", "/usr/bin": "/bin", "/usr/lib": "/lib", "/usr/lib64": "/lib64", "/etc": "/etc"}


@contextlib.contextmanager
def running(cache: Path) -> Iterator[str]:
    """Starts an engine with its store in ``cache``, gives its address, and stops it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(BUILDBOX / "buildbox-casd"), f"--bind=127.0.0.1:{port}", "--jobs=2", "--quota-high=2G"]
    command += [f"--buildbox-run={BUILDBOX / 'buildbox-run'}"]
    command += [f"--runner-arg=--ro-bind-mount={source}:{place}" for source, place in _MOUNTS.items()]
    environment = {**os.environ, "PATH": f"{BUILDBOX}:{os.environ['PATH']}"}
    with open(cache.with_suffix(".log"), "wb") as log:
        engine = subprocess.Popen([*command, str(cache)], env=environment, stdout=log, stderr=log)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert engine.poll() is None, cache.with_suffix(".log").read_text()
            time.sleep(0.1)
        yield f"grpc://127.0.0.1:{port}"
    finally:
        engine.terminate()
        engine.wait(30)
