"""The limits of a unit that a manifest has, too (systemd.resource-control(5))."""

from __future__ import annotations

from capsule_deploy.migrate.model import Findings, Variable
from capsule_deploy.migrate.systemd.unit import Unit

LIMITS = {
    "CPUQuota": "cpu_quota", "MemoryMax": "memory_max", "MemoryLimit": "memory_max", "MemoryHigh": "memory_high",
    "TasksMax": "tasks_max", "IOWeight": "io_weight",
}  # fmt: skip
"""Directives, and their keys in ``resources`` of the manifest."""


def limits(unit: Unit, findings: Findings) -> dict[str, Variable]:
    """The limits by the manifest's keys, as the unit writes them."""
    found: dict[str, Variable] = {}
    for directive, key in LIMITS.items():
        last = unit.last(directive)
        if last is None:
            continue
        if key in found:
            findings.changed("overridden", directive, "MemoryMax takes its place.", "", last[1])
        else:
            found[key] = Variable(*last)
    return found
