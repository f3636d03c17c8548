"""The configuration of supervisor, with the files that it includes."""

from __future__ import annotations

import fnmatch
import os
import posixpath
from dataclasses import dataclass, field

from capsule_deploy.migrate.model import Findings, Origin
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.supervisor.ini import Option, parse_ini
from capsule_deploy.migrate.supervisor.values import expand

_MAX_FILES = 200


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


class Configuration:
    """All sections, in the order in which supervisor finds them, and the files as the report calls them."""

    def __init__(self, places: Places, findings: Findings) -> None:
        self._places = places
        self._findings = findings
        self.sections: list[Section] = []
        self.files: list[str] = []

    def programs(self) -> list[Section]:
        """The sections of programs."""
        return [section for section in self.sections if section.name.startswith("program:")]

    def group(self, program: str) -> str:
        """The group that a program is in; its own when no other is named."""
        for section in self.sections:
            if section.name.startswith("group:"):
                programs = [name.strip() for name in (section.get("programs") or "").split(",")]
                if program in programs:
                    return section.name.partition(":")[2].strip()
        return program

    def read(self, path: str, text: str, *, follow: bool = True) -> None:
        """Reads a file and, with ``follow``, what it includes; each once."""
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
            names = fnmatch.filter(self._places.names_in(directory), posixpath.basename(pattern))
            for name in names:
                file = os.path.join(directory, name)
                self.read(file, self._places.text(file), follow=False)
            message = f"{len(names)} file(s) read."
            self._findings.changed("include", "files", message, "", section.origin("files"))
