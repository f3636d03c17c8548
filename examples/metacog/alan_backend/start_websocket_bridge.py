#!/usr/bin/env python3
"""Starts the ``websocket-bridge`` service: ``start_websocket_bridge.py [--port PORT]``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])
sys.dont_write_bytecode = True  # the capsule stays as it was unpacked, even where root may write

from pydantic import ValidationError  # noqa: E402

from alan_backend import server, settings  # noqa: E402
from alan_backend.bridge import Bridge  # noqa: E402


def main() -> int:
    """Runs until SIGTERM; 0 after a clean stop, 78 (EX_CONFIG) when the environment does not allow a start."""
    try:
        chosen = settings.BridgeSettings.model_validate(settings.environment("Reflects on thoughts, over a WebSocket."))
        listener = server.listen(chosen)
    except ValidationError as error:
        return server.refuse(settings.problems(error))
    except OSError as error:
        return server.refuse([str(error)])
    bridge = Bridge(chosen)
    return server.run(bridge.create_app(), listener, chosen.build_sha, bridge.goodbye)


if __name__ == "__main__":
    sys.exit(main())
