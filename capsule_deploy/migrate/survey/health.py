"""URLs that look like health checks. Pure."""

from __future__ import annotations

import re

from capsule_deploy.migrate.model import Origin

_HEALTH = r"(?:health|healthz|healthcheck|health_check|ping|ready|readyz|readiness|live|livez|liveness|alive|heartbeat)"
_HEALTH_URL = re.compile(
    rf"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::([0-9]{{2,5}}))?(/(?:[\w.-]+/)*{_HEALTH}/?)(?![\w/-])"
)
_HEALTH_ROUTE = re.compile(rf"""["'](/(?:[\w.-]+/)*{_HEALTH}/?)["']""")


def health_urls(line: str, origin: Origin) -> list[tuple[str, int | None, Origin]]:
    """What in a line looks like the URL of a health check: path, port if it is there, and place."""
    found: list[tuple[str, int | None, Origin]] = []
    for url in _HEALTH_URL.finditer(line):
        found.append((url[2], int(url[1]) if url[1] else None, origin))
    if not found:
        found += [(route[1], None, origin) for route in _HEALTH_ROUTE.finditer(line)]
    return found
