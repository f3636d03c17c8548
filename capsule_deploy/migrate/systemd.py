"""Reads ``.service`` units with their drop-ins and environment files, as systemd does (systemd.unit(5))."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from capsule_builder.errors import CapsuleError
from capsule_builder.paths import shown
from capsule_deploy.migrate.accounts import account, stop_signal
from capsule_deploy.migrate.directives import DEPENDENCY, fate_of
from capsule_deploy.migrate.model import Deployment, Findings, Origin, Process, Variable
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.reading import names_in, read_text
from capsule_deploy.migrate.unit_syntax import (
    SEPARATOR,
    QuotingError,
    expand_specifiers,
    expand_variables,
    iterate_words,
    parse_environment_file,
    parse_unit,
    split_words,
)

DIRECTORIES = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")
"""Where units lie, the strongest first."""

_LISTS = frozenset(
    [
        "ExecStart",
        "ExecStartPre",
        "ExecStartPost",
        "ExecStop",
        "ExecStopPost",
        "ExecReload",
        "ExecCondition",
        "Environment",
        "EnvironmentFile",
        "PassEnvironment",
        "UnsetEnvironment",
        "ReadWritePaths",
        "ReadWriteDirectories",
        "ReadOnlyPaths",
        "InaccessiblePaths",
        "StateDirectory",
        "LogsDirectory",
        "CacheDirectory",
        "RuntimeDirectory",
        "ConfigurationDirectory",
        "SupplementaryGroups",
        "SystemCallFilter",
        "LoadCredential",
        "SetCredential",
        "BindPaths",
        "BindReadOnlyPaths",
        "DeviceAllow",
        "After",
        "Before",
        "Wants",
        "Requires",
        "WantedBy",
        "Alias",
        "CapabilityBoundingSet",
        "AmbientCapabilities",
        "RestrictAddressFamilies",
        "Documentation",
        "Also",
        "RequiredBy",
        "Requisite",
        "BindsTo",
        "PartOf",
        "Conflicts",
        "OnFailure",
        "Sockets",
    ]
)
_LIMITS = {
    "CPUQuota": "cpu_quota", "MemoryMax": "memory_max", "MemoryLimit": "memory_max", "MemoryHigh": "memory_high",
    "TasksMax": "tasks_max", "IOWeight": "io_weight",
}  # fmt: skip
_DIRECTORIES = {"StateDirectory": "/var/lib", "LogsDirectory": "/var/log", "CacheDirectory": "/var/cache"}
_DATABASE = re.compile(r"\b(?:migrate|upgrade|collectstatic|createcachetable|syncdb)\b")


@dataclass
class _Unit:
    """A unit with its drop-ins: the values that count, by directive."""

    name: str
    values: dict[str, list[tuple[str, Origin]]] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self.name.removesuffix(".service")

    def all(self, key: str) -> list[tuple[str, Origin]]:
        """The values of a list, in order."""
        return self.values.get(key, [])

    def last(self, key: str) -> tuple[str, Origin] | None:
        """The value of a directive that has one."""
        return self.values[key][-1] if self.values.get(key) else None


def read_units(paths: Sequence[str], places: Places, findings: Findings) -> Deployment:
    """The service that the units in the files ``paths`` are.

    Raises:
        CapsuleError: a file cannot be read, or is no unit.
    """
    texts = {path: read_text(path, places.shown(path)) for path in paths}
    places.guess_home("\n".join(texts.values()))
    deployment = Deployment("systemd", _stem(os.path.basename(paths[0])))
    for path in paths:
        reader = _Reader(path, texts[path], places, findings)
        deployment.processes += reader.processes()
        deployment.sources += reader.files
    names = [os.path.basename(path) for path in paths]
    deployment.stop = ["systemctl", "stop", *(name.replace("@.", "@*.") for name in names)]
    deployment.disable = ["systemctl", "disable", *names]
    return deployment


def _stem(name: str) -> str:
    return name.removesuffix(".service").partition("@")[0]


class _Reader:
    def __init__(self, path: str, text: str, places: Places, findings: Findings) -> None:
        self._places = places
        self._findings = findings
        self._path = path
        self._unit = _Unit(os.path.basename(path))
        self.files: list[str] = []
        self._merge(path, text)
        for drop_in in self._drop_ins():
            self._merge(drop_in, read_text(drop_in, places.shown(drop_in)))

    # The file and its drop-ins

    def _merge(self, path: str, text: str) -> None:
        name = self._places.shown(path)
        self.files.append(name)
        assignments, complaints = parse_unit(text)
        for complaint in complaints:
            origin = Origin(name, complaint.line, complaint.text)
            message = f"systemd takes no notice of the line: {complaint.message}."
            self._findings.left("line-invalid", "", message, "", origin)
        for one in assignments:
            origin = Origin(name, one.line, one.text)
            if one.section.startswith("X-"):
                continue
            if one.section not in ("Unit", "Service", "Install"):
                self._findings.left("section", one.key, f"A service has no section [{one.section}].", "", origin)
                continue
            known = self._unit.values.setdefault(one.key, [])
            if one.value and one.key in _LISTS:
                known.append((one.value, origin))
                continue
            for _, before in known:
                message = f"{name}, line {one.line}, takes its place."
                self._findings.changed("overridden", one.key, message, "", before)
            known[:] = [(one.value, origin)] if one.value else []
            if not one.value:
                self._findings.changed("reset", one.key, "An empty value: what was set before is gone.", "", origin)

    def _drop_ins(self) -> list[str]:
        """The drop-ins that count, by their names; of two with one name, the one from the stronger directory."""
        beside = os.path.dirname(os.path.abspath(self._path))
        system = [os.path.join(self._places.root, place.lstrip("/")) for place in DIRECTORIES]
        places = [*system, beside] if beside not in system else system
        found: dict[str, str] = {}
        for name in self._drop_in_names():
            for place in places:
                directory = os.path.join(place, f"{name}.d")
                for entry in names_in(directory):
                    if entry.endswith(".conf"):
                        found.setdefault(entry, os.path.join(directory, entry))
        return [found[name] for name in sorted(found) if os.path.realpath(found[name]) != os.devnull]

    def _drop_in_names(self) -> list[str]:
        """The unit's name, its template's, and what they are called up to each dash; the most particular first."""
        stem, at, instance = self._unit.stem.partition("@")
        names = [self._unit.name]
        if at and instance:
            names.append(f"{stem}@.service")
        while "-" in stem.rstrip("-"):
            stem = stem.rstrip("-").rpartition("-")[0] + "-"
            names.append(f"{stem}.service")
        return [*names, "service"]

    # What it says

    def processes(self) -> list[Process]:
        """The processes of the unit; what became of each line is told on the way."""
        unit, findings = self._unit, self._findings
        if not unit.all("ExecStart"):
            origin = Origin(self.files[0], 0, "")
            findings.left("no-command", unit.name, "The unit has no ExecStart; it starts nothing.", "", origin)
        self._tell_all()
        env = self._environment()
        cwd = self._working_directory()
        limits = self._limits()
        commands = self._commands(env)
        oneshot = (unit.last("Type") or ("simple",))[0] == "oneshot"
        found: list[Process] = []
        for number, (argv, origin) in enumerate(commands, 1):
            if not argv:
                continue
            name = unit.stem if len(commands) == 1 else f"{unit.stem}-{number}"
            if oneshot:
                message = "It was run once, to its end; a capsule's process is one that stays."
                remedy = "Keep it only if what it starts stays in the foreground."
                findings.left("oneshot", name, message, remedy, origin)
            found.append(Process(name.replace("@", "-"), argv, origin, cwd, dict(env), dict(limits)))
        self._neighbours()
        return found

    def _tell_all(self) -> None:
        own = {
            "ExecStart", "Environment", "EnvironmentFile", "PassEnvironment", "UnsetEnvironment", "WorkingDirectory",
            *_LIMITS,
        }  # fmt: skip
        for key, values in self._unit.values.items():
            handler = getattr(self, f"_tell_{key.lower()}", None)
            for value, origin in values:
                if key in own:
                    continue
                if handler is not None:
                    handler(key, value, origin)
                elif key in _DIRECTORIES or key == "RuntimeDirectory":
                    self._tell_directory(key, value, origin)
                elif key in ("Requires", "BindsTo", "Requisite", "PartOf", "Upholds", "RequiresMountsFor"):
                    self._tell(DEPENDENCY, key, origin)
                elif (fate := fate_of(key)) is not None:
                    self._tell(fate, key, origin)
                else:
                    message = "No such directive is known here."
                    remedy = "Look it up in systemd.directives(7), and do what it did in another way if it is needed."
                    self._findings.left("directive-unknown", key, message, remedy, origin)
        if self._unit.last("User") is None and self._unit.last("DynamicUser") is None:
            account(self._findings, None, Origin(self.files[0], 0, ""), subject="User")

    def _tell(self, fate: tuple[str, str, str, str], key: str, origin: Origin) -> None:
        state, code, message, remedy = fate
        tell = {"left": self._findings.left, "changed": self._findings.changed}[state]
        tell(code, key, message, remedy, origin)

    def _tell_user(self, key: str, value: str, origin: Origin) -> None:
        account(self._findings, self._expanded(value, key, origin), origin, subject=key)

    def _tell_group(self, key: str, value: str, origin: Origin) -> None:
        message = f"It ran in the group {value}; the application's account has a group of its own."
        self._findings.changed("user", key, message, "Give it what that group may read and the service needs.", origin)

    def _tell_dynamicuser(self, key: str, _value: str, origin: Origin) -> None:
        message = "The application's account is a lasting one, so that its state stays its own."
        self._findings.changed("user", key, message, "", origin)

    def _tell_killsignal(self, key: str, value: str, origin: Origin) -> None:
        stop_signal(self._findings, value, origin, subject=key)

    def _tell_type(self, key: str, value: str, origin: Origin) -> None:
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

    def _tell_remainafterexit(self, key: str, _value: str, origin: Origin) -> None:
        self._findings.left("oneshot", key, "A capsule's service is what runs, not what has run.", "", origin)

    def _tell_restart(self, key: str, value: str, origin: Origin) -> None:
        message = "The template restarts a process that fails."
        if value == "always":
            message += " One that ends by itself with status 0 is not started again."
        self._findings.changed("restart", key, message, "", origin)

    def _tell_after(self, key: str, value: str, origin: Origin) -> None:
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

    _tell_wants = _tell_after

    def _tell_execstartpre(self, key: str, value: str, origin: Origin) -> None:
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

    def _tell_readwritepaths(self, key: str, value: str, origin: Origin) -> None:
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

    _tell_readwritedirectories = _tell_readwritepaths

    def _tell_directory(self, key: str, value: str, origin: Origin) -> None:
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

    # The environment, and what is run

    def _environment(self) -> dict[str, Variable]:
        env: dict[str, Variable] = {}
        for value, origin in self._unit.all("Environment"):
            for word in self._words(value, "Environment", origin):
                name, equals, text = word.partition("=")
                if equals and re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
                    env[name] = Variable(text, origin)
                else:
                    self._findings.left(
                        "line-invalid", "Environment", "Not a variable, systemd ignores it.", "", origin
                    )
        for value, origin in self._unit.all("EnvironmentFile"):
            self._environment_file(value, origin, env)
        for value, origin in self._unit.all("PassEnvironment"):
            message = f"The manager's own {value} was passed on; nobody can tell its value here."
            self._findings.left("environment-passed", "PassEnvironment", message, "Write it into env.", origin)
        for value, origin in self._unit.all("UnsetEnvironment"):
            for name in value.split():
                env.pop(name.partition("=")[0], None)
            self._findings.carried("UnsetEnvironment", "These variables are not in the manifest.", origin)
        return env

    def _environment_file(self, value: str, origin: Origin, env: dict[str, Variable]) -> None:
        optional = value.startswith("-")
        path = self._expanded(value.removeprefix("-"), "EnvironmentFile", origin)
        if not path.startswith("/") or re.search(r"[*?\[]", path):
            message = "The path is a pattern, or not absolute." if path.startswith("/") else "The path is not absolute."
            self._findings.left("environment-file", "EnvironmentFile", message, "Write its variables into env.", origin)
            return
        here = self._places.here(path)
        name = self._places.shown(here)
        try:
            text = read_text(here, name)
        except CapsuleError as error:
            problem = error.problems[0]
            if not (optional and problem.code == "file-missing"):
                remedy = "Write its variables into env of the manifest."
                self._findings.left("environment-file", "EnvironmentFile", f"{problem.message}.", remedy, origin)
            else:
                self._findings.carried("EnvironmentFile", "It was allowed to be missing, and is.", origin)
            return
        self.files.append(name)
        lines = text.replace("\r", "\n").split("\n")
        pairs, complaints = parse_environment_file(text)
        for complaint in complaints:
            message = f"systemd takes no notice of the line: {complaint.message}."
            self._findings.left("line-invalid", name, message, "", Origin(name, complaint.line, complaint.text))
        for key, one, number in pairs:
            at = Origin(name, number, lines[number - 1] if number <= len(lines) else "")
            env[key] = Variable(one, at)
        message = f"Its variables are in the manifest's env, where they may be: {shown(path)}."
        self._findings.changed("environment-file", "EnvironmentFile", message, "", origin)

    def _working_directory(self) -> str | None:
        found = self._unit.last("WorkingDirectory")
        if found is None:
            return "/"
        value, origin = found
        path = self._expanded(value.removeprefix("-"), "WorkingDirectory", origin)
        if path == "~" or not path.startswith("/"):
            message = "The working directory was the account's home."
            self._findings.left(
                "working-directory", "WorkingDirectory", message, "Name files by the capsule's root.", origin
            )
            return None
        cwd = posixpath.normpath(path)
        if self._places.relative(cwd) == "":
            message = "A capsule's processes run in the root of the release, which is read-only."
            self._findings.carried("WorkingDirectory", message, origin)
        elif self._places.relative(cwd) is None:
            message = f"Processes run in the root of the release, not in {cwd}."
            remedy = "Name files by the capsule's root, or by an environment variable."
            self._findings.left("working-directory", "WorkingDirectory", message, remedy, origin)
        return cwd

    def _limits(self) -> dict[str, Variable]:
        limits: dict[str, Variable] = {}
        for directive, key in _LIMITS.items():
            found = self._unit.last(directive)
            if found is None:
                continue
            if key in limits:
                self._findings.changed("overridden", directive, "MemoryMax takes its place.", "", found[1])
            else:
                limits[key] = Variable(*found)
        return limits

    def _commands(self, env: dict[str, Variable]) -> list[tuple[tuple[str, ...], Origin]]:
        values = {name: variable.value for name, variable in env.items()}
        found: list[tuple[tuple[str, ...], Origin]] = []
        for value, origin in self._unit.all("ExecStart"):
            try:
                words = split_words(value, separators=True)
            except QuotingError as error:
                self._findings.left("line-invalid", "ExecStart", f"systemd refuses it: {error}.", "", origin)
                continue
            commands: list[list[str]] = [[]]
            for word in words:
                if word == SEPARATOR:
                    commands.append([])
                else:
                    commands[-1].append(word)
            found += [(self._command(command, values, origin), origin) for command in commands if command]
        return found

    def _command(self, words: list[str], env: dict[str, str], origin: Origin) -> tuple[str, ...]:
        prefix = re.match(r"[-@:+!]*", words[0])
        marks = prefix[0] if prefix else ""
        words = [words[0][len(marks) :], *words[1:]]
        if "-" in marks:
            message = 'The "-" let it fail unnoticed; a capsule\'s process that fails is restarted.'
            self._findings.left("exec-prefix", "ExecStart", message, "", origin)
        if "+" in marks or "!" in marks:
            message = f"The \"{marks}\" gave it all rights; a capsule's service has none but its account's."
            self._findings.left("root-user", "ExecStart", message, "Let the host do what needs rights.", origin)
        if "@" in marks and len(words) > 1:
            message = f"Its name was set to {words[1]}; it is that of the program."
            self._findings.left("exec-prefix", "ExecStart", message, "", origin)
            del words[1]
        words = [self._expanded(word, "ExecStart", origin) for word in words]
        if ":" in marks:
            return tuple(words)
        argv, missing = expand_variables(words[1:], env)
        for name in dict.fromkeys(missing):
            message = f"{name} is not set anywhere; it stands for nothing here."
            self._findings.left("variable-unknown", name, message, "Write the value into the manifest's args.", origin)
        return (words[0], *argv)

    def _words(self, value: str, key: str, origin: Origin) -> list[str]:
        found: list[str] = []
        try:
            for word in iterate_words(value, strict=True):
                found.append(self._expanded(word, key, origin))
        except QuotingError as error:
            self._findings.left("line-invalid", key, f"systemd takes no notice of the rest: {error}.", "", origin)
        return found

    def _expanded(self, text: str, key: str, origin: Origin) -> str:
        expanded, missing = expand_specifiers(text, self._specifier)
        for name in dict.fromkeys(missing):
            message = f"{name} stands for something that only the old host knows."
            self._findings.left("specifier", key, message, "Write what it stood for into the manifest.", origin)
        return expanded

    def _specifier(self, letter: str) -> str | None:
        stem, at, instance = self._unit.stem.partition("@")
        last = stem.rpartition("-")[2]
        file = self._places.there(os.path.abspath(self._path))
        own = {
            "n": self._unit.name, "N": self._unit.stem, "p": stem, "P": _unescaped(stem),
            "j": last, "J": _unescaped(last),
            "t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc", "T": "/tmp", "V": "/var/tmp",  # noqa: S108
            "h": "/root", "u": "root", "U": "0", "g": "root", "G": "0", "s": "/bin/sh",
            "y": file, "Y": posixpath.dirname(file),
        }  # fmt: skip
        if letter in "iI" and (instance or not at):
            return instance if letter == "i" else _unescaped(instance)
        if letter == "f" and (instance or not at):
            return f"/{_unescaped(instance or stem)}"
        return own.get(letter)

    def _neighbours(self) -> None:
        directory = os.path.dirname(os.path.abspath(self._path))
        told = {
            "socket": ("socket-activation", "systemd listened for it and handed the socket over; nobody does now.",
                       "Let the application bind its own port, above 1023."),
            "timer": ("timer", "A timer started it; a capsule's process is one that stays.",
                      "Keep a timer on the host, or let the application keep the time."),
            "path": ("path-unit", "A change of a file started it.", "Let the application watch the file."),
        }  # fmt: skip
        for suffix, (code, message, remedy) in told.items():
            beside = os.path.join(directory, f"{self._unit.stem}.{suffix}")
            if os.path.isfile(beside):
                name = self._places.shown(beside)
                self._findings.left(code, f"{self._unit.stem}.{suffix}", message, remedy, Origin(name, 0, ""))


def _unescaped(text: str) -> str:
    r"""What systemd's escaping of a name stands for: ``-`` is ``/``, ``\x2d`` is ``-``."""
    text = text.replace("-", "/")
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), text)
