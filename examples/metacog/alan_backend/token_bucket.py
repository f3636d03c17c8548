"""A limit on words a minute."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class TokenBucket:
    """Holds ``per_minute`` tokens when full, as it is at first, and refills evenly.

    >>> now = 0.0
    >>> bucket = TokenBucket(60, clock=lambda: now)
    >>> bucket.take(60), bucket.take(5)
    (0, 5)
    >>> now = 5.0
    >>> bucket.take(5)
    0
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.capacity = per_minute
        self._per_second = per_minute / 60
        self._clock = clock
        self._tokens = float(per_minute)
        self._filled_at = clock()
        self._mutex = threading.Lock()

    def take(self, tokens: int) -> int:
        """0 when the tokens were taken; else nothing was, and the seconds until they will be there.

        ``tokens`` must not be above ``capacity``: no wait would ever bring them.
        """
        with self._mutex:
            now = self._clock()
            self._tokens = min(self.capacity, self._tokens + (now - self._filled_at) * self._per_second)
            self._filled_at = now
            if tokens <= self._tokens:
                self._tokens -= tokens
                return 0
            return max(1, math.ceil((tokens - self._tokens) / self._per_second))
