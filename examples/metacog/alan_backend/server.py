"""A small HTTP server: one request a connection, JSON answers, an access log, and a clean stop."""

from __future__ import annotations

import http.server
import json
import logging
import os
import signal
import socket
import socketserver
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from alan_backend import systemd

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BODY = 64 * 1024
"""Bytes that a request may carry."""
IDLE_SECONDS = 10.0
"""How long a client may keep a connection waiting."""
DRAIN_SECONDS = 10.0
"""How long a stop waits for the requests under way."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
log = logging.getLogger("access")


class HttpError(Exception):
    """An answer that is not the one asked for, raised from anywhere below a request's handler."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class Server(http.server.ThreadingHTTPServer):
    """Listens on ``host:port``, or on the socket that systemd hands over, and serves until it is told to stop."""

    def __init__(self, host: str, port: int, handler: type[Handler], build_sha: str) -> None:
        self.build_sha = build_sha
        self.stopping = False
        self._under_way = 0
        self._changed = threading.Condition()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        inherited = systemd.inherited_socket()
        super().__init__((host, port), handler, bind_and_activate=inherited is None)
        if inherited is not None:
            self.socket.close()
            self.socket = inherited

    def server_bind(self) -> None:
        """Binds without the look-up of the host's name that ``HTTPServer`` does: it can take seconds."""
        socketserver.TCPServer.server_bind(self)

    @property
    def url(self) -> str:
        """Where clients find it: the real port, also when any free one was asked for."""
        name = self.socket.getsockname()
        if self.socket.family == socket.AF_UNIX:
            return f"unix:{name}"
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        return f"http://{host}:{name[1]}"

    def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then lets the requests under way finish.

        The caller has blocked ``STOP_SIGNALS`` before it started any thread, so that only ``sigwait`` sees them.
        """

        def stop() -> None:
            signal.sigwait(STOP_SIGNALS)
            self.shutdown()

        threading.Thread(target=stop, name="stop", daemon=True).start()
        sys.stdout.write(f"listening on {self.url}\n")
        sys.stdout.flush()
        systemd.notify("READY=1")
        self.serve_forever(poll_interval=0.1)
        systemd.notify("STOPPING=1")
        self.stopping = True
        self.server_close()
        self.hurry()
        with self._changed:
            done = self._changed.wait_for(lambda: self._under_way == 0, timeout=DRAIN_SECONDS)
        logging.info("stopped%s build=%s", "" if done else f", {self._under_way} requests cut off", self.build_sha)

    def hurry(self) -> None:
        """Called once when the stop begins, for servers whose requests would not end by themselves."""

    def process_request(self, request: Any, client_address: Any) -> None:
        """Counts the request from the moment that it is accepted."""
        with self._changed:
            self._under_way += 1
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Handles the request in its own thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Logs what escaped a handler; a client that went away is no error."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            logging.exception("request failed, build=%s", self.build_sha)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers ``routes()``; a service adds its own."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    server: Server

    def routes(self) -> dict[tuple[str, str], Any]:
        """A function for each method and path."""
        raise NotImplementedError

    def handle_one_request(self) -> None:
        """Takes the time, for the log."""
        self._began = time.monotonic()
        super().handle_one_request()

    def do_GET(self) -> None:
        """Answers a GET."""
        self._dispatch()

    do_POST = do_HEAD = do_GET  # noqa: N815

    def _dispatch(self) -> None:
        path = self.path.partition("?")[0]
        method = "GET" if self.command == "HEAD" else self.command
        routes = self.routes()
        try:
            self.body = self._read_body()
            if (method, path) not in routes:
                allowed = ", ".join(sorted(verb for verb, known in routes if known == path))
                if allowed:
                    raise HttpError(405, f"{path} answers to {allowed} only", {"Allow": allowed})
                raise HttpError(404, f"there is nothing at {path}")
            routes[method, path]()
        except HttpError as refusal:
            self.send_json(refusal.status, {"error": str(refusal)}, refusal.headers)

    def _read_body(self) -> bytes:
        if "Transfer-Encoding" in self.headers:
            raise HttpError(411, "send the body with a Content-Length, not in chunks")
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdecimal() and len(length) <= 18):
            raise HttpError(400, "Content-Length must be a whole number")
        if int(length) > MAX_BODY:
            # A close with unread data would reset the connection, and the client would never see the answer.
            self.rfile.read(min(int(length), 16 * MAX_BODY))
            raise HttpError(413, f"the body may have at most {MAX_BODY} bytes")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise HttpError(400, "the body is shorter than its Content-Length")
        return body

    def send_json(self, status: int, data: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        """Answers with a JSON object."""
        self.send_bytes(status, json.dumps(data).encode() + b"\n", "application/json", headers)

    def send_bytes(self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        """Answers with a body, and closes the connection so that a stop need not wait for idle ones."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        """The ``Server`` header: nothing about the Python underneath."""
        return "metacog"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
        """One line for each request; what the client sent is quoted, so that it cannot forge another line."""
        client = self.client_address[0] if self.client_address else "unix"
        milliseconds = (time.monotonic() - self._began) * 1000
        line = ascii(self.requestline)
        log.info("%s %s %s %.1fms build=%s", client, line, int(code), milliseconds, self.server.build_sha)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """What http.server reports by itself, such as a request that it cannot read."""
        logging.warning("%s build=%s", ascii(format % args), self.server.build_sha)


def prepare() -> None:
    """To be called first: log lines on standard error, and the stop signals kept for ``Server.run``."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def fail(problems: object) -> int:
    """Says why the service does not start, one problem a line, and gives the exit status for a bad configuration."""
    for line in str(problems).splitlines():
        sys.stderr.write(f"error: {line}\n")
    return os.EX_CONFIG
