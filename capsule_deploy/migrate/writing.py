"""Puts the results into a directory: all of them or none, and never over anything or into the original."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import shown


class OutputError(CapsuleError):
    """Nothing can be written there."""


def check_output(output: str, originals: Sequence[str], names: list[str]) -> None:
    """Makes sure that ``names`` can be written to ``output``, and that it does not lie in one of ``originals``.

    Raises:
        OutputError: it does, or one of them is there.
    """
    if not output:
        raise OutputError(
            [Problem("output-special", "Output has no name", "Name a directory, or a name that is free.")]
        )
    place = os.path.realpath(output)
    for original in map(os.path.realpath, originals):
        if place == original or place.startswith(original.rstrip("/") + "/"):
            message = f"Output lies inside the original: {shown(output)}"
            raise OutputError([Problem("output-inside", message, "Write elsewhere: the original is never changed.")])
    if os.path.lexists(place) and not os.path.isdir(place):
        message = f"Output is not a directory: {shown(output)}"
        raise OutputError([Problem("output-special", message, "Name a directory, or a name that is free.")])
    if not os.path.isdir(os.path.dirname(place)):
        message = f"Output's directory not found: {shown(os.path.dirname(place))}"
        raise OutputError([Problem("output-missing", message, "Make it first.")])
    there = [name for name in names if os.path.lexists(os.path.join(place, name))]
    if there:
        remedy = "Remove them, or write elsewhere: nothing is ever overwritten."
        problems = [Problem("output-exists", f"File exists: {shown(os.path.join(output, name))}", "") for name in there]
        problems[-1] = Problem("output-exists", problems[-1].message, remedy)
        raise OutputError(problems)


def write_all(output: str, files: Mapping[str, bytes]) -> None:
    """Writes the files; after a failure those that were written are gone again.

    Raises:
        OSError: it cannot be done.
    """
    made = not os.path.isdir(output)
    if made:
        os.mkdir(output)
    written: list[str] = []
    try:
        for name, data in files.items():
            path = os.path.join(output, name)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            written.append(path)
            with open(fd, "wb") as file:
                file.write(data)
    except BaseException:
        for path in written:
            with contextlib.suppress(OSError):
                os.unlink(path)
        if made:
            with contextlib.suppress(OSError):
                os.rmdir(output)
        raise
