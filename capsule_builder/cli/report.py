"""How the commands speak: results on standard output, warnings and errors on standard error."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import shown

_MAX_SHOWN = 100
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """The user or the system asked the command to stop; ``code`` is the exit status for that."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def prepare() -> None:
    """Makes sure that a message can be written in any locale, and that a request to stop leaves nothing behind."""
    # A stream that the caller closed: the next file that is opened must not become it. Standard output is then one
    # that refuses what is written, so that a result which nobody gets is noticed.
    for name, mode in (("stdout", "r"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def stop(number: int, _frame: object) -> NoReturn:
        finish()  # what is being cleared away is cleared away
        raise Stopped(128 + number)

    for number in _STOPPING:
        with contextlib.suppress(ValueError):  # not the main thread: the caller minds its own signals
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup and shells' background jobs have it
                signal.signal(number, stop)


def finish() -> None:
    """From here on the command ends by itself, and says how it went: requests to stop come too late."""

    def pass_over(_number: int, _frame: object) -> None:
        """What SIG_IGN does; but of a request that has just come, Python would print a traceback then."""

    for number in _STOPPING:
        with contextlib.suppress(ValueError):
            signal.signal(number, pass_over)


def leave(stopped: Stopped) -> NoReturn:
    """Ends the process that was asked to stop, whatever its threads are about."""
    error(Problem("stopped", "Stopped; nothing was written."))
    os._exit(stopped.code)


def result(*lines: str, done: bool = True) -> bool:
    """Prints the result; False, with an error, when nobody can take it.

    ``done`` tells that something was made, which stays when nobody hears of it.
    """
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except OSError as failed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try again when it ends
        reason = failed.strerror or "it is closed"
        remedy = "The work itself was done." if done else "Nothing was written. Call it again where the output is read."
        error(Problem("stdout", f"Cannot write to standard output: {reason}", remedy))
        return False
    return True


def warning(problem: Problem) -> None:
    """Prints a warning; those with a place in a file speak like a compiler, by themselves."""
    _say("WARNING", problem)


def error(problem: Problem) -> None:
    """Prints one problem; those with a place in a file speak like a compiler, by themselves."""
    _say("ERROR", problem)


def errors(problems: Sequence[Problem]) -> None:
    """Prints problems, the first hundred of them one by one."""
    for problem in problems[:_MAX_SHOWN]:
        error(problem)
    if len(problems) > _MAX_SHOWN:
        error(Problem("more", f"… and {len(problems) - _MAX_SHOWN:,} more"))


def notes(lines: Sequence[str]) -> None:
    """Prints what is worth knowing and calls for nothing."""
    with contextlib.suppress(OSError):
        for line in lines:
            print(f"NOTE: {line}", file=sys.stderr, flush=True)


def _say(kind: str, problem: Problem) -> None:
    with contextlib.suppress(OSError):  # nobody listens; the exit status still says it
        print(problem if hasattr(problem, "line") else f"{kind}: {problem}", file=sys.stderr, flush=True)


def no_memory(doing: str) -> Problem:
    """What to say when the system has no more memory for us; ``doing`` says what failed."""
    return Problem("memory", f"{doing}: there is not enough memory", "Give it more; --jobs 1 takes the least.")


@contextlib.contextmanager
def refusals(doing: str) -> Iterator[list[Problem]]:
    """Turns what stops a command into problems: the list is empty when nothing did.

    ``doing`` says what failed when the system is at fault: "Cannot write the capsule".
    """
    problems: list[Problem] = []
    try:
        yield problems
    except CapsuleError as refused:
        problems += refused.problems
    except MemoryError:
        problems.append(no_memory(doing))
    except OSError as failed:
        reason = failed.strerror or str(failed)
        where = f" ({shown(os.fsdecode(failed.filename))})" if failed.filename else ""
        problems.append(Problem("system", f"{doing}: {reason}{where}", "Nothing was written."))
