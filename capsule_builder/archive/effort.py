"""How hard to compress, and on how many threads. Light: for those who only want to know."""

from __future__ import annotations

import os

DEFAULT_LEVEL = 6
MIN_LEVEL, MAX_LEVEL = 1, 12
MAX_JOBS = 64


def default_jobs() -> int:
    """One thread for each core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_JOBS)
