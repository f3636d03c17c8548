"""Reads the configuration of supervisor: its INI dialect, ``%(here)s`` and its kin, ``environment=``, ``[include]``."""

from __future__ import annotations

import fnmatch
import os
import posixpath
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from capsule_builder.errors import refusal
from capsule_deploy.migrate.accounts import account, stop_signal
from capsule_deploy.migrate.model import Deployment, Findings, Origin, Process, Variable
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.reading import logical_lines, names_in, read_text

MAX_PROCESSES = 32
"""How many processes of one program become services of their own."""

_MAX_FILES = 200


@dataclass(frozen=True)
class Option:
    """An option's value and its place."""

    value: str
    line: int
    text: str


@dataclass
class _Lines:
    """An option while it is read."""

    line: int
    values: list[str]
    raw: list[str]

    def joined(self) -> Option:
        return Option("\n".join(self.values).rstrip(), self.line, "\n".join(self.raw))


@dataclass
class Section:
    """A section, its options by their lower-case names, and the file it stands in."""

    name: str
    file: str
    here: str
    line: int = 0
    options: dict[str, Option] = field(default_factory=dict)

    def get(self, key: str) -> str | None:
        """The value of an option, if it is there."""
        return self.options[key].value if key in self.options else None

    def origin(self, key: str) -> Origin:
        """Where an option stands, or the section when it is not there."""
        option = self.options.get(key)
        return Origin(self.file, option.line, option.text) if option else Origin(self.file, self.line, f"[{self.name}]")


def parse_ini(text: str) -> tuple[list[tuple[str, int, dict[str, Option]]], list[tuple[int, str]]]:
    """Sections with their first lines and options, and the lines that mean nothing.

    The dialect is that of ``RawConfigParser`` with inline comments: ``;`` and ``#`` begin one at the head of a line and
    after white space; a line that is indented deeper goes on from the last; of two equal options the last counts.
    """
    sections: dict[str, tuple[int, dict[str, _Lines]]] = {}
    wrong: list[tuple[int, str]] = []
    options: dict[str, _Lines] | None = None
    key: str | None = None
    indent = 0
    for number, raw in logical_lines(text):
        line = _without_comment(raw)
        value = line.strip()
        if not value:
            if not raw.strip() and key and options is not None:  # a blank line belongs to the value, if it goes on
                options[key].values.append("")
            continue
        deep = len(line) - len(line.lstrip())
        if key and options is not None and deep > indent:
            options[key].values.append(value)
            options[key].raw.append(raw)
            continue
        indent = deep
        header = re.match(r"\[(.+)\]", value)
        if header:
            options = sections.setdefault(header[1], (number, {}))[1]
            key = None
            continue
        found = re.search("[=:]", value)
        if options is None or not found or not value[: found.start()].strip():
            wrong.append((number, raw))
            key = None
            continue
        key = value[: found.start()].rstrip().lower()
        options[key] = _Lines(number, [value[found.end() :].strip()], [raw])
    cleaned = [
        (name, line, {key: option.joined() for key, option in found.items()})
        for name, (line, found) in sections.items()
    ]
    return cleaned, wrong


def _without_comment(line: str) -> str:
    if line.strip().startswith((";", "#")):
        return ""
    for found in re.finditer("[;#]", line):
        if found.start() == 0 or line[found.start() - 1].isspace():
            return line[: found.start()]
    return line


def parse_pairs(text: str) -> dict[str, str]:
    """The variables of ``environment=``: ``KEY="value",OTHER=value``, quoted where there is more than word characters.

    Raises:
        ValueError: it is not that; supervisor would not start.
    """
    lexer = shlex.shlex(text)
    lexer.wordchars += "/.+-():"
    tokens = list(lexer)
    found: dict[str, str] = {}
    for at in range(0, len(tokens), 4):
        pair = tokens[at : at + 3]
        if len(pair) != 3 or pair[1] != "=":
            raise ValueError(f"the variables are not written as KEY=value,… (near {' '.join(pair)[:40]!r})")
        found[pair[0]] = pair[2].strip("'\"")
    return found


def expand(text: str, known: dict[str, str | int]) -> str:
    """The text with ``%(name)s`` in place and ``%%`` as a percent sign.

    Raises:
        ValueError: it names something that is not known, or a percent sign stands alone.
    """

    def one(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        if not found[1]:
            raise ValueError("a % stands alone")
        if found[1] not in known:
            raise ValueError(f"%({found[1]})s is not known")
        value = known[found[1]]
        if found[3] == "d":
            if not isinstance(value, int):
                raise ValueError(f"%({found[1]})d is no number")
            return f"%{found[2]}d" % value
        return f"%{found[2]}s" % value

    return re.sub(r"%%|%\(([^)]*)\)([0-9]{0,2})([sd])|%", one, text)


def read_supervisor(paths: Sequence[str], places: Places, findings: Findings) -> Deployment:
    """The programs of the configuration in the files ``paths``.

    Raises:
        CapsuleError: a file cannot be read, or has no program.
    """
    texts = [read_text(path, places.shown(path)) for path in paths]
    places.guess_home("\n".join(texts))
    reader = _Reader(places, findings)
    for path, text in zip(paths, texts, strict=True):
        reader.read(path, text, follow=True)
    programs = [section for section in reader.sections if section.name.startswith("program:")]
    if not programs:
        message = f"No [program:…] in {places.shown(paths[0])}"
        raise refusal("unit-none", message, "Name the configuration that has the application's programs.")
    deployment = Deployment("supervisor", os.path.basename(places.directory), sources=reader.files)
    if len(programs) == 1:
        deployment.name = programs[0].name.partition(":")[2].strip()
    common = reader.common()
    deployment.stop = ["supervisorctl", "stop"]
    for section in programs:
        deployment.processes += reader.processes(section, common)
        deployment.stop.append(reader.controlled(section))
    return deployment


class _Reader:
    def __init__(self, places: Places, findings: Findings) -> None:
        self._places = places
        self._findings = findings
        self.sections: list[Section] = []
        self.files: list[str] = []

    def read(self, path: str, text: str, *, follow: bool) -> None:
        name = self._places.shown(path)
        if name in self.files or len(self.files) >= _MAX_FILES:
            return
        self.files.append(name)
        here = self._places.there(os.path.dirname(os.path.abspath(path)))
        sections, wrong = parse_ini(text)
        for at, raw in wrong:
            message = "The line belongs to no section, or is no option; supervisor would not start with it."
            self._findings.left("line-invalid", "", message, "", Origin(name, at, raw))
        found = [Section(title, name, here, line, options) for title, line, options in sections]
        self.sections += [section for section in found if section.name != "include"]
        for section in found:
            if section.name == "include":
                self._include(section, follow)

    def _include(self, section: Section, follow: bool) -> None:
        """Reads what ``files=`` names; supervisor takes no ``[include]`` of an included file."""
        for pattern in (section.get("files") or "").split():
            if not follow:
                message = "An included file includes nothing itself, in supervisor neither."
                self._findings.left("include", "files", message, "", section.origin("files"))
                return
            try:
                pattern = expand(pattern, {"here": section.here})
            except ValueError as error:
                self._findings.left("include", "files", f"{error}.", "", section.origin("files"))
                continue
            pattern = posixpath.normpath(posixpath.join(section.here, pattern))
            directory = self._places.here(posixpath.dirname(pattern))
            names = fnmatch.filter(names_in(directory), posixpath.basename(pattern))
            for name in names:
                file = os.path.join(directory, name)
                self.read(file, read_text(file, self._places.shown(file)), follow=False)
            message = f"{len(names)} file(s) read."
            self._findings.changed("include", "files", message, "", section.origin("files"))

    def common(self) -> dict[str, Variable]:
        """The variables of ``[supervisord]``; what else is not of a program is told."""
        env: dict[str, Variable] = {}
        for section in self.sections:
            kind = section.name.partition(":")[0]
            if kind == "supervisord":
                env |= self._pairs(section, {"here": section.here})
                continue
            if kind == "program":
                continue
            code, message = _OTHER_SECTIONS.get(kind, ("section", "Nothing of it is a program."))
            for key in section.options or [""]:
                self._findings.left(code, f"[{section.name}] {key}".strip(), message, "", section.origin(key))
        return env

    def _pairs(self, section: Section, known: dict[str, str | int]) -> dict[str, Variable]:
        text = section.get("environment")
        if not text:
            return {}
        origin = section.origin("environment")
        try:
            return {key: Variable(value, origin) for key, value in parse_pairs(expand(text, known)).items()}
        except ValueError as error:
            remedy = "Write the variables into env of the manifest."
            self._findings.left("line-invalid", "environment", f"supervisor would not start: {error}.", remedy, origin)
            return {}

    def processes(self, section: Section, common: dict[str, Variable]) -> list[Process]:
        """The processes of one program."""
        program = section.name.partition(":")[2].strip()
        group = self._group(program)
        self._tell(section)
        count, first = (
            self._number(section, key, default) for key, default in (("numprocs", 1), ("numprocs_start", 0))
        )
        if count > MAX_PROCESSES:
            message = f"{count} processes of one program; {MAX_PROCESSES} become services."
            remedy = "Let the program start its own workers."
            self._findings.left("numprocs", program, message, remedy, section.origin("numprocs"))
            count = MAX_PROCESSES
        found: list[Process] = []
        for number in range(first, first + count):
            known: dict[str, str | int] = {
                "here": section.here, "program_name": program, "group_name": group, "process_num": number,
                "numprocs": count,
            }  # fmt: skip
            known |= {f"ENV_{name}": variable.value for name, variable in common.items()}
            own = self._pairs(section, known)
            known |= {f"ENV_{name}": variable.value for name, variable in own.items()}
            process = self._process(section, program, known, common | own)
            if process is not None:
                found.append(process)
        return found

    def _process(
        self, section: Section, program: str, known: dict[str, str | int], env: dict[str, Variable]
    ) -> Process | None:
        command = section.get("command")
        origin = section.origin("command")
        if not command:
            self._findings.left("no-command", program, "The program has no command.", "", origin)
            return None
        try:
            argv = shlex.split(expand(command, known))
            name = expand(section.get("process_name") or "%(program_name)s", known)
            directory = section.get("directory")
            cwd = expand(directory, known) if directory else section.here
        except ValueError as error:
            remedy = "Write what it stood for into the configuration, or into the manifest."
            self._findings.left("specifier", program, f"The command cannot be read: {error}.", remedy, origin)
            return None
        if not argv:
            self._findings.left("no-command", program, "The program has no command.", "", origin)
            return None
        if directory and not cwd.startswith("/"):
            cwd = posixpath.join(section.here, cwd)
        cwd = posixpath.normpath(cwd)
        if directory and self._places.relative(cwd) == "":
            message = "A capsule's processes run in the root of the release, which is read-only."
            self._findings.carried("directory", message, section.origin("directory"))
        elif directory and self._places.relative(cwd) is None:
            message = f"Processes run in the root of the release, not in {cwd}."
            remedy = "Name files by the capsule's root, or by an environment variable."
            self._findings.left("working-directory", "directory", message, remedy, section.origin("directory"))
        return Process(name if int(known["numprocs"]) > 1 else program, tuple(argv), origin, cwd, env)

    def _group(self, program: str) -> str:
        for section in self.sections:
            if section.name.startswith("group:"):
                programs = [name.strip() for name in (section.get("programs") or "").split(",")]
                if program in programs:
                    return section.name.partition(":")[2].strip()
        return program

    def controlled(self, section: Section) -> str:
        """How ``supervisorctl`` calls all processes of a program."""
        program = section.name.partition(":")[2].strip()
        group = self._group(program)
        if section.get("numprocs") in (None, "1"):
            return program if group == program else f"{group}:{program}"
        return f"{group}:*"

    def _number(self, section: Section, key: str, default: int) -> int:
        value = section.get(key)
        if value is None:
            return default
        if re.fullmatch("[0-9]{1,6}", value):
            self._findings.carried(key, "Each process is a service of its own.", section.origin(key))
            return int(value)
        self._findings.left("line-invalid", key, f"Not a number: {value}.", "", section.origin(key))
        return default

    def _tell(self, section: Section) -> None:
        for key, option in section.options.items():
            origin = section.origin(key)
            if key in ("command", "environment", "directory", "numprocs", "numprocs_start", "process_name"):
                continue
            if key == "user":
                account(self._findings, option.value, origin, subject=key)
            elif key == "stopsignal":
                stop_signal(self._findings, option.value, origin, subject=key)
            elif key == "autostart" and option.value.lower() in ("false", "off", "0", "no"):
                message = "It was started by hand; every service of a capsule is started with it."
                remedy = "Remove it from services if it is not to run always."
                self._findings.left("autostart", key, message, remedy, origin)
            elif key == "autorestart":
                always = option.value.lower() in ("true", "1", "yes", "on")
                message = "The template restarts a process that fails."
                if always:
                    message += " One that ends by itself with status 0 is not started again."
                self._findings.changed("restart", key, message, "", origin)
            elif key in _OPTIONS:
                code, message = _OPTIONS[key]
                self._findings.changed(code, key, message, "", origin)
            elif key == "serverurl":
                self._findings.left("supervisor-rpc", key, "There is no supervisord to talk to.", "", origin)
            else:
                message = "No such option of a program is known here."
                self._findings.left("directive-unknown", key, message, "Look it up in supervisor's manual.", origin)
        if "user" not in section.options:
            user = next((one.get("user") for one in self.sections if one.name == "supervisord"), None)
            account(self._findings, user, section.origin("user"), subject=f"user of {section.name}")


_OTHER_SECTIONS = {
    "unix_http_server": ("supervisor-rpc", "There is no supervisord to talk to: `capsdeploy status` tells."),
    "inet_http_server": ("supervisor-rpc", "There is no supervisord to talk to: `capsdeploy status` tells."),
    "supervisorctl": ("supervisor-rpc", "There is no supervisord to talk to: `capsdeploy status` tells."),
    "rpcinterface": ("supervisor-rpc", "There is no supervisord to talk to."),
    "eventlistener": ("eventlistener", "There is no supervisord whose events it could hear."),
    "fcgi-program": (
        "socket-activation",
        "A FastCGI program gets its socket from supervisor; nobody hands it one now.",
    ),
    "group": ("group", "The services of a capsule start and stop together."),
}
_RESTARTS = ("restart", "The template restarts a process that fails; activation and rollback watch over it.")
_OUTPUT = ("log-output", "What a service prints goes to the journal: `capsdeploy logs`.")
_STOPS = ("timeout", "The template stops all processes of a service, and has its own time for it.")
_OPTIONS = {
    **dict.fromkeys(("startsecs", "startretries", "exitcodes"), _RESTARTS),
    "autostart": ("enabled", "What runs after a boot is what `capsdeploy activate` made active."),
    **dict.fromkeys(("stopwaitsecs", "stopasgroup", "killasgroup"), _STOPS),
    "priority": ("ordering", "The services of a capsule start together."),
    "umask": ("hardening", "The template unit has its own file mode mask, 0077."),
    "redirect_stderr": _OUTPUT,
    **{f"{stream}_{rest}": _OUTPUT for stream in ("stdout", "stderr") for rest in (
        "logfile", "logfile_maxbytes", "logfile_backups", "capture_maxbytes", "events_enabled", "syslog")},
}  # fmt: skip
