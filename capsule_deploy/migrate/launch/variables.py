"""The environment variables of a process, as they are in a capsule."""

from __future__ import annotations

from capsule_builder.manifest.names import VARIABLE
from capsule_builder.manifest.unit_text import UNIT_TEXT
from capsule_builder.paths import UNDECODABLE, shown
from capsule_deploy.migrate.confidential import Redactor, is_secret
from capsule_deploy.migrate.model import Findings, Origin, Process, Variable
from capsule_deploy.migrate.places import Places

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


class Variables:
    """Sorts out variables; what became of them is told."""

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

    def kept(self, process: Process) -> dict[str, str]:
        """The variables that a manifest can have, with their paths as a capsule has them; the others are told."""
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


def _is_written(name: str) -> bool:
    """Whether a variable's name says that its path is written to."""
    words = name.upper().split("_")
    return bool(
        {"LOG", "LOGS", "LOGDIR", "LOGFILE", "UPLOAD", "UPLOADS", "MEDIA", "STATE", "CACHE", "SPOOL"} & set(words)
    )
