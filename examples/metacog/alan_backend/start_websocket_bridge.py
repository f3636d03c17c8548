#!/usr/bin/env python3
"""Starts the ``websocket-bridge`` service: ``start_websocket_bridge.py [--port PORT]``."""

from __future__ import annotations

import argparse
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
sys.dont_write_bytecode = True  # the capsule stays as it was unpacked, even where root may write

from alan_backend import NAME, VERSION, bridge, server, settings  # noqa: E402


def main() -> int:
    """Runs until SIGTERM; 0 after a clean stop, 78 (EX_CONFIG) when the environment does not allow a start."""
    parser = argparse.ArgumentParser(description="Reflects on thoughts, over a WebSocket.")
    parser.add_argument("--port", help="instead of TORI_PORT; 0 takes any free port")
    parser.add_argument("--version", action="version", version=f"{NAME} {VERSION}")
    port = parser.parse_args().port
    server.prepare()
    try:
        chosen = settings.bridge_settings(os.environ if port is None else {**os.environ, "TORI_PORT": port})
        service = bridge.Bridge(chosen)
    except (settings.SettingsError, OSError) as error:
        return server.fail(error)
    service.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
