"""From a process of the old host to a service of a capsule: what of the application it runs."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import replace

from capsule_builder.manifest.unit_text import PATH
from capsule_builder.modes import is_program
from capsule_builder.paths import UNDECODABLE, shown
from capsule_builder.python import venv_config
from capsule_deploy.migrate.confidential import Redactor
from capsule_deploy.migrate.launch.arguments import Arguments
from capsule_deploy.migrate.launch.launch import Launch
from capsule_deploy.migrate.launch.needs import walls_of
from capsule_deploy.migrate.launch.ports import listened_on, tell_ports
from capsule_deploy.migrate.launch.python_options import python_options, simple_options
from capsule_deploy.migrate.launch.servers import SERVERS, without_background
from capsule_deploy.migrate.launch.variables import Variables
from capsule_deploy.migrate.model import Findings, Process, Variable
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.reading import quiet_open

PYTHON = "venv/bin/python"

_PYTHON_NAME = re.compile(r"python(?:3(?:\.[0-9]+)?)?|pypy3?")


class Launcher:
    """Finds out what a process runs; what became of its parts is told in ``findings``."""

    def __init__(self, places: Places, findings: Findings, redactor: Redactor) -> None:
        self._places = places
        self._findings = findings
        self._arguments = Arguments(places, findings, redactor)
        self._variables = Variables(places, findings, redactor)

    @property
    def secret_files(self) -> dict[str, None]:
        """Files that set secrets, as the report calls them."""
        return self._variables.secret_files

    def learn(self, process: Process) -> None:
        """Learns the secrets in a process's environment, before any other value is told that may hold one."""
        self._variables.learn(process)

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

    def _of_venv(self, process: Process, venv: str, name: str, words: list[str]) -> Launch | None:
        here = os.path.join(self._places.here(venv), "bin", name)
        if not os.path.lexists(here):
            return self._refused(process, "program-missing", f"There is no {shown(name)} in {shown(venv)}/bin")
        words = without_background(name, words, process, self._findings)
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
                process, PYTHON, words, self.venv_of(program) or process.venv, "", lead=[_as_argument(inner)]
            )
        if name not in ("sh", "bash", "dash"):
            message = f"{shown(inner)} is run by {shown(name)}, which must be on the new host."
            self._findings.left("interpreter-host", "entrypoint", message, "Install it there.", process.origin)
        return self._made(process, inner, words, process.venv, "")

    def _python(self, process: Process, venv: str | None, words: list[str]) -> Launch | None:
        options, rest = python_options(words)
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
        simple = simple_options(options)
        if inner.endswith(".py") and simple is not None and self._places.is_file(self._places.in_tree(inner)):
            env = process.env | {name: Variable(value, process.origin) for name, value in simple.items()}
            return self._made(replace(process, env=env), inner, rest[1:], venv, "", origin_of_python=True)
        return self._made(process, PYTHON, rest[1:], venv, "", lead=[*options, _as_argument(inner)])

    def _module(
        self, process: Process, venv: str | None, options: list[str], module: str, words: list[str]
    ) -> Launch | None:
        folder = self._places.relative(process.cwd) if process.cwd else None
        name = module.replace("_", "-").partition(".")[0]
        server = module if module in SERVERS else name if name in SERVERS else ""
        words = without_background(server, words, process, self._findings)
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
        words = [*lead, *self._arguments.from_root(words, process, server, plain_script=origin_of_python)]
        ports = listened_on(words, process)
        args = self._arguments.kept(words, process)
        env = self._variables.kept(process)
        message = f"{shown(entrypoint)} is started" + (f" with {len(args)} argument(s)." if args else ".")
        self._findings.carried(process.name, message, process.origin, code="entrypoint")
        tell_ports(ports, process, self._findings)
        walls = walls_of(process, ports)
        return Launch(
            process.name, entrypoint, args, env, process.origin, process.limits, venv, ports, walls, executable
        )


def _as_argument(inner: str) -> str:
    """A file as an argument, by its path from the capsule's root: never to be taken for an option."""
    return f"./{inner}" if inner.startswith("-") else inner
