"""The variables that a unit gives its processes: ``Environment=``, ``EnvironmentFile=`` and their kin."""

from __future__ import annotations

import re

from capsule_builder.errors import CapsuleError
from capsule_builder.paths import shown
from capsule_deploy.migrate.confidential import HIDDEN
from capsule_deploy.migrate.model import Findings, Origin, Variable
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.systemd.environment_file import parse_environment_file
from capsule_deploy.migrate.systemd.specifiers import Specifiers
from capsule_deploy.migrate.systemd.unit import Unit
from capsule_deploy.migrate.systemd.words import QuotingError, iterate_words


class Environment:
    """That of one unit."""

    def __init__(self, unit: Unit, specifiers: Specifiers, places: Places, findings: Findings) -> None:
        self._unit = unit
        self._specifiers = specifiers
        self._places = places
        self._findings = findings

    def read(self) -> dict[str, Variable]:
        """The variables, by their names; files that were read are among the unit's then."""
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
        path = self._specifiers.expanded(value.removeprefix("-"), "EnvironmentFile", origin)
        if not path.startswith("/") or re.search(r"[*?\[]", path):
            message = "The path is a pattern, or not absolute." if path.startswith("/") else "The path is not absolute."
            self._findings.left("environment-file", "EnvironmentFile", message, "Write its variables into env.", origin)
            return
        here = self._places.here(path)
        name = self._places.shown(here)
        try:
            text = self._places.text(here)
        except CapsuleError as error:
            problem = error.problems[0]
            if not (optional and problem.code == "file-missing"):
                remedy = "Write its variables into env of the manifest."
                self._findings.left("environment-file", "EnvironmentFile", f"{problem.message}.", remedy, origin)
            else:
                self._findings.carried("EnvironmentFile", "It was allowed to be missing, and is.", origin)
            return
        self._unit.files.append(name)
        lines = text.replace("\r", "\n").split("\n")
        pairs, complaints = parse_environment_file(text)
        for complaint in complaints:
            message = f"systemd takes no notice of the line: {complaint.message}."
            self._findings.left("line-invalid", name, message, "", Origin(name, complaint.line, HIDDEN))
        for key, one, number in pairs:
            at = Origin(name, number, lines[number - 1] if number <= len(lines) else "")
            env[key] = Variable(one, at)
        message = f"Its variables are in the manifest's env, where they may be: {shown(path)}."
        self._findings.changed("environment-file", "EnvironmentFile", message, "", origin)

    def _words(self, value: str, key: str, origin: Origin) -> list[str]:
        found: list[str] = []
        try:
            for word in iterate_words(value, strict=True):
                found.append(self._specifiers.expanded(word, key, origin))
        except QuotingError as error:
            self._findings.left("line-invalid", key, f"systemd takes no notice of the rest: {error}.", "", origin)
        return found
