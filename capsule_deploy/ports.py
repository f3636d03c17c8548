"""The ports of the host on which processes listen."""

from __future__ import annotations

import os
from collections.abc import Iterable

_LISTENS = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}


def listening(pids: Iterable[int]) -> list[int]:
    """The TCP and UDP ports that these processes hold in the host's own network."""
    own = os.stat("/proc/self/ns/net").st_ino
    inodes: set[str] = set()
    for pid in pids:
        try:
            if os.stat(f"/proc/{pid}/ns/net").st_ino != own:
                continue
            for fd in os.listdir(f"/proc/{pid}/fd"):
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
        except OSError:
            continue  # it has ended
    return sorted({port for port, inode in _sockets() if inode in inodes}) if inodes else []


def foreign(port: int, pids: Iterable[int]) -> bool:
    """Whether a TCP port of the host is held by none of these processes, but by another.

    Of a process that does not let itself be looked at nothing is known, so it may be the one.
    """
    inodes = {inode for number, inode in _sockets() if number == port}
    for pid in pids:
        try:
            fds = os.listdir(f"/proc/{pid}/fd")
        except FileNotFoundError:
            continue  # it has ended
        except OSError:
            return False
        for fd in fds:
            try:
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
            except OSError:
                continue
            if target.startswith("socket:[") and target[8:-1] in inodes:
                return False
    return bool(inodes)


def _sockets() -> Iterable[tuple[int, str]]:
    for protocol, state in _LISTENS.items():
        try:
            with open(f"/proc/self/net/{protocol}", encoding="ascii") as file:
                next(file)
                for line in file:
                    fields = line.split()
                    if fields[3] == state:
                        yield int(fields[1].rpartition(":")[2], 16), fields[9]
        except OSError:
            continue
