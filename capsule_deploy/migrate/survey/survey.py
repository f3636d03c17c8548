"""What was found in the directory."""

from __future__ import annotations

from dataclasses import dataclass, field

from capsule_deploy.migrate.model import Origin


@dataclass
class Survey:
    """What the directory holds. Paths are relative to it."""

    venvs: list[str] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)
    """Paths and patterns to leave out, with the reason."""
    files: int = 0
    health: list[tuple[str, int | None, Origin]] = field(default_factory=list)
    ports: list[tuple[int, Origin]] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
