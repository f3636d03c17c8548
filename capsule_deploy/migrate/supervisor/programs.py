"""The programs of supervisor's configuration, and the processes that each of them is."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Sequence

from capsule_builder.errors import refusal
from capsule_deploy.migrate.circumstances import working_directory
from capsule_deploy.migrate.model import Deployment, Findings, Process, Variable
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.sources import read_sources
from capsule_deploy.migrate.supervisor.configuration import Configuration, Section
from capsule_deploy.migrate.supervisor.options import OTHER_SECTIONS, tell_options
from capsule_deploy.migrate.supervisor.values import expand, parse_pairs

MAX_PROCESSES = 32
"""How many processes of one program become services of their own."""


def read_supervisor(paths: Sequence[str], places: Places, findings: Findings) -> Deployment:
    """The programs of the configuration in the files ``paths``.

    Raises:
        CapsuleError: a file cannot be read, or has no program.
    """
    configuration = Configuration(places, findings)
    for path, text in read_sources(paths, places):
        configuration.read(path, text)
    programs = configuration.programs()
    if not programs:
        message = f"No [program:…] in {places.shown(paths[0])}"
        raise refusal("unit-none", message, "Name the configuration that has the application's programs.")
    deployment = Deployment("supervisor", os.path.basename(places.directory), sources=configuration.files)
    if len(programs) == 1:
        deployment.name = programs[0].name.partition(":")[2].strip()
    reader = _Programs(configuration, places, findings)
    common = reader.common()
    deployment.stop = ["supervisorctl", "stop"]
    for section in programs:
        deployment.processes += reader.processes(section, common)
        deployment.stop.append(reader.controlled(section))
    return deployment


class _Programs:
    def __init__(self, configuration: Configuration, places: Places, findings: Findings) -> None:
        self._configuration = configuration
        self._places = places
        self._findings = findings

    def common(self) -> dict[str, Variable]:
        """The variables of ``[supervisord]``; what else is not of a program is told."""
        env: dict[str, Variable] = {}
        for section in self._configuration.sections:
            kind = section.name.partition(":")[0]
            if kind == "supervisord":
                env |= self._pairs(section, {"here": section.here})
                continue
            if kind == "program":
                continue
            code, message = OTHER_SECTIONS.get(kind, ("section", "Nothing of it is a program."))
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
        group = self._configuration.group(program)
        tell_options(section, self._configuration, self._findings)
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
        if directory:
            working_directory(self._findings, self._places, cwd, section.origin("directory"), subject="directory")
        return Process(name if int(known["numprocs"]) > 1 else program, tuple(argv), origin, cwd, env)

    def controlled(self, section: Section) -> str:
        """How ``supervisorctl`` calls all processes of a program."""
        program = section.name.partition(":")[2].strip()
        group = self._configuration.group(program)
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
