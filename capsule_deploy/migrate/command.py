"""From a process of the old host to a service of a capsule: its entrypoint, its arguments, its environment."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from capsule_builder.manifest.names import VARIABLE
from capsule_builder.manifest.unit_text import PATH, UNIT_TEXT
from capsule_builder.modes import is_program
from capsule_builder.paths import UNDECODABLE, shown
from capsule_builder.python import venv_config
from capsule_deploy.migrate.confidential import Redactor, is_secret, is_secret_value
from capsule_deploy.migrate.model import Findings, Origin, Process, Variable
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.reading import quiet_open

PYTHON = "venv/bin/python"

_PYTHON_NAME = re.compile(r"python(?:3(?:\.[0-9]+)?)?|pypy3?")
_CHANGES_DIRECTORY = {"gunicorn": "--chdir", "uvicorn": "--app-dir", "celery": "--workdir"}
"""Servers that can be told where the application's modules are."""

_SERVERS = frozenset(
    [
        "gunicorn",
        "uvicorn",
        "hypercorn",
        "daphne",
        "waitress-serve",
        "celery",
        "uwsgi",
        "flask",
        "rq",
        "huey_consumer",
        "granian",
    ]
)
_LOGS = ("--access-logfile", "--error-logfile", "--log-file", "--access-log", "--logfile")
_SET_BY_THE_HOST = {
    "PATH": "Programs of the environment are called by their path; the PATH is the host's.",
    "VIRTUAL_ENV": "Nothing is activated: the environment's programs find it by themselves.",
    "HOME": "It is the state directory now.",
    "USER": "It is the application's own account.",
    "LOGNAME": "It is the application's own account.",
    "SHELL": "No shell comes between systemd and the process.",
    "PWD": "It is the root of the release.",
    "OLDPWD": "Nobody needs it.",
    "_": "Nobody needs it.",
    "SHLVL": "Nobody needs it.",
}
_OWN_PORT = re.compile(
    r"(?:HTTP_|HTTPS_|WEB_|APP_|SERVER_|LISTEN_|BIND_|SERVICE_|UVICORN_|FLASK_RUN_)?(?:PORT|BIND|ADDR|ADDRESS)$"
)


@dataclass(frozen=True)
class Launch:
    """One service of the capsule. ``venv`` is its environment on the old host, ``ports`` what it listens on."""

    name: str
    entrypoint: str
    args: tuple[str, ...]
    env: dict[str, str]
    origin: Origin
    limits: dict[str, Variable] = field(default_factory=dict)
    venv: str | None = None
    ports: tuple[int, ...] = ()
    executable: bool = True
    """Whether the entrypoint is executable by its content, or else by the manifest's word."""

    @property
    def is_python(self) -> bool:
        """Whether it runs by a Python environment."""
        return self.entrypoint.endswith(".py") or self.entrypoint.startswith("venv/")


class Launcher:
    """Finds out what a process runs; what became of its parts is told in ``findings``."""

    def __init__(self, places: Places, findings: Findings, redactor: Redactor) -> None:
        self._places = places
        self._findings = findings
        self._redactor = redactor
        self.secret_files: dict[str, None] = {}
        """Files that set secrets, as the report calls them."""

    def learn(self, process: Process) -> None:
        """Learns the secrets in a process's environment, before any other value is told that may hold one."""
        for name, variable in process.env.items():
            if is_secret(name, variable.value):
                self._redactor.learn(variable.value)

    def launch(self, process: Process) -> Launch | None:
        """What the capsule runs in its place; None when there is nothing that it could run."""
        self.learn(process)
        program = process.argv[0]
        if not program.startswith("/"):
            return self._refused(process, "program-outside", f"{shown(program)} is not found on the old host's PATH")
        venv = self.venv_of(program)
        if _PYTHON_NAME.fullmatch(posixpath.basename(program)) and (venv or self._places.relative(program) is None):
            return self._python(process, venv, list(process.argv[1:]))
        if venv is not None:
            return self._of_venv(process, venv, posixpath.basename(program), list(process.argv[1:]))
        inner = self._places.relative(program)
        if inner is None:
            return self._refused(process, "program-outside", f"{shown(program)} is not part of the directory")
        return self._of_tree(process, inner)

    def venv_of(self, program: str) -> str | None:
        """The environment in whose ``bin/`` a program lies, on the old host."""
        directory, name = posixpath.split(program)
        venv, bin_ = posixpath.split(directory)
        if bin_ == "bin" and name and self._places.is_file(os.path.join(self._places.here(venv), venv_config.NAME)):
            return venv
        return None

    def _refused(self, process: Process, code: str, what: str) -> Launch | None:
        remedy = "A capsule runs what is in it: put the program into the directory, or keep this one on the host."
        self._findings.left(code, process.name, f"{what}; the process is not carried over.", remedy, process.origin)
        return None

    # What is run

    def _of_venv(self, process: Process, venv: str, name: str, words: list[str]) -> Launch | None:
        here = os.path.join(self._places.here(venv), "bin", name)
        if not os.path.lexists(here):
            return self._refused(process, "program-missing", f"There is no {shown(name)} in {shown(venv)}/bin")
        words = self._server(name, words, process)
        return self._made(process, f"venv/bin/{name}", words, venv, name)

    def _of_tree(self, process: Process, inner: str) -> Launch | None:
        here = self._places.in_tree(inner)
        if not inner or not self._places.is_file(here):
            return self._refused(process, "program-missing", f"There is no file {shown(inner) or '.'} in the directory")
        words = list(process.argv[1:])
        head = self._places.head(here)
        interpreter = re.match(rb"#!\s*(\S+)(?:[ \t]+(\S+))?", head)
        if inner.endswith(".py"):
            program = interpreter[1].decode("utf-8", "surrogateescape") if interpreter else ""
            venv = self.venv_of(program) or process.venv
            return self._made(process, inner, words, venv, "", origin_of_python=True)
        if interpreter:
            return self._script(process, inner, words, interpreter)
        executable = head[:4] == b"\x7fELF" and self._is_program(here, head)
        if not executable:
            message = f"{shown(inner)} is neither a program nor a script by its content; executables names it."
            self._findings.changed("executables", "executables", message, "", process.origin)
        return self._made(process, inner, words, None, "", executable=executable)

    @staticmethod
    def _is_program(here: str, head: bytes) -> bool:
        fd = quiet_open(here)
        try:
            return is_program(head[:64], lambda size, offset: os.pread(fd, size, offset))
        finally:
            os.close(fd)

    def _script(self, process: Process, inner: str, words: list[str], interpreter: re.Match[bytes]) -> Launch | None:
        program, option = (part.decode("utf-8", "surrogateescape") if part else "" for part in interpreter.groups())
        name = option if posixpath.basename(program) == "env" else posixpath.basename(program)
        if _PYTHON_NAME.fullmatch(name):
            message = f"{shown(inner)} begins with #!{shown(program)}; it is run by the capsule's own Python."
            self._findings.changed("shebang", "entrypoint", message, "", process.origin)
            return self._made(
                process, PYTHON, words, self.venv_of(program) or process.venv, "", lead=[process_root(inner)]
            )
        if name not in ("sh", "bash", "dash"):
            message = f"{shown(inner)} is run by {shown(name)}, which must be on the new host."
            self._findings.left("interpreter-host", "entrypoint", message, "Install it there.", process.origin)
        return self._made(process, inner, words, process.venv, "")

    def _python(self, process: Process, venv: str | None, words: list[str]) -> Launch | None:
        options, rest = _python_options(words)
        venv = venv or process.venv
        if not rest:
            return self._refused(process, "no-command", "Python is started without a program")
        if rest[0] == "-m" and len(rest) > 1:
            return self._module(process, venv, options, rest[1], rest[2:])
        if rest[0] in ("-c", "-"):
            return self._made(process, PYTHON, rest[1:], venv, "", lead=[*options, rest[0]])
        path = rest[0] if rest[0].startswith("/") else posixpath.join(process.cwd or "/", rest[0])
        script = posixpath.normpath(path)
        own = self.venv_of(script)
        if own is not None and own == venv and not options:
            return self._of_venv(process, own, posixpath.basename(script), rest[1:])
        inner = self._places.relative(script)
        if not inner or not os.path.exists(self._places.in_tree(inner)):
            return self._refused(process, "program-missing", f"There is no {shown(rest[0])} in the directory")
        simple = _simple_options(options)
        if inner.endswith(".py") and simple is not None and self._places.is_file(self._places.in_tree(inner)):
            env = process.env | {name: Variable(value, process.origin) for name, value in simple.items()}
            return self._made(replace(process, env=env), inner, rest[1:], venv, "", origin_of_python=True)
        return self._made(process, PYTHON, rest[1:], venv, "", lead=[*options, process_root(inner)])

    def _module(
        self, process: Process, venv: str | None, options: list[str], module: str, words: list[str]
    ) -> Launch | None:
        folder = self._places.relative(process.cwd) if process.cwd else None
        name = module.replace("_", "-").partition(".")[0]
        server = module if module in _SERVERS else name if name in _SERVERS else ""
        words = self._server(server, words, process)
        if folder and not server:
            file = f"{folder}/{module}.py"
            if re.fullmatch(r"\w+", module) and self._places.is_file(self._places.in_tree(file)):
                message = f"python -m {module} in {folder} is the script {file}, which finds its neighbours by itself."
                self._findings.changed("working-directory", "entrypoint", message, "", process.origin)
                return self._made(process, file, words, venv, "", origin_of_python=True)
        return self._made(process, PYTHON, words, venv, server, lead=[*options, "-m", module])

    def _made(
        self,
        process: Process,
        entrypoint: str,
        words: list[str],
        venv: str | None,
        server: str,
        *,
        lead: Sequence[str] = (),
        executable: bool = True,
        origin_of_python: bool = False,
    ) -> Launch | None:
        complaint = PATH.complaint(entrypoint)
        if complaint or UNDECODABLE.search(entrypoint):
            reason = complaint.message if complaint else "is not UTF-8"
            return self._refused(process, "entrypoint-name", f"The path of {shown(entrypoint)} {reason}")
        if venv is None and (entrypoint.endswith(".py") or entrypoint == PYTHON):
            message = "It ran by the host's own Python, with whatever packages that has."
            remedy = "Make an environment: list what it imports in requirements.txt, and build with capsbuild --wheels."
            self._findings.left("venv-missing", process.name, message, remedy, process.origin)
        words = [*lead, *self._from_root(words, process, server, plain_script=origin_of_python)]
        ports = tuple(dict.fromkeys(self._ports(words, process)))
        args = self._arguments(words, process)
        env = self._environment(process)
        message = f"{shown(entrypoint)} is started" + (f" with {len(args)} argument(s)." if args else ".")
        self._findings.carried(process.name, message, process.origin, code="entrypoint")
        self._tell_ports(ports, process)
        return Launch(process.name, entrypoint, args, env, process.origin, process.limits, venv, ports, executable)

    # Arguments

    def _server(self, name: str, words: list[str], process: Process) -> list[str]:
        """The arguments of a server without those that put it into the background."""
        if name not in ("gunicorn", "celery", "uwsgi", "hypercorn"):
            return words
        kept: list[str] = []
        drop = {
            "--daemon": "forking",
            "--detach": "forking",
            "--pid": "pid-file",
            "--pidfile": "pid-file",
            "--daemonize": "forking",
        }
        if name == "gunicorn":
            drop |= {"-D": "forking", "-p": "pid-file", "-u": "user", "--user": "user", "-g": "user", "--group": "user"}
        if name == "celery":
            drop |= {"-D": "forking", "--uid": "user", "--gid": "user"}
        flags = {"--daemon", "--detach", "-D"}
        rest = iter(words)
        for word in rest:
            option, equals, value = word.partition("=")
            code = drop.get(option)
            if code is None:
                kept += self._log_option(name, word, rest, process)
                continue
            if not equals and option not in flags:
                value = next(rest, "")
            message = {
                "forking": "The server stays in the foreground, where systemd sees it.",
                "pid-file": "systemd knows the process; there is no PID file.",
                "user": "The service runs as an account of the application's own.",
            }[code]
            self._findings.changed(code, f"{option} {value}".strip(), message, "", process.origin)
        return kept

    def _log_option(self, name: str, word: str, rest: Iterator[str], process: Process) -> list[str]:
        option, equals, value = word.partition("=")
        if name not in ("gunicorn", "hypercorn") or option not in _LOGS:
            return [word]
        if not equals:
            value = next(rest, "-")
        if value == "-":
            return [f"{option}={value}"] if equals else [option, value]
        message = f"Its log went to {value}; it goes to the journal now: `capsdeploy logs`."
        self._findings.changed("log-output", option, message, "", process.origin)
        return [f"{option}=-"] if equals else [option, "-"]

    def _from_root(self, words: list[str], process: Process, server: str, *, plain_script: bool) -> list[str]:
        """The arguments as they are from the capsule's root, where every service runs."""
        folder = self._places.relative(process.cwd) if process.cwd else None
        if not folder:
            return words
        words = [self._file_from_root(word, folder) for word in words]
        option = _CHANGES_DIRECTORY.get(server)
        if option and not any(word.partition("=")[0] == option for word in words):
            message = f"It ran in {folder}; now it runs in the root of the release, and is told by {option}."
            self._findings.changed("working-directory", process.name, message, "", process.origin)
            return [option, folder, *words]
        if not option:
            message = f"It ran in {folder}; now it runs in the root of the release, which is read-only."
            also = "" if plain_script else " Modules there are not found."
            remedy = "Let it find its files by its own place (__file__), or name them by an environment variable."
            self._findings.left("working-directory", process.name, message + also, remedy, process.origin)
        return words

    def _file_from_root(self, word: str, folder: str) -> str:
        option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
        if not value or value.startswith(("/", "-")) or ":" in value:
            return word
        inner = posixpath.normpath(posixpath.join(folder, value))
        if not inner.startswith("..") and self._places.is_file(self._places.in_tree(inner)):
            return f"{option}{equals}{inner}"
        return word

    def _arguments(self, words: list[str], process: Process) -> tuple[str, ...]:
        kept: list[str] = []
        for word in words:
            option, _, value = word.partition("=") if word.startswith("-") else ("", "", word)
            before = kept[-1] if kept and kept[-1].startswith("-") and "=" not in kept[-1] else ""
            name = (option or before).lstrip("-")
            secret = (name and is_secret(name, value)) or is_secret_value(value) or self._redactor.holds(value)
            if value and secret and not value.startswith("-"):
                self._redactor.learn(value)
                if before and not option:
                    kept.pop()
                message = "A secret among the arguments; everybody who has the capsule could read it. It is left out."
                remedy = "Let the application read it from a file that the host's policy provides."
                self._findings.left("secret-argument", name or process.name, message, remedy, process.origin)
                continue
            new = self._places.rewrite(word)
            complaint = UNIT_TEXT.complaint(new)
            if complaint or UNDECODABLE.search(new):
                if before and not option:
                    kept.pop()
                reason = complaint.message if complaint else "is not UTF-8"
                message = f"The argument {shown(before)} {shown(word)} is left out: it {reason}."
                remedy = "Keep the setting in a file of the capsule, such as the server's own configuration."
                self._findings.left("argument", name or process.name, " ".join(message.split()), remedy, process.origin)
                continue
            if new != word:
                message = f"{shown(word)} is {shown(new)} now."
                self._findings.changed("path", process.name, message, "", process.origin)
            kept.append(new)
        return tuple(kept)

    # The environment

    def _environment(self, process: Process) -> dict[str, str]:
        env: dict[str, str] = {}
        for name, variable in process.env.items():
            value = self._value(name, variable)
            if value is not None:
                env[name] = value
        return env

    def _value(self, name: str, variable: Variable) -> str | None:
        """The value as the manifest has it; None when it stays out."""
        value, origin = variable.value, variable.origin
        if is_secret(name, value) or self._redactor.holds(value):
            self._redactor.learn(value)
            self.secret_files.setdefault(origin.file)
            message = "A secret; everybody who has the capsule could read it. It is left out."
            remedy = "Let the host's policy provide it (LoadCredential=), and the application read it from there."
            self._findings.left("secret", name, message, remedy, Origin(origin.file, origin.line, f"{name}=(hidden)"))
            return None
        if name in _SET_BY_THE_HOST:
            self._findings.changed("host-variable", name, _SET_BY_THE_HOST[name], "", origin)
            return None
        if name == "PYTHONPATH":
            return self._python_path(value, origin)
        new = self._places.rewrite(value, written=_is_written(name))
        for complaint in (VARIABLE.complaint(name), UNIT_TEXT.complaint(new)):
            if complaint:
                self._findings.left("variable", name, f"It {complaint.message}.", f"{complaint.remedy}.", origin)
                return None
        if UNDECODABLE.search(new):
            self._findings.left(
                "variable", name, "Its value is not UTF-8.", "Keep it in a file of the capsule.", origin
            )
            return None
        if new != value:
            self._findings.changed("path", name, f"{shown(value)} is {shown(new)} now.", "", origin)
        else:
            self._findings.carried(f"env.{name}", "As it was.", origin, code="variable")
        return new

    def _python_path(self, value: str, origin: Origin) -> str | None:
        directories = [self._places.relative(part) for part in value.split(":") if part.startswith("/")]
        if directories == [""]:
            message = "Modules in the capsule's root are found by what is started there."
            self._findings.changed("python-path", "PYTHONPATH", message, "", origin)
            return None
        message = (
            "A capsule's Python takes no modules from other places than its environment and the script's directory."
        )
        remedy = "Make a package of the modules, or add their directory to sys.path where the application starts."
        self._findings.left("python-path", "PYTHONPATH", message, remedy, origin)
        return None

    # Ports

    def _ports(self, words: list[str], process: Process) -> Iterator[int]:
        before = ""
        for word in words:
            option, _, value = word.rpartition("=") if word.startswith("-") else (before, "", word)
            listens = option.lstrip("-") in (
                "b",
                "bind",
                "p",
                "port",
                "l",
                "listen",
                "http",
                "http-socket",
                "addr",
                "address",
            )
            found = re.fullmatch(r"(?:(?:https?|tcp)://)?(?:(?:\[[0-9a-fA-F:]*\]|[\w.*-]*):)?([0-9]{2,5})/?", value)
            bound = re.fullmatch(r"(?:[0-9.]+|\*|localhost|\[[0-9a-fA-F:]*\]|):([0-9]{2,5})", value)
            if (listens and found) or (not option and bound):
                yield int((found or bound)[1])  # type: ignore[index]
            elif re.fullmatch(r"-[bp]\S*?:?[0-9]{2,5}", word) and (attached := re.search(r"([0-9]{2,5})$", word)):
                yield int(attached[1])
            before = word if word.startswith("-") and "=" not in word else ""
        for name, variable in process.env.items():
            found = re.search(r"(?:^|:)([0-9]{2,5})$", variable.value)
            if found and _OWN_PORT.fullmatch(name):
                yield int(found[1])

    def _tell_ports(self, ports: tuple[int, ...], process: Process) -> None:
        for port in ports:
            if 0 < port < 1024:
                message = f"It listens on port {port}; a capsule's service has no right to ports below 1024."
                remedy = "Let it listen on a higher one, behind a proxy or a socket of the host."
                self._findings.left("port-privileged", process.name, message, remedy, process.origin)
            elif port <= 65535:
                self._findings.carried(process.name, f"It listens on port {port}.", process.origin, code="port")


def process_root(inner: str) -> str:
    """A file as an argument, by its path from the capsule's root: never to be taken for an option."""
    return f"./{inner}" if inner.startswith("-") else inner


def _is_written(name: str) -> bool:
    """Whether a variable's name says that its path is written to."""
    words = name.upper().split("_")
    return bool(
        {"LOG", "LOGS", "LOGDIR", "LOGFILE", "UPLOAD", "UPLOADS", "MEDIA", "STATE", "CACHE", "SPOOL"} & set(words)
    )


def _python_options(words: list[str]) -> tuple[list[str], list[str]]:
    """The interpreter's own options, and what comes after them."""
    options: list[str] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] not in ("-m", "-c", "-"):
        word = rest.pop(0)
        options.append(word)
        if word in ("-W", "-X", "--check-hash-based-pycs") and rest:
            options.append(rest.pop(0))
        elif not word.startswith("--") and word[-1] in "mc" and word[1] not in "WX":  # -um module
            options[-1] = word[:-1]
            return options, [f"-{word[-1]}", *rest]
        elif re.match("-[mc].", word):
            options.pop()
            return options, [word[:2], word[2:], *rest]
    return options, rest


def _simple_options(options: list[str]) -> dict[str, str] | None:
    """The variables that say the same as options; None when there are others."""
    env: dict[str, str] = {}
    for option in options:
        if option.startswith("--") or not set(option[1:]) <= set("uBO"):
            return None
        for letter in option[1:]:
            name = {"u": "PYTHONUNBUFFERED", "B": "PYTHONDONTWRITEBYTECODE", "O": "PYTHONOPTIMIZE"}[letter]
            env[name] = str(int(env.get(name, "0")) + 1) if letter == "O" else "1"
    return env
