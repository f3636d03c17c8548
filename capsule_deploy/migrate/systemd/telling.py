"""Tells what becomes of each line of a unit that is not about which program runs, and with which variables."""

from __future__ import annotations

import re
from collections.abc import Callable

from capsule_deploy.migrate.circumstances import account, stop_signal
from capsule_deploy.migrate.model import Findings, Origin, Walls
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.systemd.directives import DEPENDENCY, fate_of
from capsule_deploy.migrate.systemd.limits import LIMITS
from capsule_deploy.migrate.systemd.specifiers import Specifiers
from capsule_deploy.migrate.systemd.unit import Unit
from capsule_deploy.migrate.systemd.walls import WallReader

_DIRECTORIES = {"StateDirectory": "/var/lib", "LogsDirectory": "/var/log", "CacheDirectory": "/var/cache"}
_DATABASE = re.compile(r"\b(?:migrate|upgrade|collectstatic|createcachetable|syncdb)\b")
_READ_ELSEWHERE = frozenset([
    "ExecStart", "Environment", "EnvironmentFile", "PassEnvironment", "UnsetEnvironment", "WorkingDirectory", *LIMITS,
])  # fmt: skip


class Teller:
    """Goes through one unit; paths that it writes to are known to the places then."""

    def __init__(self, unit: Unit, specifiers: Specifiers, places: Places, findings: Findings) -> None:
        self._unit = unit
        self._specifiers = specifiers
        self._places = places
        self._findings = findings
        self._walls = WallReader(unit, findings)

    def tell(self) -> Walls:
        """Tells of each line, but for what says which program runs and with which variables; gives the walls."""
        for key, values in self._unit.values.items():
            handler = _HANDLERS.get(key)
            for value, origin in values:
                if key in _READ_ELSEWHERE:
                    continue
                if handler is not None:
                    handler(self, key, value, origin)
                elif self._walls.tell(key, value, origin):
                    pass
                elif key in ("Requires", "BindsTo", "Requisite", "PartOf", "Upholds", "RequiresMountsFor"):
                    self._tell(DEPENDENCY, key, origin)
                elif (fate := fate_of(key)) is not None:
                    self._tell(fate, key, origin)
                else:
                    message = "No such directive is known here."
                    remedy = "Look it up in systemd.directives(7), and do what it did in another way if it is needed."
                    self._findings.left("directive-unknown", key, message, remedy, origin)
        if self._unit.last("User") is None and self._unit.last("DynamicUser") is None:
            account(self._findings, None, Origin(self._unit.files[0], 0, ""), subject="User")
        return self._walls.walls

    def _tell(self, fate: tuple[str, str, str, str], key: str, origin: Origin) -> None:
        state, code, message, remedy = fate
        tell = {"left": self._findings.left, "changed": self._findings.changed}[state]
        tell(code, key, message, remedy, origin)

    def _user(self, key: str, value: str, origin: Origin) -> None:
        account(self._findings, self._specifiers.expanded(value, key, origin), origin, subject=key)

    def _group(self, key: str, value: str, origin: Origin) -> None:
        message = f"It ran in the group {value}; the application's account has a group of its own."
        self._findings.changed("user", key, message, "Give it what that group may read and the service needs.", origin)

    def _dynamic_user(self, key: str, _value: str, origin: Origin) -> None:
        message = "The application's account is a lasting one, so that its state stays its own."
        self._findings.changed("user", key, message, "", origin)

    def _kill_signal(self, key: str, value: str, origin: Origin) -> None:
        stop_signal(self._findings, value, origin, subject=key)

    def _type(self, key: str, value: str, origin: Origin) -> None:
        if value in ("simple", "exec", "idle"):
            self._findings.carried(key, "A capsule's process is the service itself.", origin)
        elif value in ("notify", "notify-reload"):
            message = "The service told when it was ready."
            remedy = "Give it a health check in the manifest; it may go on to notify."
            self._findings.changed("notify", key, message, remedy, origin)
        elif value == "forking":
            message = "It went to the background by itself; a capsule's process stays in the foreground."
            remedy = "Start the program so that it does not fork (its --foreground or --no-daemon)."
            self._findings.left("forking", key, message, remedy, origin)
        elif value == "oneshot":
            self._findings.left("oneshot", key, "A capsule's process is one that stays.", "", origin)
        else:
            self._findings.left("service-type", key, f"A capsule's service is not of the type {value}.", "", origin)

    def _remain_after_exit(self, key: str, _value: str, origin: Origin) -> None:
        self._findings.left("oneshot", key, "A capsule's service is what runs, not what has run.", "", origin)

    def _restart(self, key: str, value: str, origin: Origin) -> None:
        message = "The template restarts a process that fails."
        if value == "always":
            message += " One that ends by itself with status 0 is not started again."
        self._findings.changed("restart", key, message, "", origin)

    def _order(self, key: str, value: str, origin: Origin) -> None:
        others = [
            name for name in value.split() if not name.startswith(("network", "syslog", "basic", "nss-", "time-"))
        ]
        others = [name for name in others if name.endswith((".service", ".mount", ".socket", ".path"))]
        if others:
            message = f"It started after {', '.join(others)}. A capsule's unit depends on no other unit of the host."
            remedy = "Let the application wait until what it needs answers."
            self._findings.left("dependency", key, message, remedy, origin)
        else:
            self._findings.changed("ordering", key, "The template starts after the network is up.", "", origin)

    def _before_start(self, key: str, value: str, origin: Origin) -> None:
        if _DATABASE.search(value):
            message = "Nothing runs before a capsule's process; this changes data that outlives the release."
            remedy = (
                "Run it as a step of the deployment, with the release's venv/bin/python, before `capsdeploy activate`."
            )
        else:
            message = "Nothing runs before a capsule's process, and nothing that changes the host."
            remedy = (
                "Its state directory is made for it. Do what else is needed once on the host, or in the application."
            )
        self._findings.left("exec-hook", key, message, remedy, origin)

    def _writable(self, key: str, value: str, origin: Origin) -> None:
        for path in value.split():
            path = path.lstrip("-+")
            inner = self._places.relative(path) if path.startswith("/") else None
            if inner:
                self._places.writable.add(inner)
            new = self._places.rewrite_path(path, written=True) if path.startswith("/") else path
            message = (
                f"It was allowed to write to {path}; a capsule's service writes to its state directory alone: {new}."
            )
            self._findings.changed(
                "writable-path", key, message, "Move what is there, once, while it is stopped.", origin
            )

    def _directory(self, key: str, value: str, origin: Origin) -> None:
        if key == "RuntimeDirectory":
            message = f"/run/{value} was made for it; a capsule's service has its state directory and a private /tmp."
            self._findings.left("runtime-directory", key, message, "Put sockets and the like there.", origin)
            return
        for name in value.split():
            path = f"{_DIRECTORIES[key]}/{name.partition(':')[0]}"
            new = self._places.rewrite_path(path, written=True)
            message = f"systemd made {path} for it; it is {new} now."
            self._findings.changed(
                "writable-path", key, message, "Move what is there, once, while it is stopped.", origin
            )


_HANDLERS: dict[str, Callable[[Teller, str, str, Origin], None]] = {
    "User": Teller._user,
    "Group": Teller._group,
    "DynamicUser": Teller._dynamic_user,
    "KillSignal": Teller._kill_signal,
    "Type": Teller._type,
    "RemainAfterExit": Teller._remain_after_exit,
    "Restart": Teller._restart,
    "ExecStartPre": Teller._before_start,
    **dict.fromkeys(("After", "Wants"), Teller._order),
    **dict.fromkeys(("ReadWritePaths", "ReadWriteDirectories"), Teller._writable),
    **dict.fromkeys((*_DIRECTORIES, "RuntimeDirectory"), Teller._directory),
}
