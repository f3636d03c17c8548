"""Requests to stop, and what they must not cut in two."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

_STOPPING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Keeps requests to stop waiting until the block is left.

    Threads that are started in it never get one: it would reach the main thread all the same, whatever that blocks.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
