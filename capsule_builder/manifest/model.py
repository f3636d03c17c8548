"""What a valid manifest says, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

DEFAULT_INTERVAL = 1.0
DEFAULT_TIMEOUT = 5.0
DEFAULT_DEADLINE = 60.0
DEFAULT_SUCCESSES = 3


class HealthCheck(NamedTuple):
    """How to ask one service whether it is ready to serve. Exactly one of ``http`` and ``command`` is given.

    ``http`` is a path such as ``/healthz``: healthy is an answer of 2xx. It is asked on the loopback address at
    ``port``, or on the service's own private socket when ``port`` is None. ``command`` is an argument list whose
    first item is a path in the capsule: healthy is an exit status of 0.

    A check runs every ``interval`` seconds and may take ``timeout`` seconds; the service is healthy after
    ``successes`` good answers in a row, and has failed when that has not happened within ``deadline`` seconds.
    """

    http: str | None = None
    port: int | None = None
    command: tuple[str, ...] = ()
    interval: float = DEFAULT_INTERVAL
    timeout: float = DEFAULT_TIMEOUT
    deadline: float = DEFAULT_DEADLINE
    successes: int = DEFAULT_SUCCESSES


class Service(NamedTuple):
    """One process of the application.

    ``entrypoint`` is None where the manifest's own is meant; ``env`` holds only what the service adds to or
    changes in the manifest's ``env``.
    """

    name: str
    entrypoint: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    health: HealthCheck | None = None


class Resources(NamedTuple):
    """Limits for the whole release, in systemd's own notation (``systemd.resource-control(5)``); None is no limit."""

    cpu_quota: str | None = None
    memory_max: str | None = None
    memory_high: str | None = None
    tasks_max: int | None = None
    io_weight: int | None = None


class Sandbox(NamedTuple):
    """Where a release's sandbox differs from the usual: looser by each of ``allow``, tighter by each of ``deny``."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class Manifest(NamedTuple):
    """A whole, valid ``capsule.yml``. Paths are relative to the capsule's root and ``/``-separated."""

    name: str
    version: str
    entrypoint: str
    services: tuple[Service, ...] = ()
    env: Mapping[str, str] = {}
    python: str | None = None
    pip_requirements: str | None = None
    resources: Resources = Resources()
    sandbox: Sandbox = Sandbox()
    executables: tuple[str, ...] = ()
