"""Stops a command at each of its system calls that change something: killed there, or told that it failed.

strace counts the calls of one name, for each process by itself. A command is watched once, to learn which calls there
are; then it is run again for each, on a fresh copy of the same host.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.capsbuild.command import Ran
from tests.deploy.hosts import ENVIRONMENT, Host

CHANGING = (
    "mkdir", "mkdirat", "openat", "open", "creat", "link", "linkat", "symlink", "symlinkat", "rename", "renameat",
    "renameat2", "unlink", "unlinkat", "rmdir", "write", "pwrite64", "sendfile", "fsync", "fdatasync", "syncfs",
    "chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat", "utimensat", "ftruncate", "flock", "memfd_create",
    "pipe2", "fork", "vfork", "clone", "clone3",
)  # fmt: skip
_CALL = re.compile(r"(\d+)\s+([a-z0-9_]+)\((.*)")


@dataclass(frozen=True)
class Point:
    """The ``number``-th call of one name, from 1: in the command itself, or in a child that comes to it first."""

    call: str
    number: int
    child: bool


def points(command: Sequence[str], log: Path, *, since: str) -> list[Point]:
    """Runs ``command``; gives every call that may change something, from the first one on that names ``since``."""
    strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-s", "400", "-o", str(log), "-e", f"trace={_known()}"]
    subprocess.run([*strace, *command], env=ENVIRONMENT, capture_output=True, check=True, timeout=120)
    counts: dict[tuple[str, str], int] = {}
    begun = False
    own = ""
    seen: set[tuple[str, int]] = set()
    found: dict[Point, None] = {}
    for line in log.read_text(errors="replace").splitlines():
        match = _CALL.match(line)
        if not match:
            continue
        process, call, rest = match.groups()
        own = own or process
        number = counts[process, call] = counts.get((process, call), 0) + 1
        begun = begun or since in rest
        first = (call, number) not in seen
        seen.add((call, number))
        reads = call == "openat" and not any(way in rest for way in ("O_CREAT", "O_WRONLY", "O_RDWR"))
        if begun and not reads and (process == own or first):
            found[Point(call, number, child=process != own)] = None
    return list(found)


def stopped_at(point: Point, how: str) -> list[str]:
    """What to put before a command to have it stopped; ``how`` is what strace calls it: ``signal=KILL``."""
    inject = f"inject={point.call}:{how}:when={point.number}"
    # Not with --seccomp-bpf, which makes strace 6.1 inject nothing.
    follow = ["-f"] if point.child else []
    return ["strace", *follow, "-qq", "-o", "/dev/null", "-e", f"trace={point.call}", "-e", inject]


def each(
    before: Host, places: Path, chosen: Sequence[Point], how: str, command: Callable[[Host, Sequence[str]], Ran]
) -> Iterator[tuple[Point, Host, Ran]]:
    """Runs ``command(host, wrapper)`` for each point on a copy of the host ``before``; gives host and outcome."""
    for number, point in enumerate(chosen):
        root = places / f"host-{how.replace('=', '-')}-{number}"
        subprocess.run(["cp", "-a", str(before.root), str(root)], check=True)
        host = Host(root, before.secret)
        yield point, host, command(host, stopped_at(point, how))
        shutil.rmtree(root)


def _known() -> str:
    """The calls that this machine's strace knows; ``?`` lets it pass over the others."""
    return ",".join(f"?{call}" for call in CHANGING)
