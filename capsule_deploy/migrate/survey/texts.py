"""Reads the application's texts for what ties them to the old host: paths, secrets, ports, health checks."""

from __future__ import annotations

import re

from capsule_builder.paths import shown
from capsule_deploy.migrate.confidential import HIDDEN, Redactor, is_secret_name
from capsule_deploy.migrate.model import Findings, Origin
from capsule_deploy.migrate.places import Places, absolute_paths
from capsule_deploy.migrate.reading import logical_lines, read_bytes
from capsule_deploy.migrate.survey.health import health_urls
from capsule_deploy.migrate.survey.survey import Survey

MAX_SCANNED = 5_000
MAX_TOLD = 100
_MAX_TEXT = 1 << 20
_CONFIGURATION = (".sh", ".ini", ".cfg", ".conf", ".toml", ".yml", ".yaml", ".json", ".properties")
_SETTING = re.compile(r"""^\s*(?:export\s+)?["']?([A-Za-z_][\w.-]*)["']?\s*(?::\s*\w+\s*)?[:=](.+)$""")
_LITERAL = re.compile(r"""^[rbuf]?(["'])(.{4,})\1[,;]?$""")
_PLACEHOLDER = re.compile(
    r"\$\{|\{\{|%\(|<.*>|^(?:none|null|true|false|your.*|example.*|\*+|x+)$|os\.environ|getenv|^/", re.IGNORECASE
)
_OLD_HOSTS = ("/var/", "/srv/", "/home/", "/opt/", "/run/", "/root/", "/mnt/", "/data/")
_TAKE_FROM_OUTSIDE = "Take it from an environment variable; what is written belongs to the state directory."
_BOUND = re.compile(r"""^\s*bind\s*=\s*["'\[]*[^"']*?:([0-9]{2,5})["'\]]""")


class Texts:
    """Reads one text after another, up to a number of them, and notes in the survey what they say."""

    def __init__(self, survey: Survey, places: Places, findings: Findings, redactor: Redactor) -> None:
        self._survey = survey
        self._places = places
        self._findings = findings
        self._redactor = redactor
        self._scanned = 0
        self._told = 0

    def scan(self, path: str, size: int, *, told: bool) -> None:
        """Reads a text of ``size`` bytes; with ``told`` False it learns its secrets, and tells nothing of it."""
        if size > _MAX_TEXT or self._scanned >= MAX_SCANNED:
            return
        self._scanned += 1
        try:
            data, _ = read_bytes(self._places.in_tree(path), _MAX_TEXT)
        except (OSError, ValueError):
            self._findings.left("file-unreadable", path, "It cannot be read.", "Check that you may read it.")
            return
        if b"\0" in data:
            return
        text = data.decode("utf-8", "surrogateescape")
        for number, line in logical_lines(text):
            if len(line) > 2000:
                continue
            origin = Origin(path, number, line.strip())
            hidden = self._secret(path, line, number, told)
            if told and not hidden:
                self._paths(path, line, origin)
                self._urls(path, line, origin)

    def _secret(self, path: str, line: str, number: int, told: bool) -> bool:
        """Whether the line sets what is called like a secret, so that nothing of its value may be told."""
        setting = _SETTING.match(line)
        if not setting or not is_secret_name(setting[1].rpartition(".")[2]):
            return False
        said = setting[2].strip().removesuffix(",")
        literal = _LITERAL.match(said)
        value = literal[2] if literal else said.strip("\"'") if path.endswith(_CONFIGURATION) or not told else ""
        if len(value) < 4:
            return False
        hidden = Origin(path, number, f"{setting[1]} = {HIDDEN}")
        if _PLACEHOLDER.search(value):
            if told and any(self._is_tied(found, line) for found in absolute_paths(value)) and self._count(path):
                message = f"{setting[1]} holds a path of the old host; as it is called like a secret, it is not shown."
                self._findings.left("absolute-path", path, message, _TAKE_FROM_OUTSIDE, hidden)
            return True
        self._redactor.learn(value)
        if told and self._count(path):
            message = f"{setting[1]} looks like a secret; everybody who has the capsule could read it."
            remedy = "Let the application take it from a file that the host's policy provides, or leave this file out."
            self._findings.suggested("secret-in-file", path, message, remedy, hidden)
        return True

    def _paths(self, path: str, line: str, origin: Origin) -> None:
        if line.lstrip().startswith("#!") or "/" not in line:
            return
        for found in dict.fromkeys(absolute_paths(line)):
            if not self._is_tied(found, line):
                continue
            if not self._count(path):
                return
            if self._places.relative(found) is not None:
                message = f"{shown(found)} is in the old directory; the capsule lies elsewhere, and is read-only."
                remedy = (
                    "Find it by the program's own place (__file__) or a variable; what is written belongs to the state."
                )
            else:
                message = f"{shown(found)} is a path of the old host."
                remedy = _TAKE_FROM_OUTSIDE
            self._findings.left("absolute-path", path, message, remedy, origin)

    def _is_tied(self, found: str, line: str) -> bool:
        """Whether a path that stands in a line is one of the old directory, or of what only the old host has."""
        if found.startswith("/opt/tori/"):
            return False
        if self._places.relative(found) is not None:
            return True
        comment = line.lstrip().startswith(("#", ";", "//"))
        return found.startswith(_OLD_HOSTS) and not comment

    def _urls(self, path: str, line: str, origin: Origin) -> None:
        if "/" not in line and "bind" not in line:
            return
        if path.startswith(("tests/", "test/")) or "/tests/" in path:
            return
        self._survey.health += health_urls(line, origin)
        if found := _BOUND.match(line):
            self._survey.ports.append((int(found[1]), origin))

    def _count(self, path: str) -> bool:
        """Counts what is told of texts, and says once that there is more."""
        self._told += 1
        if self._told == MAX_TOLD + 1:
            message = f"More than {MAX_TOLD} places that name paths or secrets; the rest is not listed."
            self._findings.left("more", path, message, "Mend these, then run caps_migrate again.")
        return self._told <= MAX_TOLD
