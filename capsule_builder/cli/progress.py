"""A progress bar for people who watch."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capsule_builder.layer import Progress


@contextlib.contextmanager
def bar(total: int) -> Iterator[Progress]:
    """A bar on standard error over ``total`` bytes, from the first second on; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # its thread would take signals that are to wait
    with tqdm(total=total, unit="B", unit_scale=True, delay=1, leave=False, dynamic_ncols=True) as shown:
        yield shown.update
