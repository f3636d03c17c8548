"""Reads the ``health`` check of a service."""

from __future__ import annotations

from capsule_builder.manifest import model
from capsule_builder.manifest.document import Sequence
from capsule_builder.manifest.model import HealthCheck
from capsule_builder.manifest.problems import Report
from capsule_builder.manifest.quantities import DURATION, seconds
from capsule_builder.manifest.sections import Section, read_items, read_text
from capsule_builder.manifest.unit_text import HTTP_PATH, PATH, UNIT_TEXT

MOST_SUCCESSES = 100
MOST_PORT = 65_535


def read_health(service: Section, report: Report) -> HealthCheck | None:
    """The service's check; None where it has none or it is not a mapping."""
    section = service.section("health", "health")
    if section is None:
        return None
    _check_kind(section, report)
    interval, timeout, deadline = (section.text(key, DURATION) for key in ("interval", "timeout", "deadline"))
    successes = section.integer("successes", 1, MOST_SUCCESSES)
    health = HealthCheck(
        http=section.text("http", HTTP_PATH),
        port=section.integer("port", 1, MOST_PORT),
        command=_read_command(section, report),
        interval=seconds(interval) if interval else model.DEFAULT_INTERVAL,
        timeout=seconds(timeout) if timeout else model.DEFAULT_TIMEOUT,
        deadline=seconds(deadline) if deadline else model.DEFAULT_DEADLINE,
        successes=successes or model.DEFAULT_SUCCESSES,
    )
    read = {"interval": interval, "deadline": deadline, "successes": successes}
    if all(value is not None or section.value(key) is None for key, value in read.items()):
        _check_deadline(section, health, report)
    return health


def _check_kind(section: Section, report: Report) -> None:
    http, command, port = (section.value(key) for key in ("http", "command", "port"))
    if http and command:
        message = "http and command exclude each other"
        report.error(command.position, "health-kind", section.path("command"), message, "keep one of the two")
    elif not http and not command:
        message = "neither http nor command is given"
        report.error(section.position, "health-kind", section.field, message, "add one, as in http: /healthz")
    if port and not http and command:
        message = "port belongs to an http check"
        report.error(port.position, "health-kind", section.path("port"), message, "remove it, or write http: /healthz")


def _read_command(section: Section, report: Report) -> tuple[str, ...]:
    node = section.value("command")
    if node is None:
        return ()
    field = section.path("command")
    if isinstance(node, Sequence) and not node.items:
        report.error(node.position, "empty-list", field, "is an empty list", 'write a program, as in ["bin/check"]')
    words = [
        read_text(item, item_field, UNIT_TEXT if index else PATH, report)
        for index, (item, item_field) in enumerate(read_items(node, field, "bin/check", report))
    ]
    return tuple(word for word in words if word is not None)


def _check_deadline(section: Section, health: HealthCheck, report: Report) -> None:
    """A deadline before the last of the wanted successes would fail every start."""
    least = (health.successes - 1) * health.interval
    if health.deadline <= least:
        message = f"{health.successes} successes, one every {health.interval:g} s, take longer than the deadline"
        remedy = f"allow more than {least:g} s, or ask for fewer successes"
        report.error(section.place("deadline"), "deadline-too-short", section.path("deadline"), message, remedy)
