"""A unit with its drop-ins, as systemd merges them (systemd.unit(5))."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from capsule_deploy.migrate.model import Findings, Origin
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.reading import UnreadableError
from capsule_deploy.migrate.systemd.syntax import parse_unit

DIRECTORIES = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")
"""Where units lie, the strongest first."""

_LISTS = frozenset([
    "ExecStart", "ExecStartPre", "ExecStartPost", "ExecStop", "ExecStopPost", "ExecReload", "ExecCondition",
    "Environment", "EnvironmentFile", "PassEnvironment", "UnsetEnvironment", "ReadWritePaths", "ReadWriteDirectories",
    "ReadOnlyPaths", "InaccessiblePaths", "StateDirectory", "LogsDirectory", "CacheDirectory", "RuntimeDirectory",
    "ConfigurationDirectory", "SupplementaryGroups", "SystemCallFilter", "LoadCredential", "SetCredential",
    "BindPaths", "BindReadOnlyPaths", "DeviceAllow", "After", "Before", "Wants", "Requires", "WantedBy", "Alias",
    "CapabilityBoundingSet", "AmbientCapabilities", "RestrictAddressFamilies", "Documentation", "Also", "RequiredBy",
    "Requisite", "BindsTo", "PartOf", "Conflicts", "OnFailure", "Sockets", "IPAddressAllow", "IPAddressDeny",
])  # fmt: skip


@dataclass
class Unit:
    """A unit with its drop-ins: the values that count, by directive."""

    path: str
    """Where the unit itself lies on this disk."""
    files: list[str] = field(default_factory=list)
    """It and its drop-ins, as the report calls them."""
    values: dict[str, list[tuple[str, Origin]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is called."""
        return os.path.basename(self.path)

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self.name.removesuffix(".service")

    def all(self, key: str) -> list[tuple[str, Origin]]:
        """The values of a list, in order."""
        return self.values.get(key, [])

    def last(self, key: str) -> tuple[str, Origin] | None:
        """The value of a directive that has one."""
        return self.values[key][-1] if self.values.get(key) else None


def load(path: str, text: str, places: Places, findings: Findings) -> Unit:
    """The unit in the file ``path``, whose text is known, with its drop-ins.

    Raises:
        CapsuleError: a drop-in cannot be read.
    """
    unit = Unit(path)
    _merge(unit, path, text, places, findings)
    for drop_in in _drop_ins(unit, places):
        try:
            text = places.text(drop_in)
        except UnreadableError as error:
            if places.is_file(drop_in):
                raise
            origin = Origin(places.shown(drop_in), 0, "")
            findings.left("file-unreadable", unit.name, f"{error.problems[0].message}; systemd ignores it.", "", origin)
        else:
            _merge(unit, drop_in, text, places, findings)
    return unit


def _merge(unit: Unit, path: str, text: str, places: Places, findings: Findings) -> None:
    name = places.shown(path)
    unit.files.append(name)
    assignments, complaints = parse_unit(text)
    for complaint in complaints:
        origin = Origin(name, complaint.line, complaint.text)
        message = f"systemd takes no notice of the line: {complaint.message}."
        findings.left("line-invalid", "", message, "", origin)
    for one in assignments:
        origin = Origin(name, one.line, one.text)
        if one.section.startswith("X-"):
            continue
        if one.section not in ("Unit", "Service", "Install"):
            findings.left("section", one.key, f"A service has no section [{one.section}].", "", origin)
            continue
        known = unit.values.setdefault(one.key, [])
        if one.value and one.key in _LISTS:
            known.append((one.value, origin))
            continue
        for _, before in known:
            message = f"{name}, line {one.line}, takes its place."
            findings.changed("overridden", one.key, message, "", before)
        known[:] = [(one.value, origin)] if one.value else []
        if not one.value:
            findings.changed("reset", one.key, "An empty value: what was set before is gone.", "", origin)


def _drop_ins(unit: Unit, places: Places) -> list[str]:
    """The drop-ins that count, by their names; of two with one name, the one from the stronger directory."""
    beside = os.path.dirname(os.path.abspath(unit.path))
    system = [os.path.join(places.root, place.lstrip("/")) for place in DIRECTORIES]
    directories = [*system, beside] if beside not in system else system
    found: dict[str, str] = {}
    for name in _drop_in_names(unit):
        for place in directories:
            directory = os.path.join(place, f"{name}.d")
            for entry in places.names_in(directory):
                if entry.endswith(".conf"):
                    found.setdefault(entry, os.path.join(directory, entry))
    return [found[name] for name in sorted(found) if os.path.realpath(found[name]) != os.devnull]


def _drop_in_names(unit: Unit) -> list[str]:
    """The unit's name, its template's, and what they are called up to each dash; the most particular first."""
    stem, at, instance = unit.stem.partition("@")
    names = [unit.name]
    if at and instance:
        names.append(f"{stem}@.service")
    while "-" in stem.rstrip("-"):
        stem = stem.rstrip("-").rpartition("-")[0] + "-"
        names.append(f"{stem}.service")
    return [*names, "service"]


def stem_of(name: str) -> str:
    """What a unit's name says of the service: without the suffix and the instance."""
    return name.removesuffix(".service").partition("@")[0]
