"""Reads ``services`` and what is started for them."""

from __future__ import annotations

import re

from capsule_builder.manifest.document import Mapping, Node, Scalar
from capsule_builder.manifest.environment import read_env
from capsule_builder.manifest.health import read_health
from capsule_builder.manifest.model import Service
from capsule_builder.manifest.names import SERVICE_NAME
from capsule_builder.manifest.problems import Position, Report, quoted
from capsule_builder.manifest.sections import Section, open_section, read_items, read_text
from capsule_builder.manifest.structure import is_set_aside
from capsule_builder.manifest.unit_text import PATH, UNIT_TEXT


def read_services(top: Section, report: Report) -> tuple[Service, ...]:
    """The services of the manifest, in its order, without those that have no right name."""
    node = top.value("services")
    if node is None:
        return ()
    if isinstance(node, Mapping) and not is_set_aside(node):
        first = next((key.text for key, _ in node.pairs if isinstance(key, Scalar)), SERVICE_NAME.example)
        remedy = f"write a list, as in - name: {first}"
        report.error(node.position, "not-a-list", "services", "is a mapping, and must be a list", remedy)
        return ()
    services: dict[str, Service] = {}
    lines: dict[str, int] = {}
    for item, field in read_items(node, "services", SERVICE_NAME.example, report):
        service, place, name_field = _read_service(item, field, report)
        if service.name in services:
            message = f"duplicate service {quoted(service.name)}, first given in line {lines[service.name]}"
            report.error(place, "duplicate-service", name_field, message, "give it another name, or remove it")
        elif service.name:
            services[service.name] = service
            lines[service.name] = place.line
    return tuple(services.values())


def _read_service(node: Node, field: str, report: Report) -> tuple[Service, Position, str]:
    """One item of the list, with the place and the path of its name; the name is empty if it is at fault."""
    if not isinstance(node, Mapping):
        return Service(read_text(node, field, SERVICE_NAME, report) or ""), node.position, field
    section = open_section(node, field, "a service", report)
    if section is None:
        return Service(""), node.position, field
    section.require("name", node.position, SERVICE_NAME.example)
    service = Service(
        name=section.text("name", SERVICE_NAME) or "",
        entrypoint=read_entrypoint(section, report),
        args=section.texts("args", UNIT_TEXT),
        env=read_env(section, report),
        health=read_health(section, report),
    )
    return service, section.place("name"), section.path("name")


def read_entrypoint(section: Section, report: Report) -> str | None:
    """The section's ``entrypoint``, with a warning when it looks like a command or an object."""
    path = section.text("entrypoint", PATH)
    if path and (" " in path or re.fullmatch(r"[\w.]+:\w+", path)):
        message = f"{quoted(path)} is taken for the path of one file, not for a command or a Python object"
        remedy = "if a command is meant, name its file here and its arguments in the args of a service"
        place, field = section.place("entrypoint"), section.path("entrypoint")
        report.warning(place, "entrypoint-not-a-path", field, message, remedy)
    return path
