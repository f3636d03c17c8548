"""Follows a script step by step, and notes the programs that it runs. Nothing is executed."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from capsule_deploy.migrate.model import Origin, Variable
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.shell.builtins import NAMES, Builtins, Ended
from capsule_deploy.migrate.shell.expansion import assignment, expand, one
from capsule_deploy.migrate.shell.scene import Scene, Started, Trace
from capsule_deploy.migrate.shell.syntax import If, Simple, Step, parse
from capsule_deploy.migrate.shell.tokens import NotUnderstoodError, Redirection, Word

_SILENT = frozenset([
    "echo", "printf", "sleep", "true", "false", ":", "date", "shopt", "wait", "trap", "read", "clear", "hash", "type",
    "which", "local", "return",
])  # fmt: skip
_ON_THE_HOST = frozenset([
    "mkdir", "chown", "chmod", "chgrp", "rm", "rmdir", "ln", "cp", "mv", "touch", "install", "mount", "umount",
    "modprobe", "sysctl", "iptables", "nft", "ip", "ifconfig", "useradd", "groupadd", "usermod", "systemctl",
    "service", "kill", "pkill", "killall", "fuser", "docker", "podman", "apt", "apt-get", "yum", "dnf", "apk",
    "swapon", "setcap", "setfacl", "update-alternatives", "ldconfig", "logrotate", "find", "tar", "rsync", "git",
    "mkfifo", "truncate",
])  # fmt: skip
_ONCE = re.compile(
    r"(?:^|/)(?:pip3?|alembic|createdb|psql|mysql|redis-cli|curl|wget|pg_isready|nc|logger|tee|cat|grep|sed|awk)(?:\s|$)"
    r"|manage\.py\s+(?!runserver|runworker|qcluster)|-m\s+(?:pip|compileall|alembic)\b|\bflask\b.*\sdb\s|\bmigrate\b"
)


class Follower:
    """Follows one script, and all that it reads in."""

    def __init__(self, places: Places) -> None:
        self.trace = Trace()
        self._builtins = Builtins(places, self.trace, self._steps)

    def follow(self, text: str, scene: Scene, first: int = 1) -> None:
        """Goes through the script.

        Raises:
            NotUnderstoodError: nobody can tell what it does without running it.
        """
        self._steps(parse(text, first), scene)

    def _steps(self, steps: Sequence[Step], scene: Scene) -> bool | None:
        status: bool | None = True
        for step in steps:
            for operator, pipeline in step.pipelines:
                if (operator == "&&" and status is False) or (operator == "||" and status is not False):
                    continue
                status = self._pipeline(pipeline, step.background, scene)
        return status

    def _pipeline(self, commands: Sequence[Simple | If], background: bool, scene: Scene) -> bool | None:
        head = commands[0]
        if len(commands) > 1:
            if not all(isinstance(command, Simple) for command in commands):
                raise NotUnderstoodError(head.line, "a condition in a pipeline")
            rest = scene.origin(commands[1].line)
            message = "What the process prints goes to the journal, not into another program."
            self.trace.left("pipe", scene.file, message, "", rest)
        if isinstance(head, If):
            if background:
                raise NotUnderstoodError(head.line, "a condition in the background")
            return self._if(head, scene)
        return self._simple(head, background, scene)

    def _if(self, command: If, scene: Scene) -> bool | None:
        for condition, body in command.branches:
            holds = True if condition is None else self._steps(condition, scene)
            if holds is None:
                raise NotUnderstoodError(command.line, "a condition that only a run can tell")
            if holds:
                return self._steps(body, scene)
        return True

    def _simple(self, command: Simple, background: bool, scene: Scene) -> bool | None:
        words = list(command.words)
        origin = scene.origin(command.line)
        assigned: dict[str, Variable | None] = {}
        while words and (found := assignment(words[0])):
            name, value = found
            text = one(value, scene)
            assigned[name] = None if text is None else Variable(text, origin)
            words.pop(0)
        if not words:
            for name, variable in assigned.items():
                self._builtins.assign(name, variable, scene, export=scene.export_all or name in scene.exported)
            return True
        name = words[0].plain or ""
        if name in NAMES:
            return self._builtins.run(name, words[1:], scene, origin)
        if name in _SILENT:
            return True
        argv = self._argv(words, scene, command.line, origin)
        if not argv:
            return True
        exec_ = argv[0] == "exec"
        argv = argv[1:] if exec_ else argv
        if exec_ and not argv:
            self._outputs(command.redirections, scene, origin)
            return True
        self._program(argv, assigned, exec_ or background, command, scene, origin)
        if exec_:
            raise Ended
        return True

    def _program(
        self,
        argv: tuple[str, ...],
        assigned: dict[str, Variable | None],
        stays: bool,
        command: Simple,
        scene: Scene,
        origin: Origin,
    ) -> None:
        program = posixpath.basename(argv[0])
        if program in _ON_THE_HOST and not stays:
            remedy = "Do it once on the host, or in the application; its state directory is made for it."
            self.trace.left(
                "host-change", program, "The script changes the host before it starts the service.", remedy, origin
            )
            return
        if not stays and _ONCE.search(" ".join(argv)[:4096]):
            remedy = "Run it as a step of the deployment."
            self.trace.left("script-step", program, "The script runs this before the service.", remedy, origin)
            return
        unknown = [name for name, variable in assigned.items() if variable is None]
        if unknown:
            raise NotUnderstoodError(command.line, f"{unknown[0]} gets a value that only a run can tell")
        self._outputs(command.redirections, scene, origin)
        more = {name: variable for name, variable in assigned.items() if variable is not None}
        self.trace.started.append(Started(argv, scene.exported | more, scene.cwd, scene.venv, stays, origin))

    def _outputs(self, redirections: Sequence[Redirection], scene: Scene, origin: Origin) -> None:
        for redirection in redirections:
            target = one(redirection.target, scene) or ""
            if redirection.operator in (">&", "<&") or target.startswith("/dev/") or target in ("1", "2"):
                continue
            if redirection.operator.startswith("<"):
                self.trace.left(
                    "input", target, "The process's standard input is empty.", "Let it open the file.", origin
                )
                continue
            message = f"Output went to {target}; it goes to the journal now: `capsdeploy logs`."
            self.trace.changed("log-output", target, message, origin)

    def _argv(self, words: Sequence[Word], scene: Scene, line: int, origin: Origin) -> tuple[str, ...]:
        def unknown(name: str) -> None:
            message = f"{name} is not set anywhere; it stands for nothing here."
            self.trace.left("variable-unknown", name, message, "Write the value into the manifest's args.", origin)

        argv: list[str] = []
        for word in words:
            expanded = expand(word, scene, unknown)
            if expanded is None:
                raise NotUnderstoodError(line, "a word that only a run can tell")
            argv += expanded
        return tuple(argv)
