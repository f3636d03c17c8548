"""The ``metacognitive-core`` service: reflects on thoughts and keeps them."""

from __future__ import annotations

import functools
import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from alan_backend import NAME, VERSION
from alan_backend.journal import RECENT, Journal, JournalError
from alan_backend.reflection import Mirror, token_count
from alan_backend.server import Handler, HttpError, Server
from alan_backend.token_bucket import TokenBucket

if TYPE_CHECKING:
    from alan_backend.settings import CoreSettings

_KINDS = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript"}


class Core(Server):
    """The service: its settings, its state and what it thinks with."""

    def __init__(self, settings: CoreSettings, mirror: Mirror, pages: dict[str, tuple[bytes, str]]) -> None:
        self.mirror = mirror
        self.pages = pages
        self.bucket = TokenBucket(settings.max_tokens_per_min)
        self.journal = Journal(os.path.join(settings.state_root, "metacognitive"))
        super().__init__(settings.host, settings.port, CoreHandler, settings.build_sha)


class CoreHandler(Handler):
    """``/healthz``, ``/v1/reflect``, ``/v1/thoughts`` and the page."""

    server: Core

    def routes(self) -> dict[tuple[str, str], Any]:
        """What the core answers."""
        pages = {("GET", path): functools.partial(self._page, path) for path in self.server.pages}
        return {
            ("GET", "/healthz"): self._health,
            ("POST", "/v1/reflect"): self._reflect,
            ("GET", "/v1/thoughts"): self._thoughts,
            **pages,
        }

    def _health(self) -> None:
        count, _ = self._journal(lambda journal: journal.recent(0))
        health = {"status": "ok", "name": NAME, "version": VERSION, "build_sha": self.server.build_sha}
        self.send_json(200, {**health, "thoughts": count})

    def _reflect(self) -> None:
        text = self._text()
        cost = token_count(text)
        bucket = self.server.bucket
        if cost > bucket.capacity:
            raise HttpError(413, f"the text has {cost} words, and MAX_TOKENS_PER_MIN allows {bucket.capacity}")
        wait = bucket.take(cost)
        if wait:
            raise HttpError(429, f"too many words in a minute; try again in {wait} s", {"Retry-After": str(wait)})
        thought = {"text": text, **self.server.mirror.reflect(text)}
        self.send_json(200, self._journal(lambda journal: journal.append(lambda number: {"id": number, **thought})))

    def _text(self) -> str:
        # A web page of another origin cannot send this type without asking first, so it cannot write thoughts here.
        if self.headers.get_content_type() != "application/json":
            raise HttpError(415, "send the thought as application/json")
        try:
            data = json.loads(self.body)
        except (ValueError, RecursionError):
            raise HttpError(400, "the body is not JSON") from None
        text = data.get("text") if isinstance(data, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise HttpError(400, 'send {"text": "..."} with some text in it')
        return text

    def _thoughts(self) -> None:
        limit = parse_qs(urlsplit(self.path).query).get("limit", ["100"])[-1]
        if not (limit.isascii() and limit.isdecimal() and len(limit) <= 4 and 1 <= int(limit) <= RECENT):
            raise HttpError(400, f"limit must be a whole number from 1 to {RECENT}")
        count, thoughts = self._journal(lambda journal: journal.recent(int(limit)))
        self.send_json(200, {"count": count, "thoughts": thoughts})

    def _page(self, path: str) -> None:
        body, kind = self.server.pages[path]
        self.send_bytes(200, body, kind, {"Content-Security-Policy": "default-src 'self'"})

    def _journal(self, use: Any) -> Any:
        try:
            return use(self.server.journal)
        except (OSError, JournalError) as error:
            raise HttpError(503, f"the journal cannot be used: {error}") from error


def load_pages(directory: str) -> dict[str, tuple[bytes, str]]:
    """The files of ``static/`` by their path in the URL, with their types; the index answers at ``/`` too."""
    pages = {}
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), "rb") as file:
            pages[f"/static/{name}"] = (file.read(), _KINDS.get(os.path.splitext(name)[1], "application/octet-stream"))
    pages["/"] = pages["/static/index.html"]
    return pages
