"""Work that goes ahead on a thread of its own: zlib and hashes let others run meanwhile."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

_ROOM = 8  # pieces of at most 1 MiB between the two threads


class Ahead(Iterator[bytes]):
    """The same pieces as ``pieces`` gives, made on another thread; it raises what that raises.

    :meth:`close` ends the thread, which has been given up then or is at its end.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._ready: queue.Queue[bytes | BaseException | None] = queue.Queue(_ROOM)
        self._given_up = False
        self._thread = threading.Thread(target=self._run, name="inflate", daemon=True)
        try:
            self._thread.start()
            self._alone = False
        except RuntimeError:  # the system has no more threads for us
            self._alone = True

    def _run(self) -> None:
        end: BaseException | None = None
        try:
            for piece in self._pieces:
                self._ready.put(piece)
                if self._given_up:
                    return
        except BaseException as error:
            end = error
        self._ready.put(end)

    def __next__(self) -> bytes:
        if self._alone:
            return next(self._pieces)
        piece = self._ready.get()
        if isinstance(piece, bytes):
            return piece
        self._ready.put(piece)  # asked again, it says so again
        raise piece or StopIteration

    def close(self) -> None:
        """Ends the thread."""
        self._given_up = True
        while not self._alone and self._thread.is_alive():
            try:
                self._ready.get(timeout=0.05)
            except queue.Empty:
                continue
