"""Starts a service of examples/metacog from any directory that holds one, be it the source tree or a capsule."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import urllib.parse
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from tests.examples.metacog_venv import metacog_python

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

CORE = "alan_backend/start_true_metacognition.py"
BRIDGE = "alan_backend/start_websocket_bridge.py"
START_SECONDS = 20
STOP_SECONDS = 20
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None  # looked up here: a forked child should not


@dataclass(frozen=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Service:
    """A running service: where it listens, its process, and what it has written to standard error so far."""

    base_url: str
    process: subprocess.Popen[str]
    log: list[str] = field(default_factory=list)

    def request(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> Reply:
        host = urllib.parse.urlsplit(self.base_url).netloc
        with contextlib.closing(http.client.HTTPConnection(host, timeout=10)) as connection:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())

    def get(self, path: str) -> Reply:
        return self.request("GET", path)

    def reflect(self, text: str) -> Reply:
        body = json.dumps({"text": text}).encode()
        return self.request("POST", "/v1/reflect", body, {"Content-Type": "application/json"})

    def stop(self) -> int:
        """Asks the service to stop and gives its exit status."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)


@contextlib.contextmanager
def running(
    app_dir: Path | str,
    state_dir: Path | str,
    env: Mapping[str, str] = {},
    *,
    entrypoint: str = CORE,
    python: Sequence[str] = (),
) -> Iterator[Service]:
    """The service in ``app_dir``, on a free port of 127.0.0.1, from its first answer until the block is left.

    Nothing of this process's environment is passed on but ``PATH``. ``python`` is the interpreter's command line,
    such as ``[app_dir / "venv/bin/python"]`` for a capsule that brings its own; else one with the locked packages.
    """
    process = subprocess.Popen(
        [*map(str, python or [metacog_python()]), os.path.join(app_dir, entrypoint), "--port", "0"],
        env={"PATH": os.environ.get("PATH", os.defpath), "TORI_STATE_ROOT": str(state_dir), **env},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_die_with_parent,
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        log: list[str] = []
        reader = threading.Thread(target=_collect, args=(process.stderr, log), daemon=True)
        reader.start()
        first = _first_line(process.stdout)
        if not first.startswith("listening on http://"):
            process.kill()
            process.wait()
            reader.join()
            raise AssertionError(f"the service did not start: {first!r}\n{''.join(log)}")
        yield Service(first.removeprefix("listening on ").strip(), process, log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join()
        process.stdout.close()
        process.stderr.close()


def _die_with_parent() -> None:
    """Has Linux kill the service when the tests are killed."""
    if _PRCTL is not None:
        _PRCTL(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _collect(stream: IO[str], lines: list[str]) -> None:
    lines.extend(iter(stream.readline, ""))


def _first_line(stream: IO[str]) -> str:
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: lines.put(stream.readline()), daemon=True).start()
    try:
        return lines.get(timeout=START_SECONDS)
    except queue.Empty:
        return ""
