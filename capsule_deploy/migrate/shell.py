"""Follows a script that starts a service, and gives the processes that it leaves running. Nothing is executed."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from capsule_deploy.migrate.model import Finding, Findings, Origin, Process, Variable
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.reading import read_text
from capsule_deploy.migrate.shell_syntax import (
    If,
    NotUnderstoodError,
    Part,
    Redirection,
    Simple,
    Step,
    Word,
    parse,
)

_MAX_NESTED = 10
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")
_SILENT = frozenset(
    [
        "echo",
        "printf",
        "sleep",
        "true",
        "false",
        ":",
        "date",
        "shopt",
        "wait",
        "trap",
        "read",
        "clear",
        "hash",
        "type",
        "which",
        "local",
        "return",
    ]
)
_ON_THE_HOST = frozenset(
    [
        "mkdir",
        "chown",
        "chmod",
        "chgrp",
        "rm",
        "rmdir",
        "ln",
        "cp",
        "mv",
        "touch",
        "install",
        "mount",
        "umount",
        "modprobe",
        "sysctl",
        "iptables",
        "nft",
        "ip",
        "ifconfig",
        "useradd",
        "groupadd",
        "usermod",
        "systemctl",
        "service",
        "kill",
        "pkill",
        "killall",
        "fuser",
        "docker",
        "podman",
        "apt",
        "apt-get",
        "yum",
        "dnf",
        "apk",
        "swapon",
        "setcap",
        "setfacl",
        "update-alternatives",
        "ldconfig",
        "logrotate",
        "find",
        "tar",
        "rsync",
        "git",
        "mkfifo",
        "truncate",
    ]
)
_ONCE = re.compile(
    r"(?:^|/)(?:pip3?|alembic|createdb|psql|mysql|redis-cli|curl|wget|pg_isready|nc|logger|tee|cat|grep|sed|awk)(?:\s|$)"
    r"|manage\.py\s+(?!runserver|runworker|qcluster)|-m\s+(?:pip|compileall|alembic)\b|\bflask\b.*\sdb\s|\bmigrate\b"
)


class _Ended(Exception):
    """``exec`` or ``exit``: nothing comes after."""


@dataclass
class _Started:
    """A program that the script runs."""

    argv: tuple[str, ...]
    env: dict[str, Variable]
    cwd: str | None
    venv: str | None
    stays: bool
    """Whether it goes on in the background, or takes the script's place."""
    origin: Origin


@dataclass
class _Scene:
    """What a script has changed so far."""

    file: str
    lines: list[str]
    arguments: tuple[str, ...]
    script: str | None
    """The script's path on the old host."""
    cwd: str | None
    exported: dict[str, Variable]
    own: dict[str, Variable | None] = field(default_factory=dict)
    """Variables that are not exported; None is a value that nobody knows before the script runs."""
    venv: str | None = None
    export_all: bool = False
    reading: tuple[str, ...] = ()


class Follower:
    """Follows one script, and all that it reads in."""

    def __init__(self, places: Places, file: str) -> None:
        self._places = places
        self.file = file
        self.findings: list[Finding] = []
        self.started: list[_Started] = []
        self.read: dict[str, None] = {}
        """The scripts that were read in, as the report calls them."""

    def follow(self, text: str, scene: _Scene, first: int = 1) -> None:
        """Goes through the script.

        Raises:
            NotUnderstoodError: nobody can tell what it does without running it.
        """
        self._steps(parse(text, first), scene)

    # Steps

    def _steps(self, steps: Sequence[Step], scene: _Scene) -> bool | None:
        status: bool | None = True
        for step in steps:
            for operator, pipeline in step.pipelines:
                if (operator == "&&" and status is False) or (operator == "||" and status is not False):
                    continue
                status = self._pipeline(pipeline, step.background, scene)
        return status

    def _pipeline(self, commands: Sequence[Simple | If], background: bool, scene: _Scene) -> bool | None:
        head = commands[0]
        if len(commands) > 1:
            if not all(isinstance(command, Simple) for command in commands):
                raise NotUnderstoodError(head.line, "a condition in a pipeline")
            rest = self._origin(scene, commands[1].line)
            message = "What the process prints goes to the journal, not into another program."
            self._left("pipe", scene.file, message, "", rest)
        if isinstance(head, If):
            if background:
                raise NotUnderstoodError(head.line, "a condition in the background")
            return self._if(head, scene)
        return self._simple(head, background, scene)

    def _if(self, command: If, scene: _Scene) -> bool | None:
        for condition, body in command.branches:
            holds = True if condition is None else self._steps(condition, scene)
            if holds is None:
                raise NotUnderstoodError(command.line, "a condition that only a run can tell")
            if holds:
                return self._steps(body, scene)
        return True

    def _simple(self, command: Simple, background: bool, scene: _Scene) -> bool | None:
        words = list(command.words)
        origin = self._origin(scene, command.line)
        assigned: dict[str, Variable | None] = {}
        while words and (found := _assignment(words[0])):
            name, value = found
            text = self._one(value, scene)
            assigned[name] = None if text is None else Variable(text, origin)
            words.pop(0)
        if not words:
            for name, variable in assigned.items():
                self._set(name, variable, scene, export=scene.export_all or name in scene.exported)
            return True
        name = words[0].plain or ""
        handler = getattr(self, f"_do_{_BUILTINS.get(name, '')}", None)
        if handler is not None:
            status: bool | None = handler(words[1:], scene, origin)
            return status
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
            raise _Ended
        return True

    def _program(
        self,
        argv: tuple[str, ...],
        assigned: dict[str, Variable | None],
        stays: bool,
        command: Simple,
        scene: _Scene,
        origin: Origin,
    ) -> None:
        program = posixpath.basename(argv[0])
        if program in _ON_THE_HOST and not stays:
            remedy = "Do it once on the host, or in the application; its state directory is made for it."
            self._left(
                "host-change", program, "The script changes the host before it starts the service.", remedy, origin
            )
            return
        if not stays and _ONCE.search(" ".join(argv)[:4096]):
            remedy = "Run it as a step of the deployment."
            self._left("script-step", program, "The script runs this before the service.", remedy, origin)
            return
        unknown = [name for name, variable in assigned.items() if variable is None]
        if unknown:
            raise NotUnderstoodError(command.line, f"{unknown[0]} gets a value that only a run can tell")
        self._outputs(command.redirections, scene, origin)
        more = {name: variable for name, variable in assigned.items() if variable is not None}
        self.started.append(_Started(argv, scene.exported | more, scene.cwd, scene.venv, stays, origin))

    def _outputs(self, redirections: Sequence[Redirection], scene: _Scene, origin: Origin) -> None:
        for one in redirections:
            target = self._one(one.target, scene) or ""
            if one.operator in (">&", "<&") or target.startswith("/dev/") or target in ("1", "2"):
                continue
            if one.operator.startswith("<"):
                self._left("input", target, "The process's standard input is empty.", "Let it open the file.", origin)
                continue
            message = f"Output went to {target}; it goes to the journal now: `capsdeploy logs`."
            self.findings.append(Finding("changed", "log-output", target, message, "", origin))

    # What the shell does itself

    def _do_cd(self, words: Sequence[Word], scene: _Scene, origin: Origin) -> bool | None:
        targets = [text for word in words if (text := self._one(word, scene)) is None or not text.startswith("-")]
        target = targets[0] if targets else "~"
        if target is None or target.startswith("~"):
            home = scene.exported.get("HOME")
            if target is None or home is None or target not in ("~",):
                raise NotUnderstoodError(origin.line, "a directory that only a run can tell")
            target = home.value
        if not target.startswith("/") and scene.cwd is None:
            raise NotUnderstoodError(origin.line, "a directory below one that nobody knows")
        scene.cwd = posixpath.normpath(posixpath.join(scene.cwd or "/", target))
        return True

    def _do_export(self, words: Sequence[Word], scene: _Scene, origin: Origin) -> bool | None:
        for word in words:
            found = _assignment(word)
            if found:
                text = self._one(found[1], scene)
                self._set(found[0], None if text is None else Variable(text, origin), scene, export=True)
            elif (plain := word.plain) and not plain.startswith("-") and plain in scene.own:
                self._set(plain, scene.own[plain], scene, export=True)
        return True

    def _do_unset(self, words: Sequence[Word], scene: _Scene, _origin: Origin) -> bool | None:
        for word in words:
            scene.own.pop(word.plain or "", None)
            scene.exported.pop(word.plain or "", None)
        return True

    def _do_set(self, words: Sequence[Word], scene: _Scene, origin: Origin) -> bool | None:
        for word in words:
            plain = word.plain or ""
            if plain == "--":
                raise NotUnderstoodError(origin.line, "set with new arguments")
            if re.fullmatch("[-+][a-z]*a[a-z]*", plain):
                scene.export_all = plain.startswith("-")
        if [word.plain for word in words[1:]] == ["allexport"]:
            scene.export_all = words[0].plain == "-o"
        return True

    def _do_source(self, words: Sequence[Word], scene: _Scene, origin: Origin) -> bool | None:
        target = self._one(words[0], scene) if words else None
        if target is None or (not target.startswith("/") and scene.cwd is None):
            raise NotUnderstoodError(origin.line, "a script that is read in, and only a run can tell which")
        path = posixpath.normpath(posixpath.join(scene.cwd or "/", target))
        if path.endswith("/bin/activate"):
            scene.venv = posixpath.dirname(posixpath.dirname(path))
            message = "Programs of the environment are called by their path; nothing is activated."
            self.findings.append(Finding("changed", "activate", target, message, "", origin))
            return True
        if path in scene.reading:
            raise NotUnderstoodError(origin.line, f"a script that reads itself in, by {target}")
        if len(scene.reading) >= _MAX_NESTED:
            raise NotUnderstoodError(origin.line, "scripts read in one by another, too many deep")
        here = self._places.here(path)
        if not self._places.is_file(here):
            self._left("source-missing", target, "The script reads in a file that is not there.", "", origin)
            return False
        name = self._places.shown(here)
        text = read_text(here, name)
        self.read.setdefault(name)
        inner = replace(scene, file=name, lines=text.split("\n"), reading=(*scene.reading, path))
        try:
            self._steps(parse(text), inner)
        except NotUnderstoodError as error:
            raise NotUnderstoodError(origin.line, f"{error.message} ({name}, line {error.line})") from None
        scene.cwd, scene.venv, scene.export_all = inner.cwd, inner.venv, inner.export_all
        return True

    def _do_test(self, words: Sequence[Word], scene: _Scene, _origin: Origin) -> bool | None:
        texts = [self._one(word, scene) for word in words]
        if texts and texts[-1] == "]":
            texts.pop()
        if None in texts:
            return None
        return self._test([text for text in texts if text is not None], scene)

    def _test(self, texts: list[str], scene: _Scene) -> bool | None:
        if texts[:1] == ["!"]:
            inner = self._test(texts[1:], scene)
            return None if inner is None else not inner
        if len(texts) == 2 and texts[0] in ("-z", "-n"):
            return (texts[1] == "") == (texts[0] == "-z")
        if len(texts) == 3 and texts[1] in ("=", "==", "!="):
            return (texts[0] == texts[2]) == (texts[1] != "!=")
        if len(texts) == 2 and texts[0] in ("-f", "-d", "-e", "-r", "-s", "-x"):
            if not texts[1].startswith("/") and scene.cwd is None:
                return None
            here = self._places.here(posixpath.normpath(posixpath.join(scene.cwd or "/", texts[1])))
            try:
                return os.path.isdir(here) if texts[0] == "-d" else os.path.exists(here)
            except ValueError:
                return None
        return None

    def _do_exit(self, _words: Sequence[Word], _scene: _Scene, _origin: Origin) -> bool | None:
        raise _Ended

    def _do_limit(self, _words: Sequence[Word], _scene: _Scene, origin: Origin) -> bool | None:
        message = "The manifest has no such limit."
        self._left("limit", "ulimit", message, "Bound the release by resources in the manifest.", origin)
        return True

    def _do_umask(self, _words: Sequence[Word], _scene: _Scene, origin: Origin) -> bool | None:
        message = "The template unit has its own file mode mask, 0077."
        self.findings.append(Finding("changed", "hardening", "umask", message, "", origin))
        return True

    # Words

    def _set(self, name: str, variable: Variable | None, scene: _Scene, *, export: bool) -> None:
        if not export:
            scene.own[name] = variable
            return
        scene.own.pop(name, None)
        if variable is None:
            scene.exported.pop(name, None)
            scene.own[name] = None
            message = f"{name} gets a value that only a run can tell."
            line = self._origin(scene, 0)
            self._left("substitution", name, message, "Write its value into env of the manifest.", line)
        else:
            scene.exported[name] = variable

    def _argv(self, words: Sequence[Word], scene: _Scene, line: int, origin: Origin) -> tuple[str, ...]:
        argv: list[str] = []
        for word in words:
            expanded = self._expand(word, scene, origin)
            if expanded is None:
                raise NotUnderstoodError(line, "a word that only a run can tell")
            argv += expanded
        return tuple(argv)

    def _one(self, word: Word, scene: _Scene) -> str | None:
        expanded = [self._part(part, scene) for part in word.parts]
        return None if None in expanded else "".join(text for text in expanded if text is not None)

    def _expand(self, word: Word, scene: _Scene, origin: Origin) -> list[str] | None:
        said = [part for part in word.parts if part.kind != "text" or part.text]
        if len(said) == 1 and said[0].kind == "variable" and said[0].text == "@":
            return list(scene.arguments)
        words: list[str] = []
        current: str | None = None
        for part in word.parts:
            text = self._part(part, scene)
            if text is None:
                return None
            if part.kind == "variable" and not text and _is_name(part.text) and not self._known(part.text, scene):
                message = f"{part.text} is not set anywhere; it stands for nothing here."
                self._left("variable-unknown", part.text, message, "Write the value into the manifest's args.", origin)
            if part.quoted or part.kind == "text":
                current = (current or "") + text
                continue
            pieces = text.split()
            if pieces and current is not None and not text[0].isspace():
                pieces[0] = current + pieces[0]
            elif current is not None and text:
                words.append(current)
            if pieces:
                words += pieces[:-1]
                current = pieces[-1]
                if text[-1].isspace():
                    words.append(current)
                    current = None
        return words if current is None else [*words, current]

    @staticmethod
    def _known(name: str, scene: _Scene) -> bool:
        return name in scene.own or name in scene.exported

    def _part(self, part: Part, scene: _Scene) -> str | None:
        if part.kind == "text":
            if part.text.startswith("~") and not part.quoted:
                return None
            return part.text
        if part.kind == "command":
            return self._output(part.text, scene)
        return self._variable(part.text, scene)

    def _variable(self, text: str, scene: _Scene) -> str | None:
        if text in ("0", "BASH_SOURCE[0]", "BASH_SOURCE"):
            return scene.script
        if text.isdigit():
            return scene.arguments[int(text) - 1] if int(text) <= len(scene.arguments) else ""
        if text in ("@", "*"):
            return " ".join(scene.arguments)
        if text == "PWD":
            return scene.cwd
        found = re.fullmatch(r"([A-Za-z_][A-Za-z0-9_]*|0)(?:(:?[-=+?]|%|%%)(.*))?", text, re.DOTALL)
        if not found:
            return None
        name, operator, rest = found.groups()
        if name == "0":
            value: str | None = scene.script
        elif name in scene.own:
            variable = scene.own[name]
            value = None if variable is None else variable.value
        else:
            value = scene.exported[name].value if name in scene.exported else ""
        if value is None or operator is None:
            return value
        if operator in ("%", "%%"):
            return posixpath.dirname(value) if rest == "/*" and operator == "%" else None
        has_value = value != "" or (":" not in operator and self._known(name, scene))
        if operator.endswith("+"):
            return self._default(rest, scene) if has_value else ""
        if has_value:
            return value
        return None if operator.endswith("?") else self._default(rest, scene)

    def _default(self, text: str, scene: _Scene) -> str | None:
        try:
            tokens = parse(f"x {text}" if text else "x")
        except NotUnderstoodError:
            return None
        command = tokens[0].pipelines[0][1][0]
        if len(tokens) != 1 or len(tokens[0].pipelines) != 1 or not isinstance(command, Simple):
            return None
        parts = [self._one(word, scene) for word in command.words[1:]]
        return None if None in parts else " ".join(part for part in parts if part is not None)

    def _output(self, text: str, scene: _Scene) -> str | None:
        """What a substitution comes to, when it only asks for a place."""
        if len(scene.reading) >= _MAX_NESTED:
            return None
        try:
            steps = parse(text)
        except NotUnderstoodError:
            return None
        inner = replace(scene, own=dict(scene.own), exported=dict(scene.exported), reading=(*scene.reading, "$("))
        output: str | None = ""
        for step in steps:
            for operator, pipeline in step.pipelines:
                command = pipeline[0]
                if operator == "||" or len(pipeline) != 1 or not isinstance(command, Simple) or step.background:
                    return None
                output = self._printed(command, inner)
                if output is None:
                    return None
        return output

    def _printed(self, command: Simple, scene: _Scene) -> str | None:
        words = [self._one(word, scene) for word in command.words]
        if not words or None in words:
            return None
        name, *operands = [word for word in words if word is not None]
        operands = [word for word in operands if not re.fullmatch("-[A-Za-z-]*", word)]
        if name == "pwd":
            return scene.cwd
        if name == "cd" and operands:
            if scene.cwd is None and not operands[0].startswith("/"):
                return None
            scene.cwd = posixpath.normpath(posixpath.join(scene.cwd or "/", operands[0]))
            return ""
        if name == "echo":
            return " ".join(operands)
        if len(operands) == 1 and name in ("dirname", "basename", "readlink", "realpath"):
            if name in ("dirname", "basename"):
                return getattr(posixpath, name)(operands[0]) or "."
            if scene.cwd is None and not operands[0].startswith("/"):
                return None
            return posixpath.normpath(posixpath.join(scene.cwd or "/", operands[0]))
        return None

    def _origin(self, scene: _Scene, line: int) -> Origin:
        text = scene.lines[line - 1].strip() if 0 < line <= len(scene.lines) else ""
        return Origin(scene.file, line, text)

    def _left(self, code: str, subject: str, message: str, remedy: str, origin: Origin) -> None:
        self.findings.append(Finding("left", code, subject, message, remedy, origin))


_BUILTINS = {
    "cd": "cd", "pushd": "cd", "export": "export", "declare": "export", "typeset": "export", "readonly": "export",
    "unset": "unset", "set": "set", "source": "source", ".": "source", "[": "test", "test": "test", "exit": "exit",
    "ulimit": "limit", "umask": "umask",
}  # fmt: skip


def _assignment(word: Word) -> tuple[str, Word] | None:
    """The name and the value of ``NAME=value``; ``NAME+=value`` is none that a script should need."""
    if not word.parts or word.parts[0].kind != "text" or word.parts[0].quoted:
        return None
    found = _ASSIGNMENT.match(word.parts[0].text)
    if not found:
        return None
    if found[2]:
        raise NotUnderstoodError(word.line, "a value that is added to another")
    rest = Part("text", word.parts[0].text[found.end() :], False)
    return found[1], Word((rest, *word.parts[1:]) if rest.text else word.parts[1:], word.line)


def _is_name(text: str) -> bool:
    return re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", text) is not None


def follow_script(
    text: str,
    process: Process,
    places: Places,
    findings: Findings,
    *,
    script: str | None,
    arguments: Sequence[str] = (),
) -> list[Process] | None:
    """The processes that a script leaves running in place of ``process``, which called it; None to keep the script.

    ``script`` is its path on the old host; None when the text is that of ``sh -c``.
    """
    file = process.origin.file if script is None else places.shown(places.here(script))
    lines = text.split("\n") if script is not None else []
    reading = () if script is None else (script,)
    scene = _Scene(
        file, lines, tuple(arguments), script, process.cwd, dict(process.env), venv=process.venv, reading=reading
    )
    follower = Follower(places, file)
    try:
        follower.follow(text, scene, 1 if script is not None else process.origin.line)
    except _Ended:
        pass
    except NotUnderstoodError as error:
        origin = follower._origin(scene, error.line) if script is not None else process.origin
        message = f"The script is more than a start of programs: {error.message}."
        remedy = "It is kept as the entrypoint; check what it does in a capsule, or name the program in the manifest."
        findings.left("script-kept", file, message, remedy, origin)
        return None
    return _processes(follower, process, script, findings)


def _processes(follower: Follower, process: Process, script: str | None, findings: Findings) -> list[Process] | None:
    started = follower.started
    staying = [one for one in started if one.stays or one is started[-1]]
    if not staying:
        message = "The script starts no program that stays."
        findings.left("script-empty", process.name, message, "Name the program itself.", process.origin)
        return []
    for finding in follower.findings:
        findings.again(finding)
    findings.scripts |= follower.read
    if script is not None:
        findings.scripts.setdefault(follower.file)
    for one in started:
        if one not in staying:
            subject = posixpath.basename(one.argv[0])
            remedy = "Run it as a step of the deployment."
            findings.left("script-step", subject, "The script runs this before the service.", remedy, one.origin)
    if script is not None:
        message = (
            f"The script is not needed any more: it comes to {len(staying)} program(s), which are started directly."
        )
        findings.changed("script-unwrapped", script, message, "", process.origin)
    processes = []
    for number, one in enumerate(staying):
        name = process.name if len(staying) == 1 else f"{process.name}-{_program_name(one.argv, number)}"
        origin = one.origin if one.origin.text else process.origin
        processes.append(
            replace(process, name=name, argv=one.argv, origin=origin, cwd=one.cwd, env=one.env, venv=one.venv)
        )
    return processes


def _program_name(argv: Sequence[str], number: int) -> str:
    names = [
        word.rpartition(".")[2] if before == "-m" else posixpath.basename(word).partition(".")[0]
        for before, word in zip(("", *argv), argv, strict=False)
        if re.search(r"\w", word)
    ]
    names = [
        name for name in names if name not in ("nohup", "env", "setsid", "-m") and not name.startswith(("python", "-"))
    ]
    return names[0] if names else str(number + 1)
