"""How the commands speak: results on standard output, warnings and errors on standard error."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
from collections.abc import Iterator
from typing import NoReturn

from capsule_builder.errors import CapsuleError, Problem


class Stopped(Exception):
    """The user or the system asked the command to stop; ``code`` is the exit status for that."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def prepare() -> None:
    """Makes sure that a message can be written in any locale, and that a request to stop leaves nothing behind."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def stop(number: int, _frame: object) -> NoReturn:
        raise Stopped(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with contextlib.suppress(ValueError):  # not the main thread: the caller minds its own signals
            signal.signal(number, stop)


def warning(message: str) -> None:
    """Prints a warning."""
    print(f"WARNING: {message}", file=sys.stderr)


def error(problem: Problem) -> None:
    """Prints one problem; those with a place in a file speak like a compiler, by themselves."""
    text = str(problem)
    print(text if hasattr(problem, "line") else f"ERROR: {text}", file=sys.stderr)


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
    except OSError as failed:
        reason = failed.strerror or str(failed)
        where = f" ({failed.filename})" if failed.filename else ""
        problems.append(Problem("system", f"{doing}: {reason}{where}", "Nothing was written."))
