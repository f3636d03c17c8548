"""Whether the services of a release are healthy: they answer as the manifest wants, and go on running."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.manifest import HealthCheck
from capsule_deploy import ports, systemd, units
from capsule_deploy.releases import Release
from capsule_deploy.systemd import HostError
from capsule_deploy.units import Process, socket_path

TOLERATED = 2
"""How many failed checks in a row are no reason to return, once a service has been healthy."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: |\r?\n)")


class UnhealthyError(CapsuleError):
    """A service did not become healthy, or did not stay so; ``unit`` is its unit, and ``lines`` are its last words."""

    def __init__(self, unit: str, why: str) -> None:
        self.unit = unit
        self.lines = systemd.last_lines(unit)
        super().__init__([Problem("unhealthy", f"Not healthy: {unit}: {why}", "See its last lines in the journal.")])


@dataclass
class _Watched:
    process: Process
    check: HealthCheck
    next: float
    restarts: int
    good: int = 0
    bad: int = 0
    last: str = field(default="it has not been asked")

    def look(self) -> None:
        """Raises ``UnhealthyError`` when its main process has ended, even if it runs again."""
        state = systemd.state(self.process.unit)
        if not state.up or state.restarts > self.restarts:
            why = str(state)
            if state.active == "inactive" and state.result == "success":  # perhaps it works on as another process
                why += ": it has ended; what a service starts has to be the service, and stay in the foreground"
            raise UnhealthyError(self.process.unit, why)

    def ask(self, release: Release) -> None:
        """Asks once."""
        self.next = time.monotonic() + self.check.interval
        complaint = check(release, self.process)
        self.good, self.bad = (0, self.bad + 1) if complaint else (self.good + 1, 0)
        self.last = complaint or self.last


def wait(release: Release, processes: Sequence[Process], say: Callable[[str], None]) -> None:
    """Waits until every service has given its good answers in a row; a service without a check has to stay up.

    Raises:
        UnhealthyError: the main process of one has ended, or its time is up.
    """
    began = time.monotonic()
    watched = [_watched(process) for process in processes]
    while watched:
        for one in list(watched):
            one.look()
            if time.monotonic() < one.next:
                continue
            one.ask(release)
            if one.good >= one.check.successes:
                say(f"{one.process.unit} is healthy")
                watched.remove(one)
            elif time.monotonic() - began > one.check.deadline:
                raise UnhealthyError(one.process.unit, f"{one.last} ({one.check.deadline:g} s)")
        _sleep(watched)


def observe(release: Release, processes: Sequence[Process], seconds: float) -> None:
    """Looks on for that long.

    Raises:
        UnhealthyError: the main process of one has ended, or it no longer answers.
    """
    ends = time.monotonic() + seconds
    watched = [_watched(process) for process in processes]
    while time.monotonic() < ends:
        for one in watched:
            one.look()
            if time.monotonic() >= one.next:
                one.ask(release)
                if one.bad > TOLERATED:
                    raise UnhealthyError(one.process.unit, one.last)
        _sleep(watched, ends)


def check(release: Release, process: Process) -> str:
    """Asks a service once; empty when it is healthy, otherwise what is wrong."""
    asked = process.service.health
    if asked is None:
        return ""
    if asked.http is None:
        return _command(process)
    if asked.port is None:
        return http(socket_path(release, process.service.name), asked.http, asked.timeout)
    complaint = http(asked.port, asked.http, asked.timeout)
    group = "" if complaint else systemd.state(units.slice_of(release)).group
    if group and ports.foreign(asked.port, systemd.processes(group)):
        return f"somebody else answers at port {asked.port}: another process of this host listens there"
    return complaint


def http(where: str | int, path: str, timeout: float) -> str:
    """Asks over HTTP, at a port of the loopback address or at a Unix socket; empty when the answer is 2xx."""
    name = f"http://127.0.0.1:{where}{path}" if isinstance(where, int) else f"{path} at {where}"
    ends = time.monotonic() + timeout
    said = b""
    try:
        with contextlib.closing(
            socket.socket(socket.AF_INET if isinstance(where, int) else socket.AF_UNIX)
        ) as connection:
            connection.settimeout(timeout)
            connection.connect(("127.0.0.1", where) if isinstance(where, int) else where)
            request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: capsdeploy\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode("ascii"))
            while b"\n" not in said and len(said) < 1024:
                connection.settimeout(max(ends - time.monotonic(), 0.001))  # of the whole answer, not of each byte
                chunk = connection.recv(1024)
                if not chunk:
                    break
                said += chunk
    except TimeoutError:
        return f"no answer within {timeout:g} s from {name}"
    except OSError as failed:
        return f"{failed.strerror or failed} at {name}"
    status = _STATUS.match(said)
    if status is None:
        return f"no answer of HTTP from {name}"
    return "" if status[1].startswith(b"2") else f"{status[1].decode()} from {name}"


def _command(process: Process) -> str:
    unit = process.check or ""  # which every check that is a command has
    try:
        systemd.start(unit)
    except HostError:
        return f"the check fails: {systemd.state(unit)} (see `journalctl -u {unit}`)"
    return ""


def _watched(process: Process) -> _Watched:
    asked = process.service.health or HealthCheck()
    first = time.monotonic() + (0 if process.service.health else asked.interval)
    return _Watched(process, asked, first, systemd.state(process.unit).restarts)


def _sleep(watched: Sequence[_Watched], ends: float | None = None) -> None:
    if watched:
        until = min(min(one.next for one in watched), time.monotonic() + 0.25, *([ends] if ends else []))
        time.sleep(max(until - time.monotonic(), 0.01))
