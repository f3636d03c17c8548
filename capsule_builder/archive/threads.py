"""A few threads that deflate or inflate, started when there is work for them."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from capsule_builder.signals import undisturbed

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
Given = TypeVar("Given", covariant=True)


class Pending(Protocol[Given]):
    """Work that has been handed over."""

    def done(self) -> bool:
        """Whether it is finished."""

    def result(self) -> Given:
        """What it gave; waits for that, and raises what it raised."""


class Threads:
    """At most ``number`` threads. Leaving the context waits for their work, unless it is left by an error.

    With none, the work is done where it is handed over.
    """

    def __init__(self, number: int, name: str) -> None:
        self._number = number
        self._name = name
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, work: Callable[..., T], *arguments: object) -> Pending[T]:
        """Has it done on one of them; here and now, when there are none, or the system has no more for us."""
        if not self._number:
            return _Done(work, arguments)
        from concurrent.futures import ThreadPoolExecutor  # what is small needs none, and this takes long

        try:
            with undisturbed():  # a thread that is half started when its starter fails complains on standard error
                self._pool = self._pool or ThreadPoolExecutor(self._number, self._name)
                return self._pool.submit(work, *arguments)
        except RuntimeError:
            return _Done(work, arguments)

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


class _Done(Generic[T]):
    """Work that was done at once."""

    def __init__(self, work: Callable[..., T], arguments: tuple[object, ...]) -> None:
        self._error: Exception | None = None
        try:
            self._result = work(*arguments)
        except Exception as error:
            self._error = error

    def done(self) -> bool:
        return True

    def result(self) -> T:
        if self._error:
            raise self._error
        return self._result
