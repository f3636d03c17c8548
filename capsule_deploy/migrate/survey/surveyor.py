"""Looks through the application's directory: what is not part of it, what it writes, what ties it to the old host."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Iterator

from capsule_builder.paths import shown
from capsule_builder.python import venv_config
from capsule_deploy.migrate.confidential import Redactor
from capsule_deploy.migrate.model import Findings, Origin
from capsule_deploy.migrate.places import STATE, Places
from capsule_deploy.migrate.reading import listed
from capsule_deploy.migrate.survey.survey import Survey
from capsule_deploy.migrate.survey.texts import Texts

MAX_ENTRIES = 200_000

_LARGE = 50 << 20

# capsbuild leaves these out by itself, and nothing in them is the application's.
_SKIPPED = frozenset([
    ".git", ".hg", ".svn", ".jj", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".tox", ".nox",
    ".idea", ".vscode",
])  # fmt: skip
_NOT_READ = frozenset({"node_modules", "site-packages", "dist-packages"})
_WRITTEN = frozenset([
    "log", "logs", "uploads", "upload", "media", "instance", "run", "pids", "sessions", "tmp", "temp", "cache",
    "spool",
])  # fmt: skip
_CODE = (".py", ".so", ".html", ".js", ".css", ".sh", ".toml", ".ini", ".cfg", ".yml", ".yaml", ".jinja", ".j2", ".sql")
_TEXTS = (*_CODE, ".conf", ".json", ".env", ".txt", ".properties", ".service", ".md")


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


class Surveyor:
    """Goes through the directory once."""

    def __init__(self, places: Places, findings: Findings, redactor: Redactor) -> None:
        self._places = places
        self._findings = findings
        self.survey = Survey()
        self._texts = Texts(self.survey, places, findings, redactor)

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
            self._texts.scan(path, status.st_size, told=False)
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
            self._texts.scan(path, status.st_size, told=True)

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
