"""Work on several processors: for hashing, which lets other threads run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from capsule_builder.signals import undisturbed

T = TypeVar("T")
PROCESSORS = 2
"""Reading and hashing on more than two gains little, and a host has other work to do."""


def at_once(works: Sequence[Callable[[], object]]) -> None:
    """Does all of it, the first on this thread; what the system has no thread for is done here as well.

    Raises what one of them raises, when all have ended.
    """
    failed: list[BaseException] = []

    def do(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    threads = []
    here = list(works[:1])
    for work in works[1:]:
        thread = threading.Thread(target=do, args=(work,))
        try:
            with undisturbed():  # it never gets a request to stop
                thread.start()
        except RuntimeError:
            here.append(work)
        else:
            threads.append(thread)
    for work in here:
        do(work)
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def for_all(things: Sequence[T], work: Callable[[T], object]) -> None:
    """Calls ``work`` with each of them, on several processors; raises what one of the calls raises."""

    def some(first: int) -> None:
        for thing in things[first::PROCESSORS]:
            work(thing)

    at_once([lambda first=first: some(first) for first in range(PROCESSORS)])  # type: ignore[misc]
