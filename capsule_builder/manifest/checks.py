"""From nodes to a ``Manifest``, section by section."""

from __future__ import annotations

from capsule_builder.manifest.document import Node
from capsule_builder.manifest.environment import read_env
from capsule_builder.manifest.executable_patterns import EXECUTABLE
from capsule_builder.manifest.model import Manifest
from capsule_builder.manifest.names import NAME
from capsule_builder.manifest.problems import START, Report
from capsule_builder.manifest.resources import read_resources
from capsule_builder.manifest.sandbox import read_sandbox
from capsule_builder.manifest.sections import open_section
from capsule_builder.manifest.services import read_entrypoint, read_services
from capsule_builder.manifest.unit_text import PATH
from capsule_builder.manifest.versions import PYTHON, VERSION

_REQUIRED = (("name", NAME), ("version", VERSION), ("entrypoint", PATH))


def read_manifest(root: Node, report: Report) -> Manifest | None:
    """The manifest that the nodes spell. What is at fault is missing in it: use it when the report has no errors."""
    top = open_section(root, "", "the manifest", report)
    if top is None:
        return None
    for key, rule in _REQUIRED:
        top.require(key, START, rule.example)
    dependencies = top.section("dependencies", "dependencies")
    return Manifest(
        name=top.text("name", NAME) or "",
        version=top.text("version", VERSION) or "",
        entrypoint=read_entrypoint(top, report) or "",
        services=read_services(top, report),
        env=read_env(top, report),
        python=dependencies.text("python", PYTHON) if dependencies else None,
        pip_requirements=dependencies.text("pip_requirements", PATH) if dependencies else None,
        resources=read_resources(top, report),
        sandbox=read_sandbox(top),
        executables=top.texts("executables", EXECUTABLE),
    )
