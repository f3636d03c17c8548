"""Reads ``resources``."""

from __future__ import annotations

from capsule_builder.manifest.model import Resources
from capsule_builder.manifest.problems import Report, quoted
from capsule_builder.manifest.quantities import CPU_QUOTA, MEMORY, size_in_bytes
from capsule_builder.manifest.sections import Section

# The kernel has no more process ids than this (PID_MAX_LIMIT).
MOST_TASKS = 4_194_304
MOST_IO_WEIGHT = 10_000


def read_resources(top: Section, report: Report) -> Resources:
    """The limits of the manifest, without those at fault."""
    section = top.section("resources", "resources")
    if section is None:
        return Resources()
    resources = Resources(
        cpu_quota=section.text("cpu_quota", CPU_QUOTA),
        memory_max=section.text("memory_max", MEMORY),
        memory_high=section.text("memory_high", MEMORY),
        tasks_max=section.integer("tasks_max", 1, MOST_TASKS),
        io_weight=section.integer("io_weight", 1, MOST_IO_WEIGHT),
    )
    _warn_of_idle_limit(section, resources, report)
    return resources


def _warn_of_idle_limit(section: Section, resources: Resources, report: Report) -> None:
    high, most = (size_in_bytes(text) if text else None for text in (resources.memory_high, resources.memory_max))
    if high is not None and most is not None and high >= most:
        message = f"{quoted(resources.memory_high or '')} is not below memory_max, so it never takes effect"
        remedy = "write less than memory_max, or remove it"
        report.warning(section.place("memory_high"), "idle-limit", section.path("memory_high"), message, remedy)
