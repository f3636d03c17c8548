"""The whole of it: from a directory to a manifest, an ignore file and a report."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import MANIFEST_NAME, shown
from capsule_builder.sources.ignore import IGNORE_NAME
from capsule_deploy.migrate import project
from capsule_deploy.migrate.confidential import Redactor
from capsule_deploy.migrate.cron import read_crontabs
from capsule_deploy.migrate.detect import Kind, detected, named
from capsule_deploy.migrate.draft import Draft, manifest_text
from capsule_deploy.migrate.launch.launch import Launch
from capsule_deploy.migrate.launch.launcher import Launcher
from capsule_deploy.migrate.leaving_out import ignore_text
from capsule_deploy.migrate.model import Deployment, Finding, Findings, Origin
from capsule_deploy.migrate.places import STATE, Places
from capsule_deploy.migrate.reading import AbsentError, UnreadableError, quiet_open, read_text
from capsule_deploy.migrate.report import Move, Report
from capsule_deploy.migrate.resources import resources
from capsule_deploy.migrate.sandbox import sandbox
from capsule_deploy.migrate.scripts import read_scripts
from capsule_deploy.migrate.shell.unwrap import unwrap
from capsule_deploy.migrate.steps import outermost, steps
from capsule_deploy.migrate.suggestions import suggest
from capsule_deploy.migrate.supervisor.programs import read_supervisor
from capsule_deploy.migrate.survey.survey import Survey
from capsule_deploy.migrate.survey.surveyor import Surveyor
from capsule_deploy.migrate.systemd.reader import read_units
from capsule_deploy.migrate.systemd.unit import stem_of

REPORT_NAME = "migration"

_MAX_SERVICES = 100
_READERS = {
    "systemd": read_units,
    "supervisor": read_supervisor,
    "cron": read_crontabs,
    "script": read_scripts,
}


class NothingError(CapsuleError):
    """Nothing of the old service can run from a capsule."""


@dataclass(frozen=True)
class Migration:
    """What comes of it: the files by their names, and the report as JSON has it."""

    files: dict[str, bytes]
    document: dict[str, object]


def migrate(directory: str, units: Sequence[str] = (), root: str = "/", output: str = "migrated") -> Migration:
    """Reads the old service in ``directory``, which ``units`` start, on the host whose ``/`` is ``root`` here.

    ``output`` is where the files will be written, for the report's words alone.

    Raises:
        CapsuleError: there is nothing to read, or nothing that a capsule could run; with all reasons.
    """
    if not os.path.isdir(directory):
        raise AbsentError(
            [Problem("source-missing", f"No such directory: {shown(directory)}", "Name an existing one.")]
        )
    try:
        os.close(quiet_open(directory, directory=True))
    except PermissionError:
        problem = Problem("file-unreadable", f"Cannot read {shown(directory)}: Permission denied", "Become who may.")
        raise UnreadableError([problem]) from None
    if not os.path.isdir(root):
        raise AbsentError([Problem("source-missing", f"No such directory: {shown(root)}", "Name an existing one.")])
    places = Places(root, directory)
    if os.path.lexists(places.in_tree(MANIFEST_NAME)):
        message = f"The directory is an application with a manifest already: {shown(places.in_tree(MANIFEST_NAME))}"
        raise refusal("manifest-present", message, "Check it with caps_validate, and build with capsbuild.")
    return _Run(places, output).run(named(list(units), places) if units else detected(places))


class _Run:
    def __init__(self, places: Places, output: str) -> None:
        self._places = places
        self._output = output
        self._findings = Findings()
        self._redactor = Redactor()
        self._secret_files: dict[str, None] = {}

    def run(self, files: dict[Kind, list[str]]) -> Migration:
        places, findings = self._places, self._findings
        ((kind, paths),) = files.items()
        # The name is asked for while the files are read, to say where state goes; it is known before they are.
        places.name = project.app_name(_first_name(kind, paths, places), Findings())
        deployment = _READERS[kind](paths, places, findings)
        places.name = project.app_name(deployment.name, findings)
        survey = Surveyor(places, findings, self._redactor).look()
        launches = self._launches(deployment)
        launches = self._one_environment(launches)
        if not launches:
            self._nothing()
        names = project.service_names([launch.name for launch in launches], places.name)
        launches = [replace(launch, name=name) for launch, name in zip(launches, names, strict=True)]
        venv = next((launch.venv for launch in launches if launch.venv), None)
        self._leave_out(survey, deployment, venv)
        needs_python = any(launch.is_python for launch in launches)
        draft = Draft(
            places.name,
            project.version(places, findings),
            launches,
            project.python_of(venv, places, findings) if venv else None,
            project.requirements(places, survey.ignored, findings) if needs_python else None,
            resources(launches, findings),
            sandbox(launches, findings),
            deployment.sources,
            needs_python,
        )
        suggest(survey, deployment, launches, places, findings)
        return self._result(draft, deployment, survey, venv)

    # The processes

    def _launches(self, deployment: Deployment) -> list[Launch]:
        launcher = Launcher(self._places, self._findings, self._redactor)
        for process in deployment.processes:
            launcher.learn(process)
        found: list[Launch] = []
        for process in deployment.processes:
            for one in unwrap(process, self._places, self._findings):
                launch = launcher.launch(one)
                if launch is not None:
                    found.append(launch)
        self._secret_files = launcher.secret_files
        if len(found) > _MAX_SERVICES:
            message = f"{len(found)} processes; a manifest with the first {_MAX_SERVICES} is drafted."
            self._findings.left("numprocs", "services", message, "Let one program start its own workers.")
        return found[:_MAX_SERVICES]

    def _one_environment(self, launches: list[Launch]) -> list[Launch]:
        """Those of the first environment: a capsule has one."""
        venvs = list(dict.fromkeys(launch.venv for launch in launches if launch.venv))
        for launch in launches:
            if launch.venv and launch.venv != venvs[0]:
                message = f"It has an environment of its own, {launch.venv}; a capsule has one, {venvs[0]}."
                remedy = "Make one environment for both, or a capsule of its own."
                self._findings.left("venv-several", launch.name, message, remedy, launch.origin)
        return [launch for launch in launches if not launch.venv or launch.venv == venvs[0]]

    def _nothing(self) -> None:
        problems = []
        for finding in self._findings:
            if finding.state == "left" and finding.code in _STOPPERS:
                problems.append(Problem(finding.code, self._redactor.words(_placed(finding)), finding.remedy))
        message = "Nothing of the old service can run from a capsule"
        problems.append(Problem("nothing", message, "Name with --unit what starts it, or change how it is started."))
        raise NothingError(problems)

    # What stays out, and what is to decide

    def _leave_out(self, survey: Survey, deployment: Deployment, venv: str | None) -> None:
        own = None if venv is None else self._places.relative(venv)
        for path in survey.venvs:
            if path == own and path == "venv":
                continue
            survey.ignored[f"/{path}/"] = "an environment; capsbuild takes the capsule's by --venv"
            if path != own:
                message = "Another environment; a capsule has one. It is left out."
                self._findings.left("venv-several", path, message, "", Origin(path, 0, ""))
        deployment.sources += [script for script in self._findings.scripts if script not in deployment.sources]
        for source in (*deployment.sources, *self._secret_files):
            if not source.startswith("/") and os.path.exists(self._places.in_tree(source)):
                survey.ignored.setdefault(f"/{source}", "started the old service")

    # What is written

    def _result(self, draft: Draft, deployment: Deployment, survey: Survey, venv: str | None) -> Migration:
        places, findings = self._places, self._findings
        manifest = manifest_text(draft)
        protected = [launch.entrypoint for launch in draft.launches]
        protected += [word for launch in draft.launches for word in launch.args if os.path.exists(places.in_tree(word))]
        protected += [draft.pip_requirements] if draft.pip_requirements else []
        kept = b""
        if os.path.isfile(places.in_tree(IGNORE_NAME)):
            kept = read_text(places.in_tree(IGNORE_NAME), IGNORE_NAME).encode("utf-8", "surrogateescape")
            findings.carried(IGNORE_NAME, "Its lines come first.", Origin(IGNORE_NAME, 0, ""), code="ignore")
        ignore, spared = ignore_text(survey.ignored, kept, protected)
        for path in spared:
            message = "It would be left out, but holds what the service starts or reads."
            findings.suggested("ignore-spared", path, message, "Move apart what is written and what is read.")
        for path in places.foreign:
            message = "A path of the old host, kept as it was: a capsule's service may not see it, and does not own it."
            findings.left(
                "host-path", path, message, "Put what is read into the capsule, what is written into the state."
            )
        report = Report(
            draft.name,
            deployment.layout,
            places.directory,
            list(dict.fromkeys(deployment.sources)),
            [finding for finding in findings if not _of_ignored(finding, survey)],
            [
                Move(old, f"{places.state}/{inner}".rstrip("/"), f"{STATE}/{inner}".rstrip("/"))
                for old, inner in outermost(places.moved).items()
            ],
            list(places.foreign),
            steps(draft, deployment, venv, places, self._output),
            manifest.decode(),
        )
        document = report.document(self._redactor)
        files = {
            MANIFEST_NAME: manifest,
            IGNORE_NAME: ignore,
            f"{REPORT_NAME}.md": report.markdown(self._redactor).encode("utf-8", "replace"),
            f"{REPORT_NAME}.json": json.dumps(document, indent=2).encode() + b"\n",
        }
        return Migration(files, document)


_STOPPERS = frozenset([
    "no-command", "program-outside", "program-missing", "script-missing", "script-empty", "shell-command",
    "entrypoint-name", "specifier", "line-invalid", "venv-several", "script-kept",
])  # fmt: skip


def _of_ignored(finding: Finding, survey: Survey) -> bool:
    """Whether it is about the text of a file that does not come along."""
    return finding.code in ("absolute-path", "secret-in-file") and f"/{finding.subject}" in survey.ignored


def _first_name(kind: Kind, paths: Sequence[str], places: Places) -> str:
    return stem_of(os.path.basename(paths[0])) if kind == "systemd" else os.path.basename(places.directory)


def _placed(finding: Finding) -> str:
    message = f"{finding.subject}: {finding.message}" if finding.subject else finding.message
    if finding.origin is None:
        return message
    line = f":{finding.origin.line}" if finding.origin.line else ""
    return f"{shown(finding.origin.file)}{line}: {message}"
