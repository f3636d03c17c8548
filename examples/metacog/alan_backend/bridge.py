"""The ``websocket-bridge`` service: each text message goes to the core, and the core's answer comes back."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from alan_backend import NAME, VERSION
from alan_backend.server import MAX_BODY, Handler, HttpError, Server
from alan_backend.websocket import GOING_AWAY, ClosedError, WebSocket, accept_key

if TYPE_CHECKING:
    from alan_backend.settings import BridgeSettings

MAX_MESSAGE = MAX_BODY // 2
"""Bytes of a message: as JSON it has to pass through the core's limit, and quotes take two bytes there."""
QUIET_SECONDS = 300.0
"""How long a client may say nothing before the connection is closed."""


class Bridge(Server):
    """The service: where the core is, and who is connected."""

    def __init__(self, settings: BridgeSettings) -> None:
        self.core_url = settings.core_url
        self.connections: set[socket.socket] = set()
        super().__init__(settings.host, settings.port, BridgeHandler, settings.build_sha)

    def hurry(self) -> None:
        """Wakes everyone who waits for a client to speak, so that they can say goodbye."""
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)

    def ask_core(self, text: str) -> str:
        """The core's answer to a thought, as JSON; an error of the core's is an answer too."""
        core = urlsplit(self.core_url)
        body = json.dumps({"text": text}, ensure_ascii=False).encode()
        try:
            with contextlib.closing(http.client.HTTPConnection(core.netloc, timeout=10)) as connection:
                connection.request("POST", "/v1/reflect", body, {"Content-Type": "application/json"})
                return connection.getresponse().read().decode().strip()
        except (OSError, http.client.HTTPException):
            return json.dumps({"error": "the core does not answer; try again later"})


class BridgeHandler(Handler):
    """``/healthz`` and ``/v1/stream``."""

    server: Bridge

    def routes(self) -> dict[tuple[str, str], Any]:
        """What the bridge answers."""
        return {("GET", "/healthz"): self._health, ("GET", "/v1/stream"): self._stream}

    def _health(self) -> None:
        health = {"status": "ok", "name": NAME, "version": VERSION, "build_sha": self.server.build_sha}
        self.send_json(200, {**health, "connections": len(self.server.connections)})

    def _stream(self) -> None:
        self._shake_hands()
        self.close_connection = True
        self.connection.settimeout(QUIET_SECONDS)
        client = WebSocket(self.rfile, self.wfile, MAX_MESSAGE)
        self.server.connections.add(self.connection)
        try:
            while not self.server.stopping:
                client.send(self.server.ask_core(client.receive()))
            raise ClosedError(GOING_AWAY)
        except (ClosedError, TimeoutError) as end:
            client.close(getattr(end, "code", GOING_AWAY))
        finally:
            self.server.connections.discard(self.connection)

    def _shake_hands(self) -> None:
        """Section 4.2 of RFC 6455."""
        wishes = [wish.strip().lower() for wish in self.headers.get("Connection", "").split(",")]
        if self.headers.get("Upgrade", "").lower() != "websocket" or "upgrade" not in wishes:
            raise HttpError(426, "this is a WebSocket", {"Upgrade": "websocket"})
        if self.headers.get("Sec-WebSocket-Version") != "13":
            raise HttpError(426, "only version 13 is spoken here", {"Sec-WebSocket-Version": "13"})
        accept = accept_key(self.headers.get("Sec-WebSocket-Key", ""))
        if accept is None:
            raise HttpError(400, "Sec-WebSocket-Key must be 16 bytes in base64")
        # Browsers let any page connect to any WebSocket; only the server can keep strange pages away.
        origin, host = self.headers.get("Origin"), self.headers.get("Host", "")
        if origin is not None and urlsplit(origin).hostname != urlsplit(f"//{host}").hostname:
            raise HttpError(403, "this page may not connect here")
        self.send_response(101)
        for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)):
            self.send_header(name, value)
        self.end_headers()
