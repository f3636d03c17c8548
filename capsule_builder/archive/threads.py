"""A few threads that deflate or inflate, started when there is work for them."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from capsule_builder.signals import undisturbed

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

T = TypeVar("T")


class Threads:
    """At most ``number`` threads. Leaving the context waits for their work, unless it is left by an error."""

    def __init__(self, number: int, name: str) -> None:
        self._number = number
        self._name = name
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, work: Callable[..., T], *arguments: object) -> Future[T]:
        """Has it done on one of them; here and now, when the system has no more threads for us."""
        from concurrent.futures import Future, ThreadPoolExecutor  # what is small needs none, and this takes long

        try:
            with undisturbed():  # a thread that is half started when its starter fails complains on standard error
                self._pool = self._pool or ThreadPoolExecutor(self._number, self._name)
                return self._pool.submit(work, *arguments)
        except RuntimeError:
            done: Future[T] = Future()
            try:
                done.set_result(work(*arguments))
            except Exception as error:
                done.set_exception(error)
            return done

    def close(self, *, wait: bool = False) -> None:
        """Gives up what has not been begun."""
        if self._pool:
            self._pool.shutdown(wait=wait, cancel_futures=True)

    def __enter__(self) -> Threads:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        # After a failure nobody is waited for: a signal may have struck while a future was locked, for good.
        self.close(wait=kind is None)
