"""One piece of work on a thread of its own, while something else is done; lighter than a pool."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from capsule_builder.signals import undisturbed

T = TypeVar("T")


def meanwhile(work: Callable[[], T]) -> Callable[[], T]:
    """Begins the work; gives what waits for it to end, and gives its result or raises what it raised.

    Where the system has no more threads it is done when it is waited for. A wait that is cut short by a request to stop
    may be taken up again: ``Thread.join`` would believe then that the thread has ended (before Python 3.13).
    """
    done: list[T] = []
    failed: list[BaseException] = []
    ended = threading.Lock()
    ended.acquire()

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # whoever waits is to have it
            failed.append(error)
        ended.release()

    def wait() -> T:
        if not done and not failed:
            if thread.ident is None:
                run()
            else:
                ended.acquire()
        if failed:
            raise failed[0]
        return done[0]

    thread = threading.Thread(target=run)
    try:
        with undisturbed():
            thread.start()
    except RuntimeError:
        thread = threading.Thread(target=run)  # the other one is half started
    return wait
