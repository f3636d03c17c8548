#!/usr/bin/env python3
"""Starts the ``metacognitive-core`` service: ``start_true_metacognition.py [--port PORT]``."""

from __future__ import annotations

import argparse
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
sys.dont_write_bytecode = True  # the capsule stays as it was unpacked, even where root may write

from alan_backend import NAME, VERSION, core, journal, reflection, server, settings  # noqa: E402


def main() -> int:
    """Runs until SIGTERM; 0 after a clean stop, 78 (EX_CONFIG) when the environment does not allow a start."""
    parser = argparse.ArgumentParser(description="Reflects on thoughts, over HTTP.")
    parser.add_argument("--port", help="instead of TORI_PORT; 0 takes any free port")
    parser.add_argument("--version", action="version", version=f"{NAME} {VERSION}")
    port = parser.parse_args().port
    server.prepare()
    try:
        chosen = settings.core_settings(os.environ if port is None else {**os.environ, "TORI_PORT": port})
        mirror = reflection.load_mirror(os.path.join(ROOT, "config", "stances.json"))
        pages = core.load_pages(os.path.join(ROOT, "static"))
        service = core.Core(chosen, mirror, pages)
    except (settings.SettingsError, journal.JournalError, OSError) as error:
        return server.fail(error)
    service.run()
    service.journal.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
