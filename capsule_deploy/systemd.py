"""systemd, by its own commands: what is asked of it, what it says, and what the kernel holds of its limits."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import shown

_GROUPS = "/sys/fs/cgroup"
_LONGEST = 180.0  # seconds; a unit's own time-outs end sooner


class HostError(CapsuleError):
    """The host is not set up for it, or systemd refuses."""


@dataclass(frozen=True)
class State:
    """What systemd knows of a unit; ``group`` is its cgroup, empty when it has none.

    ``restarts`` counts the times that systemd has started it anew by itself; ``status`` is the exit status or the
    signal's number with which its main process ended, by ``code`` (``exited``, ``killed``, ``dumped``).
    """

    active: str
    sub: str
    result: str
    main_pid: int
    restarts: int
    code: str
    status: int
    group: str
    description: str

    @property
    def up(self) -> bool:
        """Whether it is running."""
        return self.active == "active"

    def __str__(self) -> str:
        words = f"{self.active} ({self.sub})"
        if self.code in ("exited", "killed", "dumped"):
            words += (
                f", its main process {self.code} with {'status' if self.code == 'exited' else 'signal'} {self.status}"
            )
        elif self.result not in ("success", ""):
            words += f", {self.result}"
        return words + (f", restarted {self.restarts} times" if self.restarts else "")


# The codes of waitid(2), as systemd prints them.
_CODES = {"1": "exited", "2": "killed", "3": "dumped"}
_PROPERTIES = (
    "ActiveState",
    "SubState",
    "Result",
    "MainPID",
    "NRestarts",
    "ExecMainCode",
    "ExecMainStatus",
    "ControlGroup",
    "Description",
)


def running() -> bool:
    """Whether systemd is what runs this host."""
    return os.path.isdir("/run/systemd/system")


def version() -> str:
    """What systemd calls itself."""
    return _systemctl("--version").partition("\n")[0]


def exposure(root: str, unit: str) -> float:
    """How exposed a unit is, by systemd's own analyser: from 0 (not at all) to 10."""
    analyse = ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--root={root}", unit]
    said = _run(analyse, check=False)
    found = re.search(r"Overall exposure level for .*: ([0-9.]+) ", said)
    if found is None:
        message = f"systemd-analyze cannot tell how exposed {unit} is"
        raise HostError([Problem("exposure", message, f"See what `{' '.join(analyse)}` says.")])
    return float(found[1])


def reload() -> None:
    """Has systemd read the units anew."""
    _systemctl("daemon-reload")


def start(*units: str, wait: bool = True) -> None:
    """Starts units, those that have failed before included.

    Raises:
        HostError: systemd cannot start them; :func:`state` says how far they got.
    """
    _systemctl("reset-failed", *units, check=False)
    _systemctl("start", *([] if wait else ["--no-block"]), *units)


def stop(*units: str) -> None:
    """Stops units, if they run, and waits until they have ended."""
    _systemctl("stop", *units)
    _systemctl("reset-failed", *units, check=False)


def show(unit: str, *properties: str) -> dict[str, str]:
    """Properties of a unit, as systemd prints them."""
    said = _systemctl("show", unit, *(f"--property={name}" for name in properties))
    return dict(line.partition("=")[::2] for line in said.splitlines())


def state(unit: str) -> State:
    """What systemd knows of a unit."""
    said = show(unit, *_PROPERTIES)
    return State(
        active=said["ActiveState"],
        sub=said["SubState"],
        result=said.get("Result", ""),
        main_pid=int(said.get("MainPID") or 0),
        restarts=int(said.get("NRestarts") or 0),
        code=_CODES.get(said.get("ExecMainCode", ""), ""),
        status=int(said.get("ExecMainStatus") or 0),
        group=said.get("ControlGroup", ""),
        description=said.get("Description", ""),
    )


def units(*patterns: str) -> list[str]:
    """The units that systemd holds whose names match, and that run, are about to, or have failed."""
    said = _systemctl(
        "list-units", "--plain", "--no-legend", "--full", "--state=active,activating,deactivating,failed", *patterns
    )
    return [line.split()[0] for line in said.splitlines() if line.strip()]


def last_lines(unit: str, count: int = 50) -> list[str]:
    """The last lines of a unit in the journal, the oldest first."""
    command = ["journalctl", "--quiet", "--no-pager", "--output=short-iso", f"--lines={count}", f"--unit={unit}"]
    try:
        return _run(command, check=False).splitlines()
    except HostError:
        return []  # it is told what failed, though not with which words


def processes(group: str) -> list[int]:
    """The processes of a cgroup and of those below it."""
    found: set[int] = set()
    for base in ("systemd", "unified", ""):
        for directory, _, files in os.walk(f"{_GROUPS}/{base}{group}" if base else f"{_GROUPS}{group}"):
            if "cgroup.procs" in files:
                try:
                    with open(os.path.join(directory, "cgroup.procs"), encoding="ascii") as file:
                        found.update(int(line) for line in file)
                except OSError:
                    continue
    return sorted(found)


@dataclass(frozen=True)
class Limits:
    """What the kernel enforces for a cgroup: a share of a processor (1.0 is one core), bytes, tasks.

    None where there is no limit, or where the kernel has no controller that could have one.
    """

    cpu: float | None
    memory: int | None
    tasks: int | None


def limits(group: str) -> Limits:
    """Reads the limits of a cgroup back from the kernel, whichever version of cgroups it has."""
    return Limits(_cpu(group), _memory(group), _tasks(group))


def _cpu(group: str) -> float | None:
    version2 = _value("", group, "cpu.max")
    if version2 is not None:
        quota, period = version2.split()
    else:
        quota = _value("cpu", group, "cpu.cfs_quota_us") or "-1"
        period = _value("cpu", group, "cpu.cfs_period_us") or "100000"
    return None if quota in ("max", "-1") else int(quota) / int(period)


def _memory(group: str) -> int | None:
    value = _value("", group, "memory.max") or _value("memory", group, "memory.limit_in_bytes")
    # Version 1 spells "none" as the last page of the address space.
    return None if value in (None, "max") or int(value) >= 1 << 62 else int(value)


def _tasks(group: str) -> int | None:
    value = _value("", group, "pids.max") or _value("pids", group, "pids.max")
    return None if value in (None, "max") else int(value)


def _value(hierarchy: str, group: str, name: str) -> str | None:
    try:
        with open(os.path.join(_GROUPS, hierarchy, group.lstrip("/"), name), encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None


def _systemctl(*words: str, check: bool = True) -> str:
    return _run(["systemctl", "--no-pager", "--no-ask-password", *words], check=check)


def ran(command: Sequence[str], *, timeout: float) -> subprocess.CompletedProcess[str]:
    """Runs one of systemd's programs for at most ``timeout`` seconds.

    Raises:
        FileNotFoundError: there is no such program.
        subprocess.TimeoutExpired: it does not come to its end.
    """
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=timeout,
        env={**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""},
        start_new_session=True,  # a Ctrl-C is for us alone, who know what has to be brought to its end
        check=False,
    )


def _run(command: Sequence[str], *, check: bool) -> str:
    try:
        done = ran(command, timeout=_LONGEST)
    except FileNotFoundError:
        message = f"There is no {command[0]} on this host"
        raise HostError([Problem("systemd-missing", message, "Capsules need a host that systemd runs.")]) from None
    except subprocess.TimeoutExpired:
        message = f"No end after {_LONGEST:g} s: {' '.join(command)}"
        raise HostError([Problem("systemd-slow", message, "See `systemctl list-jobs`.")]) from None
    if check and done.returncode != 0:
        said = shown(" ".join((done.stderr or done.stdout).split()))
        message = f"systemd refuses: {' '.join(command[3:])}: {said or f'status {done.returncode}'}"
        raise HostError([Problem("systemd", message, "See `systemctl status` and `journalctl` for it.")])
    return done.stdout
