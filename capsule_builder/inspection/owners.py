"""Whose each entry is: the application's, a distribution's, the environment's, or the interpreter's.

``RECORD`` files say so ("Recording installed projects", packaging.python.org). Where there are none, as with a listing
alone, names have to do.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Literal

from packaging.utils import canonicalize_name

from capsule_builder.inspection.content import Content
from capsule_builder.python.layout import INTERPRETER, VENV

GroupKind = Literal["application", "distribution", "package", "environment", "interpreter"]

_SITE = re.compile(r"(venv/lib/python3\.[0-9]+/site-packages)/([^/]+)(/.*)?")
_DIST_INFO = re.compile(r"([^/]+?)-([^-/]+)\.dist-info")
_HEADERS = re.compile(r"venv/include/site/python3\.[0-9]+/([^/]+)/.*")
_BYTECODE = re.compile(r"(.*/)__pycache__/([^/.]+)\.[^/]*\.pyc")


@dataclass(frozen=True, slots=True)
class Group:
    """What an entry belongs to.

    ``name`` and ``version`` of a distribution are as its ``.dist-info`` directory has them, the name normalised (PEP
    503). A ``package`` is a name in site-packages that no distribution is known to own.
    """

    kind: GroupKind
    name: str
    version: str = ""

    @property
    def key(self) -> tuple[GroupKind, str]:
        """The same for all versions."""
        return self.kind, self.name

    @property
    def title(self) -> str:
        """For people: ``numpy 2.0.1``."""
        return f"{self.name} {self.version}" if self.version else self.name


APPLICATION = Group("application", "application")
ENVIRONMENT = Group("environment", "environment")
BUNDLED = Group("interpreter", "interpreter")


class Owners:
    """Tells of each path of ``content`` whose it is.

    ``other`` is a capsule that it is compared with: what one knows from its RECORDs, the other without them is told.
    """

    def __init__(self, content: Content, other: Owners | None = None) -> None:
        paths = {item.path: item for item in content.items}
        self._has_venv = f"{VENV}/pyvenv.cfg" in paths
        self._has_interpreter = any(
            item.kind == "symlink" and item.detail == f"../../{path}"
            for path in paths
            if path.startswith(f"{INTERPRETER}/bin/python3.") and (item := paths.get(f"{VENV}/bin/{path[11:]}"))
        )
        directories: dict[str, Group] = {}
        for path in paths if self._has_venv else ():
            place = _SITE.fullmatch(path) if path.endswith(".dist-info/METADATA") else None
            if place and place[3] == "/METADATA" and (name := _DIST_INFO.fullmatch(place[2])):
                directories[posixpath.dirname(path)] = Group("distribution", canonicalize_name(name[1]), name[2])
        self.distributions = tuple(sorted(directories.values(), key=lambda group: (group.name, group.version)))
        self._by_name = {group.name: group for group in self.distributions}
        self._claimed: dict[str, Group] = {}
        self._tops: dict[str, str] = dict(other._tops) if other else {}
        for record, rows in content.records.items():
            directory = posixpath.dirname(record)
            if group := directories.get(directory):
                self._claim(posixpath.dirname(directory), rows, group)

    def _claim(self, site: str, rows: list[str], group: Group) -> None:
        for row in rows:
            path = posixpath.normpath(posixpath.join(site, row))
            self._claimed.setdefault(path, group)
            top = path[len(site) + 1 :].split("/")[0] if path.startswith(f"{site}/") else path
            self._tops.setdefault(top, group.name)

    def of(self, path: str) -> Group:
        """The owner of ``path``."""
        if self._has_venv and path.startswith(f"{VENV}/"):
            return self._claimed.get(path) or self._by_bytecode(path) or self._by_name_of(path)
        if self._has_interpreter and path.startswith(f"{INTERPRETER}/"):
            return BUNDLED
        return APPLICATION

    def _by_bytecode(self, path: str) -> Group | None:
        match = _BYTECODE.fullmatch(path)
        return self._claimed.get(f"{match[1]}{match[2]}.py") if match else None

    def _by_name_of(self, path: str) -> Group:
        if headers := _HEADERS.fullmatch(path):
            return self._by_name.get(headers[1], ENVIRONMENT)
        match = _SITE.fullmatch(path)
        if not match:
            return self._by_name.get(self._tops.get(path, ""), ENVIRONMENT)
        top = match[2]
        if (info := _DIST_INFO.fullmatch(top)) and (group := self._by_name.get(canonicalize_name(info[1]))):
            return group
        name = self._tops.get(top) or canonicalize_name(top.removesuffix(".libs").removesuffix(".py"))
        return self._by_name.get(name) or Group("package", top)
