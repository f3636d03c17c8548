"""Forked copies of this process that share out work: the interpreter's lock lets threads do no Python at once.

A copy has all that was there when it was made, and so is only told what to do; what it gives comes back pickled.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import struct
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, NoReturn, TypeVar

from capsule_builder.errors import CapsuleError, refusal
from capsule_builder.open_files import is_one_of_the_last
from capsule_builder.signals import undisturbed

Task = TypeVar("Task")
Result = TypeVar("Result")

POSSIBLE = sys.platform == "linux"
"""Whether copies can be made here; elsewhere the system's own libraries may not be forked."""

_DEPTH = 2  # tasks that a copy has before it: the one that it does, and the next
_LENGTH = struct.Struct("<Q")
_READ = 1 << 20
_TOLD_AT_ONCE = 1 << 20
_GIVEN, _RAISED, _TOLD = range(3)


class _Copy:
    """One of them, as its maker sees it."""

    def __init__(self, pid: int, tasks: int, results: int) -> None:
        self.pid = pid
        self.tasks = tasks
        self.results = results
        self.doing: deque[int] = deque()  # the numbers of its tasks
        self.read = bytearray()


class Processes(Generic[Task, Result]):
    """At most ``number`` copies that do ``work``; with none of them, which the system may want, it is done here.

    Tasks are pickled too, and are to be small: two must fit into a pipe. ``heard`` gets what is told in a copy.
    Leaving the context ends the copies; what they have not done then, they leave.
    """

    def __init__(
        self, number: int, work: Callable[[Task], Result], heard: Callable[[Any], object] | None = None
    ) -> None:
        self._work = work
        self._heard = heard
        self._copies: list[_Copy] = []
        self._wanted = number if POSSIBLE else 0
        self._todo: deque[tuple[int, bytes]] = deque()
        self._done: dict[int, tuple[int, Any]] = {}
        self._submitted = self._given = 0
        self._lost_one: CapsuleError | None = None
        self._told: int | None = None  # in a copy: where to say what is told
        self._here: deque[Task] = deque()

    @property
    def waiting(self) -> int:
        """How many results have been asked for and not been given."""
        return self._submitted - self._given

    def submit(self, task: Task) -> None:
        """Has it done, when its turn comes; the first task has the copies made."""
        with undisturbed():  # a copy that is made is one that is known
            while self._wanted:
                try:
                    self._copies.append(self._fork())
                    self._wanted -= 1
                except OSError:  # there are too many, or there is no room
                    self._wanted = 0
        if self._copies:
            self._todo.append((self._submitted, _pickled(task)))
            self._feed()
        else:
            self._here.append(task)
        self._submitted += 1

    def result(self) -> Result:
        """What comes of the next task, in the order in which they were submitted.

        Raises:
            CapsuleError: somebody has ended a copy.
            Exception: whatever the work raised.
        """
        if self._lost_one:
            raise self._lost_one
        number = self._given
        self._given += 1
        if not self._copies:
            return self._work(self._here.popleft())
        while number not in self._done:
            self._wait()
        kind, value = self._done.pop(number)
        if kind == _RAISED:
            raise value
        result: Result = value
        return result

    def results(self, tasks: Iterable[Task], window: int) -> Iterator[Result]:
        """What comes of ``tasks``, in order; a task is asked for when fewer than ``window`` are on their way."""
        for task in tasks:
            self.submit(task)
            while self.waiting >= window:
                yield self.result()
        while self.waiting:
            yield self.result()

    def tell(self, what: object) -> None:
        """Has ``heard`` called with it, by the process that made this one."""
        if self._told is not None:
            _send(self._told, _TOLD, what)
        elif self._heard:
            self._heard(what)

    def _fork(self) -> _Copy:
        task_end, tasks = os.pipe()
        try:
            results, result_end = os.pipe()
        except OSError:
            os.close(task_end)
            os.close(tasks)
            raise
        ours, theirs = (tasks, results), (task_end, result_end)
        try:
            if is_one_of_the_last(result_end):  # whoever has the work done needs some, too
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of threads, which a copy lacks: it asks nothing of any
                pid = os.fork()
                if not pid:
                    self._serve(ours, *theirs)
        except OSError:
            for fd in (*ours, *theirs):
                os.close(fd)
            raise
        for fd in theirs:
            os.close(fd)
        return _Copy(pid, tasks, results)

    def _serve(self, ours: Iterable[int], tasks: int, results: int) -> NoReturn:
        """In a copy: does what it is told until nobody is there to tell it."""
        status = 1
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # they come to all of us: our maker says so
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
            for fd in (*ours, *(end for copy in self._copies for end in (copy.tasks, copy.results))):
                os.close(fd)
            self._copies = []
            self._told = results
            while (length := _receive(tasks, _LENGTH.size)) and (task := _receive(tasks, *_LENGTH.unpack(length))):
                try:
                    _send(results, _GIVEN, self._work(_unpickled(task)))
                except Exception as error:
                    _send(results, _RAISED, error)
            status = 0
        finally:
            os._exit(status)

    def _feed(self) -> None:
        while self._todo:
            copy = min(self._copies, key=lambda copy: len(copy.doing))
            if len(copy.doing) >= _DEPTH:
                return
            number, task = self._todo.popleft()
            copy.doing.append(number)
            try:
                _write(copy.tasks, _LENGTH.pack(len(task)) + task)
            except BrokenPipeError:
                self._lost(copy)

    def _wait(self) -> None:
        """Takes what the next of them has to say."""
        busy = {copy.results: copy for copy in self._copies if copy.doing}
        poll = select.poll()  # select() takes no descriptor above 1,023, and every wheel has four
        for fd in busy:
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll():
            copy = busy[fd]
            data = os.read(fd, _READ)
            if not data:
                self._lost(copy)
            copy.read += data
            while len(copy.read) >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(copy.read)
                end = _LENGTH.size + length
                if len(copy.read) < end:
                    break
                kind, value = _unpickled(memoryview(copy.read)[_LENGTH.size : end])
                del copy.read[:end]
                if kind != _TOLD:
                    self._done[copy.doing.popleft()] = kind, value
                elif self._heard:
                    self._heard(value)
        self._feed()

    def _lost(self, copy: _Copy) -> NoReturn:
        status = _ended(copy.pid)
        self._copies.remove(copy)
        for fd in (copy.tasks, copy.results):
            os.close(fd)
        how = f"by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "before its time"
        message = f"A process that shared the work was ended {how}"
        remedy = "If memory is short, do it with --jobs 1; or do it again."
        self._lost_one = refusal("process-ended", message, remedy)
        raise self._lost_one

    def __enter__(self) -> Processes[Task, Result]:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with undisturbed():
            for copy in self._copies:
                os.close(copy.tasks)
                os.close(copy.results)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(copy.pid, signal.SIGKILL)
            for copy in self._copies:
                _ended(copy.pid)
            self._copies = []


class Telling:
    """Tells of progress, of a MiB at a time."""

    def __init__(self, tell: Callable[[int], object]) -> None:
        self._tell = tell
        self._untold = 0

    def __call__(self, size: int) -> None:
        """Tells that so many more bytes were read."""
        self._untold += size
        if self._untold >= _TOLD_AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """Tells what is left."""
        self._tell(self._untold)
        self._untold = 0


def _ended(pid: int) -> int:
    """Waits for a process to end; gives its status, 0 where this process was started to ignore how its children end."""
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return 0


def _send(fd: int, kind: int, value: object) -> None:
    data = _pickled((kind, value))
    _write(fd, _LENGTH.pack(len(data)))
    _write(fd, data)


def _pickled(value: object) -> bytes:
    import pickle  # takes long, and little work is shared out

    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def _unpickled(data: bytes | memoryview) -> Any:
    import pickle

    return pickle.loads(data)  # noqa: S301 - from our own maker, or our own copy


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _receive(fd: int, size: int) -> bytes:
    """So many bytes; none when nobody will send any more."""
    data = b""
    while len(data) < size:
        more = os.read(fd, size - len(data))
        if not more:
            return b""
        data += more
    return data
