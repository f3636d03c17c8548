"""The ``websocket-bridge`` service: each text message goes to the core, and the core's answer comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI, WebSocket, WebSocketDisconnect, WebSocketException, status

from alan_backend import NAME, VERSION
from alan_backend.server import DRAIN_SECONDS
from alan_backend.settings import BridgeSettings


class Bridge:
    """The way to the core, and who is connected."""

    def __init__(self, settings: BridgeSettings) -> None:
        self._build_sha = settings.build_sha
        self._core = httpx.AsyncClient(
            base_url=str(settings.core_url),
            timeout=10,
            trust_env=False,
            # A kept connection could be one that the core, about to be replaced, is closing just now.
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._streams: set[asyncio.Task[object]] = set()
        self._silent: set[WebSocket] = set()
        self._stopping = False

    def create_app(self) -> FastAPI:
        """The service as an ASGI application."""

        @asynccontextmanager
        async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
            async with self._core:
                yield

        app = FastAPI(title=NAME, version=VERSION, docs_url=None, redoc_url=None, lifespan=lifespan)
        app.add_api_route("/healthz", self.health)
        app.add_api_websocket_route("/v1/stream", self.stream)
        return app

    async def health(self) -> dict[str, str | int]:
        """Who answers, and how many clients are connected."""
        who = {"status": "ok", "name": NAME, "version": VERSION, "build_sha": self._build_sha}
        return {**who, "connections": len(self._streams)}

    async def stream(self, client: WebSocket) -> None:
        """One client, from its handshake to the end."""
        _check_origin(client)
        await client.accept()
        task = asyncio.current_task()
        assert task is not None  # whatever runs in the loop is a task's
        self._streams.add(task)
        try:
            with suppress(WebSocketDisconnect):
                await client.close(await self._converse(client))
        finally:
            self._streams.discard(task)
            self._silent.discard(client)

    async def goodbye(self) -> None:
        """Closes the connections on which nothing is under way, and waits for the others to answer and close."""
        self._stopping = True
        for client in list(self._silent):
            with suppress(WebSocketDisconnect):
                await client.close(status.WS_1001_GOING_AWAY)
        if self._streams:
            await asyncio.wait(self._streams, timeout=DRAIN_SECONDS)

    async def _converse(self, client: WebSocket) -> int:
        """Answers until something other than text comes, or the service stops; gives the code to close with."""
        while not self._stopping:
            self._silent.add(client)
            message = await client.receive()
            self._silent.discard(client)
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            if message.get("text") is None:
                return status.WS_1003_UNSUPPORTED_DATA
            await client.send_text(await self._ask_core(message["text"]))
        return status.WS_1001_GOING_AWAY

    async def _ask_core(self, text: str) -> str:
        """The core's answer to a thought, as JSON; a refusal is an answer too."""
        try:
            return (await self._core.post("/v1/reflect", json={"text": text})).text
        except httpx.HTTPError:
            return json.dumps({"detail": "the core does not answer; try again later"})


def _check_origin(client: WebSocket) -> None:
    """Refuses pages of other hosts with 403: browsers let any page connect, and only the server can keep them away."""
    origin, host = client.headers.get("origin"), client.headers.get("host", "")
    if origin is not None and urlsplit(origin).hostname != urlsplit(f"//{host}").hostname:
        raise WebSocketException(status.WS_1008_POLICY_VIOLATION)
