"""A terminal for a command, and somebody who types at it."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.capsbuild.command import COMMAND, ENVIRONMENT, Ran


def typing(*arguments: str | Path, answers: Sequence[bytes], env: dict[str, str] | None = None) -> tuple[Ran, str]:
    """Runs ``capsbuild`` with a terminal of its own; gives how it ended, and all that the terminal showed.

    Each answer is typed when the next prompt, which ends in ``: ``, is there. Standard output and error are pipes.
    """
    ours, theirs = pty.openpty()
    # setsid --ctty makes its standard input the terminal that /dev/tty is.
    command = ["setsid", "--ctty", "--wait", *COMMAND, *map(str, arguments)]
    process = subprocess.Popen(
        command, env=ENVIRONMENT | (env or {}), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    os.close(theirs)
    shown = b""
    for answer in answers:
        before = shown.count(b": ")
        while shown.count(b": ") == before:
            shown += os.read(ours, 1024)
        os.write(ours, answer)
    out, err = process.communicate(timeout=120)
    while True:
        try:
            shown += os.read(ours, 1024)
        except OSError:  # EIO: nobody has the other side any more
            break
    os.close(ours)
    return Ran(process.returncode, out.decode(), err.decode()), shown.decode()


def without_a_terminal(*arguments: str | Path, env: dict[str, str] | None = None) -> Ran:
    """Runs ``capsbuild`` where there is no terminal at all, not even /dev/tty."""
    ran = subprocess.run(
        ["setsid", "--wait", *COMMAND, *map(str, arguments)],
        env=ENVIRONMENT | (env or {}), stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    return Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode())
