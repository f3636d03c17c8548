"""Looks through the application's directory: what is not part of it, what it writes, what ties it to the old host."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from capsule_builder.paths import shown
from capsule_builder.python import venv_config
from capsule_deploy.migrate.confidential import HIDDEN, Redactor, is_secret_name
from capsule_deploy.migrate.model import Findings, Origin
from capsule_deploy.migrate.places import STATE, Places, absolute_paths
from capsule_deploy.migrate.reading import listed, logical_lines, read_bytes

MAX_ENTRIES = 200_000
MAX_SCANNED = 5_000
MAX_TOLD = 100
_MAX_TEXT = 1 << 20
_LARGE = 50 << 20

# capsbuild leaves these out by itself, and nothing in them is the application's.
_SKIPPED = frozenset(
    [
        ".git",
        ".hg",
        ".svn",
        ".jj",
        "__pycache__",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        ".tox",
        ".nox",
        ".idea",
        ".vscode",
    ]
)
_NOT_READ = frozenset({"node_modules", "site-packages", "dist-packages"})
_WRITTEN = frozenset(
    [
        "log",
        "logs",
        "uploads",
        "upload",
        "media",
        "instance",
        "run",
        "pids",
        "sessions",
        "tmp",
        "temp",
        "cache",
        "spool",
    ]
)
_CODE = (".py", ".so", ".html", ".js", ".css", ".sh", ".toml", ".ini", ".cfg", ".yml", ".yaml", ".jinja", ".j2", ".sql")
_TEXTS = (*_CODE, ".conf", ".json", ".env", ".txt", ".properties", ".service", ".md")
_CONFIGURATION = (".sh", ".ini", ".cfg", ".conf", ".toml", ".yml", ".yaml", ".json", ".properties")

_LEFTOVERS = {
    "*.log": r".*\.log",
    "*.log.*": r".*\.log\.[0-9.-]+(?:gz)?",
    "*.pid": r".*\.pid",
    "*.sock": r".*\.sock",
    "nohup.out": r"nohup\.out",
    "celerybeat-schedule*": r"celerybeat-schedule.*",
    "core.[0-9]*": r"core\.[0-9]+",
}
_SECRET_FILE = re.compile(
    r"id_(?:rsa|ecdsa|ed25519)|\.pgpass|\.netrc|\.my\.cnf|\.htpasswd|.*\.(?:key|p12|pfx|jks|keystore|kdbx)"
)
_ENV_FILE = re.compile(r"\.env(?:\..+)?|.*\.env")
_DATABASE = re.compile(r".*\.(?:db|db3|sqlite|sqlite3|rdb)")
_SETTING = re.compile(r"""^\s*(?:export\s+)?["']?([A-Za-z_][\w.-]*)["']?\s*(?::\s*\w+\s*)?[:=](.+)$""")
_LITERAL = re.compile(r"""^[rbuf]?(["'])(.{4,})\1[,;]?$""")
_PLACEHOLDER = re.compile(
    r"\$\{|\{\{|%\(|<.*>|^(?:none|null|true|false|your.*|example.*|\*+|x+)$|os\.environ|getenv|^/", re.IGNORECASE
)
_HEALTH = r"(?:health|healthz|healthcheck|health_check|ping|ready|readyz|readiness|live|livez|liveness|alive|heartbeat)"
_HEALTH_URL = re.compile(
    rf"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::([0-9]{{2,5}}))?(/(?:[\w.-]+/)*{_HEALTH}/?)(?![\w/-])"
)
_HEALTH_ROUTE = re.compile(rf"""["'](/(?:[\w.-]+/)*{_HEALTH}/?)["']""")
_BOUND = re.compile(r"""^\s*bind\s*=\s*["'\[]*[^"']*?:([0-9]{2,5})["'\]]""")


@dataclass
class Survey:
    """What the directory holds. Paths are relative to it."""

    venvs: list[str] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)
    """Paths and patterns to leave out, with the reason."""
    files: int = 0
    health: list[tuple[str, int | None, Origin]] = field(default_factory=list)
    ports: list[tuple[int, Origin]] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)


class Surveyor:
    """Goes through the directory once."""

    def __init__(self, places: Places, findings: Findings, redactor: Redactor) -> None:
        self._places = places
        self._findings = findings
        self._redactor = redactor
        self._scanned = 0
        self._told = 0
        self.survey = Survey()

    def look(self) -> Survey:
        """The survey; paths that are written to are known to ``places`` then."""
        for path in self._walk():
            self._entry(path)
        self._links_to_nothing()
        return self.survey

    def _walk(self) -> Iterator[str]:
        """Everything but what capsbuild leaves out anyway; a directory that is left out is not gone into."""
        todo = [""]
        seen = 0
        while todo:
            base = todo.pop()
            deeper = []
            for item in listed(self._places.in_tree(base)):
                seen += 1
                if seen > MAX_ENTRIES:
                    message = f"The directory has more than {MAX_ENTRIES:,} entries; the rest was not looked at."
                    self._findings.left("survey-limit", base or ".", message, "Look through the rest yourself.")
                    return
                path = f"{base}{item.name}"
                if item.name in _SKIPPED:
                    continue
                if self._is_directory(path):
                    if self._directory(path):
                        deeper.append(f"{path}/")
                else:
                    yield path
            todo += reversed(deeper)

    def _is_directory(self, path: str) -> bool:
        # The entries come from a descriptor that is closed by now, so the path has to do.
        try:
            return stat.S_ISDIR(os.lstat(self._places.in_tree(path)).st_mode)
        except (OSError, ValueError):
            return False

    def _directory(self, path: str) -> bool:
        """Whether to look into a directory."""
        name = posixpath.basename(path)
        if os.path.isfile(self._places.in_tree(f"{path}/{venv_config.NAME}")):
            self.survey.venvs.append(path)
            return False
        if name.lower() in _WRITTEN and not self._has_code(path):
            self.survey.ignored[f"/{path}/"] = "written to while it runs"
            self._places.writable.add(path)
            new = self._places.rewrite_path(f"{self._home()}/{path}", written=True)
            message = f"It is written to while the service runs; in a capsule it belongs to the state directory, {new}."
            remedy = "Move it there once, while the service is stopped, and let the application write there."
            self._findings.left("state-directory", path, message, remedy, Origin(path, 0, ""))
            return False
        return name not in _NOT_READ

    def _home(self) -> str:
        return self._places.homes[0] if self._places.homes else self._places.directory

    def _has_code(self, path: str) -> bool:
        todo, seen = [(path, 0)], 0
        while todo and seen < 2000:
            base, depth = todo.pop()
            for item in listed(self._places.in_tree(base)):
                seen += 1
                inner = f"{base}/{item.name}"
                if item.name.endswith(_CODE):
                    return True
                if depth < 3 and self._is_directory(inner):
                    todo.append((inner, depth + 1))
        return False

    def _entry(self, path: str) -> None:
        here = self._places.in_tree(path)
        try:
            status = os.lstat(here)
        except (OSError, ValueError):
            return
        self.survey.files += 1
        if stat.S_ISLNK(status.st_mode):
            self._link(path)
        elif not stat.S_ISREG(status.st_mode):
            kind = "socket" if stat.S_ISSOCK(status.st_mode) else "fifo" if stat.S_ISFIFO(status.st_mode) else "device"
            self.survey.ignored[f"/{path}"] = f"a {kind}"
            self._findings.left("file-special", path, f"A {kind}; a capsule holds files, links and directories.")
        else:
            self._file(path, status)

    def _link(self, path: str) -> None:
        target = os.readlink(self._places.in_tree(path))
        place = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        if not place.startswith(("/", "../")) and place != "..":
            self.survey.links[path] = place
            return
        self.survey.ignored[f"/{path}"] = "a link that leads out"
        inner = self._places.relative(target) if target.startswith("/") else None
        remedy = f"Make it relative: {inner}." if inner else "Put a copy in its place if the application needs it."
        message = f"The link leads out of the directory, to {shown(target)}. It is left out."
        self._findings.left("link-outside", path, message, remedy, Origin(path, 0, target))

    def _links_to_nothing(self) -> None:
        for path, target in self.survey.links.items():
            gone = not os.path.lexists(self._places.in_tree(target))
            parts = target.split("/")
            above = {f"/{'/'.join(parts[:depth])}/" for depth in range(1, len(parts) + 1)} | {f"/{target}"}
            if gone or above & set(self.survey.ignored):
                self.survey.ignored[f"/{path}"] = "a link to what is left out"
                message = f"The link leads to {shown(target)}, which is not in the capsule. It is left out."
                self._findings.left("link-dangling", path, message, "", Origin(path, 0, target))

    def _file(self, path: str, status: os.stat_result) -> None:
        name = posixpath.basename(path)
        for pattern, spelled in _LEFTOVERS.items():
            if re.fullmatch(spelled, name):
                self.survey.ignored[pattern] = "left behind by what ran"
                return
        if _ENV_FILE.fullmatch(name) and not name.endswith((".example", ".sample", ".template", ".dist")):
            remedy = "Write what is no secret into env of the manifest; let the host's policy provide the rest."
            reason = "a file of variables, where secrets are kept"
            self._leave(path, reason, "env-file", "It may hold secrets, and is left out.", remedy)
            self._scan(path, status, told=False)
            return
        head = self._places.head(self._places.in_tree(path), 65536)
        if _SECRET_FILE.fullmatch(name) or b"PRIVATE KEY-----" in head[:4096]:
            message = "A key or a password file; it is left out."
            self._leave(path, "a secret", "secret-file", message, "Let the host's policy provide it.")
            return
        if head.startswith(b"SQLite format 3\0") or _DATABASE.fullmatch(name):
            self._database(path)
            return
        if status.st_size > _LARGE:
            message = f"{status.st_size:,} bytes: is it part of the application?"
            remedy = "Name it in .capsuleignore if not."
            self._findings.suggested("large-file", path, message, remedy, Origin(path, 0, ""))
        if name.endswith(_TEXTS) or name == "Procfile" or head.startswith(b"#!"):
            self._scan(path, status, told=True)

    def _leave(self, path: str, reason: str, code: str, message: str, remedy: str) -> None:
        self.survey.ignored[f"/{path}"] = reason
        self._findings.left(code, path, message, remedy, Origin(path, 0, ""))

    def _database(self, path: str) -> None:
        self._places.writable.add(path)
        for suffix in ("", "-wal", "-shm", "-journal"):
            if not suffix or os.path.exists(self._places.in_tree(path + suffix)):
                self.survey.ignored[f"/{path}{suffix}"] = "a database"
                self._places.rewrite_path(f"{self._home()}/{path}{suffix}", written=True)
        new = f"{STATE}/{path}"
        message = f"A database; in a capsule it belongs to the state directory, {new}."
        remedy = (
            "Move it there once, while the service is stopped. If it is only read, take its line out of .capsuleignore."
        )
        self._findings.left("state-file", path, message, remedy, Origin(path, 0, ""))

    # What stands in texts

    def _scan(self, path: str, status: os.stat_result, *, told: bool) -> None:
        if status.st_size > _MAX_TEXT or self._scanned >= MAX_SCANNED:
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
            if told:
                self._urls(path, line, origin)

    def _secret(self, path: str, line: str, number: int, told: bool) -> bool:
        setting = _SETTING.match(line)
        if not setting or not is_secret_name(setting[1].rpartition(".")[2]):
            return False
        said = setting[2].strip().removesuffix(",")
        literal = _LITERAL.match(said)
        value = literal[2] if literal else said.strip("\"'") if path.endswith(_CONFIGURATION) or not told else ""
        if len(value) < 4 or _PLACEHOLDER.search(value):
            return False
        self._redactor.learn(value)
        if told and self._count(path):
            message = f"{setting[1]} looks like a secret; everybody who has the capsule could read it."
            remedy = "Let the application take it from a file that the host's policy provides, or leave this file out."
            self._findings.suggested(
                "secret-in-file", path, message, remedy, Origin(path, number, f"{setting[1]} = {HIDDEN}")
            )
        return True

    def _paths(self, path: str, line: str, origin: Origin) -> None:
        if line.lstrip().startswith("#!") or "/" not in line:
            return
        for found in dict.fromkeys(absolute_paths(line)):
            inner = self._places.relative(found)
            foreign = found.startswith(
                ("/var/", "/srv/", "/home/", "/opt/", "/run/", "/root/", "/mnt/", "/data/", "/media/")
            )
            if found.startswith("/opt/tori/") or (inner is None and not foreign):
                continue
            if inner is None and (found.startswith("/media/") or line.lstrip().startswith(("#", ";", "//"))):
                continue
            if not self._count(path):
                return
            if inner is not None:
                message = f"{shown(found)} is in the old directory; the capsule lies elsewhere, and is read-only."
                remedy = (
                    "Find it by the program's own place (__file__) or a variable; what is written belongs to the state."
                )
            else:
                message = f"{shown(found)} is a path of the old host."
                remedy = "Take it from an environment variable; what is written belongs to the state directory."
            self._findings.left("absolute-path", path, message, remedy, origin)

    def _urls(self, path: str, line: str, origin: Origin) -> None:
        if "/" not in line and "bind" not in line:
            return
        if path.startswith(("tests/", "test/")) or "/tests/" in path:
            return
        self.survey.health += health_urls(line, origin)
        if found := _BOUND.match(line):
            self.survey.ports.append((int(found[1]), origin))

    def _count(self, path: str) -> bool:
        """Counts what is told of texts, and says once that there is more."""
        self._told += 1
        if self._told == MAX_TOLD + 1:
            message = f"More than {MAX_TOLD} places that name paths or secrets; the rest is not listed."
            self._findings.left("more", path, message, "Mend these, then run caps_migrate again.")
        return self._told <= MAX_TOLD


def health_urls(line: str, origin: Origin) -> list[tuple[str, int | None, Origin]]:
    """What in a line looks like the URL of a health check: path, port if it is there, and place."""
    found: list[tuple[str, int | None, Origin]] = []
    for url in _HEALTH_URL.finditer(line):
        found.append((url[2], int(url[1]) if url[1] else None, origin))
    if not found:
        found += [(route[1], None, origin) for route in _HEALTH_ROUTE.finditer(line)]
    return found
