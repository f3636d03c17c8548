"""uvicorn as a service manager wants it: with a socket handed over, a word when ready, and a stop with status 0."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable

import uvicorn
from fastapi import FastAPI

from alan_backend import systemd
from alan_backend.settings import Settings

DRAIN_SECONDS = 10
"""How long a stop waits for the requests under way."""
MAX_MESSAGE = 32 * 1024
"""Bytes of a WebSocket message."""
HEADERS = [
    ("Content-Security-Policy", "default-src 'self'"),
    ("X-Content-Type-Options", "nosniff"),
    # Every file of every capsule has the same time of change, of which Starlette makes the ETag: a browser that
    # asked whether its copy is still good could be told so of the file of another release.
    ("Cache-Control", "no-store"),
]

Goodbye = Callable[[], Awaitable[None]]


def listen(settings: Settings) -> socket.socket:
    """The socket that systemd hands over, or one of our own. Raises ``OSError``."""
    family = socket.AF_INET if settings.host.version == 4 else socket.AF_INET6
    return systemd.inherited_socket() or socket.create_server((str(settings.host), settings.port), family=family)


def run(app: FastAPI, listener: socket.socket, build_sha: str, goodbye: Goodbye | None = None) -> int:
    """Serves until SIGTERM or SIGINT, lets the requests under way finish, and gives the exit status."""
    config = uvicorn.Config(
        app,
        headers=HEADERS,
        server_header=False,
        proxy_headers=False,
        ws_max_size=MAX_MESSAGE,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        log_config=_logging(build_sha),
    )
    server = _Server(config, goodbye)
    # From now on, since uvicorn begins to listen to them later; and it raises them again when it has stopped, which
    # would otherwise end the process by a signal.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, server.handle_exit)
    server.run([listener])
    return os.EX_OK


def refuse(problems: list[str]) -> int:
    """Says why the service does not start, one problem a line, and gives the exit status for a bad configuration."""
    for problem in problems:
        sys.stderr.write(f"error: {problem}\n")
    return os.EX_CONFIG


class _Server(uvicorn.Server):
    """Tells when it is ready and when it stops, and has the application say goodbye first."""

    def __init__(self, config: uvicorn.Config, goodbye: Goodbye | None) -> None:
        super().__init__(config)
        self._goodbye = goodbye

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            sys.stdout.write(f"listening on {_url(listener)}\n")
        sys.stdout.flush()
        systemd.notify("READY=1")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        systemd.notify("STOPPING=1")
        for server in self.servers:
            server.close()
        if self._goodbye is not None:
            await self._goodbye()
        await super().shutdown(sockets)


def _url(listener: socket.socket) -> str:
    """Where clients find it: the real port, also when any free one was asked for."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if listener.family == socket.AF_INET6 else name[0]
    return f"http://{host}:{name[1]}"


def _logging(build_sha: str) -> dict[str, object]:
    """Everything on standard error, and each line with the capsule that wrote it."""
    line = f"%(levelname)s %(message)s build={build_sha.replace('%', '%%')}"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": line}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {"httpx": {"level": "WARNING"}},
    }
