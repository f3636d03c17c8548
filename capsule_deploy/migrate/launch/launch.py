"""A service of the capsule that takes the place of a process of the old host."""

from __future__ import annotations

from dataclasses import dataclass, field

from capsule_deploy.migrate.model import Origin, Variable, Walls


@dataclass(frozen=True)
class Launch:
    """One service of the capsule. ``venv`` is its environment on the old host, ``ports`` what it listens on."""

    name: str
    entrypoint: str
    args: tuple[str, ...]
    env: dict[str, str]
    origin: Origin
    limits: dict[str, Variable] = field(default_factory=dict)
    venv: str | None = None
    ports: tuple[int, ...] = ()
    walls: Walls = field(default_factory=Walls)
    executable: bool = True
    """Whether the entrypoint is executable by its content, or else by the manifest's word."""

    @property
    def is_python(self) -> bool:
        """Whether it runs by a Python environment."""
        return self.entrypoint.endswith(".py") or self.entrypoint.startswith("venv/")
