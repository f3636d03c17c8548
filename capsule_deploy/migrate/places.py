"""Where the paths of the old host are: on this disk now, and in a capsule or the state directory later."""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable

from capsule_deploy.migrate.reading import names_in, read_bytes, read_text, within

STATE = "/opt/tori/state"
"""Where a service sees the one directory that it may write to; on the host that is the application's, below it."""

# Nobody's application is one of these itself.
_SYSTEM = ("/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root", "/run", "/sbin")
_SYSTEM_TOO = (
    "/srv",
    "/sys",
    "/tmp",  # noqa: S108
    "/usr",
    "/usr/bin",
    "/usr/local",
    "/usr/local/bin",
    "/usr/sbin",
    "/var",
)

# A path in a value: after nothing, a quote, "=", ":" or ",", and after "sqlite:///" and "file://", but not in a URL.
_PATH = re.compile(r"(?:(?<=sqlite:///)|(?<=file://)|(?<![\w./%~$*?-]))/(?![/*])[^\s:,;'\"<>|&(){}]*")

_ONE_PATH = re.compile(r"(|-[\w-]*=)(/.*)", re.DOTALL)
"""A value that is a path as a whole, or an option's."""

_PLAIN = ("/bin", "/dev", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr", "/opt/tori")
"""Below these a capsule's service finds what any program finds."""

_STATEFUL = re.compile(r"\.(?:log|db|db3|sqlite3?|rdb|pid|sock|lock|aof)(?:[-.][\w.]*)?$")


class Places:
    """The old host, and the application's directory on it.

    ``root`` is its ``/``, here; ``directory`` the application, here. ``name`` is the application's, as soon as it is
    known; ``writable`` are paths in the directory that the service writes to.
    """

    def __init__(self, root: str, directory: str) -> None:
        self.root = os.path.abspath(root)
        self.directory = os.path.abspath(directory)
        self.name = "app"
        self.writable: set[str] = set()
        self.moved: dict[str, str] = {}
        """What was rewritten: paths of the old host, and what they are in the state directory."""
        self.foreign: dict[str, None] = {}
        """Paths of the old host that were kept, though they lie outside of all that a capsule has."""
        self._homes = self._own_homes()

    def _own_homes(self) -> list[str]:
        homes = []
        for root, place in (
            (self.root, self.directory),
            (os.path.realpath(self.root), os.path.realpath(self.directory)),
        ):
            inner = os.path.relpath(place, root)
            if inner == ".." or inner.startswith("../"):
                continue
            home = posixpath.normpath(f"/{inner}")
            if home not in homes and home != "/":
                homes.append(home)
        return homes

    @property
    def homes(self) -> list[str]:
        """The directory's paths on the old host, the likeliest first."""
        return list(self._homes)

    def guess_home(self, text: str) -> str | None:
        """Learns where the directory lay on the old host, when the text names it by another path than it has now.

        What fits best is that below which most of the text's paths are found.
        """
        found = [posixpath.normpath(path) for path in _PATH.findall(text)[:1000] if len(path) < 1000]
        if any(self.relative(path) is not None for path in found):
            return None
        votes: Counter[str] = Counter()
        for path in dict.fromkeys(found):
            parts = path.split("/")
            for cut in range(2, len(parts)):
                home = "/".join(parts[:cut])
                if home not in (*_SYSTEM, *_SYSTEM_TOO) and self._there("/".join(parts[cut:])):
                    votes[home] += 1
        if not votes:
            return None
        most = max(votes.values())
        home = max((home for home, count in votes.items() if count == most), key=lambda home: (len(home), home))
        self._homes.append(home)
        return home

    def _there(self, inner: str) -> bool:
        try:
            return os.path.lexists(os.path.join(self.directory, inner))
        except ValueError:
            return False

    def relative(self, path: str) -> str | None:
        """The path in the directory of an absolute path on the old host ("" is itself); None when it lies outside."""
        path = posixpath.normpath(path)
        for home in self._homes:
            if path == home:
                return ""
            if path.startswith(f"{home}/"):
                return path[len(home) + 1 :]
        return None

    def here(self, path: str) -> str:
        """Where an absolute path on the old host is on this disk."""
        inner = self.relative(path)
        if inner is not None:
            return os.path.join(self.directory, inner) if inner else self.directory
        return os.path.join(self.root, posixpath.normpath(path).lstrip("/"))

    def there(self, path: str) -> str:
        """What a path on this disk is called on the old host."""
        for root in (self.directory, os.path.realpath(self.directory)):
            if self._homes and (path == root or path.startswith(f"{root}/")):
                return self._homes[0] + path[len(root) :]
        inner = os.path.relpath(path, self.root)
        return os.path.abspath(path) if inner.startswith("..") else posixpath.normpath(f"/{inner}")

    def in_tree(self, inner: str) -> str:
        """Where a path in the directory is on this disk."""
        return os.path.join(self.directory, inner)

    def shown(self, path: str) -> str:
        """How the report calls a file on this disk: by its path in the directory, or on the old host."""
        for root in (self.directory, os.path.realpath(self.directory)):
            if path.startswith(f"{root}/"):
                return path[len(root) + 1 :]
        return self.there(path)

    @property
    def state(self) -> str:
        """The application's state directory, as the new host has it."""
        return f"{STATE}/{self.name}"

    def is_written(self, inner: str) -> bool:
        """Whether the service writes to a path in the directory, as far as anybody can tell."""
        if any(inner == place or inner.startswith(f"{place}/") for place in self.writable):
            return True
        try:
            return not os.path.exists(self.in_tree(inner)) or bool(_STATEFUL.search(inner))
        except ValueError:
            return True

    def rewrite(self, text: str, *, written: bool = False) -> str:
        """The text with its absolute paths as a capsule's service has them.

        What lies in the directory becomes relative to the capsule's root, where services run; what is written to, and
        with ``written`` all of it, is in the state directory.
        """
        one = _ONE_PATH.fullmatch(text)
        if one and (inner := self.relative(one[2])) and self._there(inner):  # it may have spaces, or anything
            return one[1] + self._new_place(one[2], written)
        return _PATH.sub(lambda found: self._new_place(found[0], written), text)

    def rewrite_path(self, path: str, *, written: bool = False) -> str:
        """The same of one absolute path, whatever characters it holds."""
        return self._new_place(path, written)

    def _new_place(self, path: str, written: bool) -> str:
        normal = posixpath.normpath(path)
        inner = self.relative(normal)
        if inner is not None:
            if not inner:
                return "."
            if written or self.is_written(inner):
                return self._move(normal, inner)
            return inner + ("/" if path.endswith("/") else "")
        for old, new in (
            ("/var/log/", "log/"),
            ("/var/lib/", ""),
            ("/var/cache/", "cache/"),
            ("/var/spool/", "spool/"),
        ):
            if normal.startswith(old):
                return self._move(normal, f"{new}{self._without_own(normal[len(old) :])}")
        if normal.startswith(("/run/", "/var/run/")) and normal.endswith((".sock", ".socket", ".pid")):
            return self._move(normal, f"run/{posixpath.basename(normal)}")
        if written and not normal.startswith(("/dev/", "/proc/", "/tmp/")):  # noqa: S108
            return self._move(normal, posixpath.basename(normal))
        if not any(normal == place or normal.startswith(f"{place}/") for place in _PLAIN):
            self.foreign.setdefault(normal)
        return path

    def _without_own(self, inner: str) -> str:
        """``shop/data`` is ``data`` in the state directory of the application itself."""
        first, _, rest = inner.partition("/")
        return rest if first in {self.name, self.name.replace("-", "_"), posixpath.basename(self.directory)} else inner

    def _move(self, old: str, new: str) -> str:
        self.moved.setdefault(old, new.strip("/"))
        return posixpath.join(STATE, new).rstrip("/")

    def text(self, path: str) -> str:
        """The text of a file on this disk, whose links are those of the old host.

        Raises:
            CapsuleError: it is not there, or cannot be read.
        """
        return read_text(path, self.shown(path), self.root)

    def names_in(self, path: str) -> list[str]:
        """The names of what lies in a directory on this disk, sorted; nothing when it cannot be read."""
        try:
            return names_in(within(self.root, path))
        except OSError:
            return []

    def head(self, path: str, size: int = 4096) -> bytes:
        """The first bytes of a file on this disk; none when it cannot be read."""
        try:
            return read_bytes(path, size)[0]
        except (OSError, ValueError):
            return b""

    def is_file(self, path: str) -> bool:
        """Whether there is a file on this disk; a path that no file can have is none."""
        try:
            return os.path.isfile(path)
        except ValueError:
            return False


def absolute_paths(text: str) -> Iterable[str]:
    """The absolute paths that a text names."""
    return (found for found in _PATH.findall(text) if found != "/")
