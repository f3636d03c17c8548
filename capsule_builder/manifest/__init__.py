r"""The manifest, ``capsule.yml``: what an application says about itself, read strictly and with positions.

>>> from capsule_builder.manifest import check
>>> manifest, problems = check(b"name: app\nversion: 1.0\nentrypoint: main.py\n", "capsule.yml")
>>> print(*problems, sep="\n")
capsule.yml:2:10: error: version: YAML reads 1.0 as a number; write "1.0.0"

``docs/manifest.md`` is the authority on every key. The data goes one way: *encoding* turns bytes into text, *document*
turns text into nodes that know their positions, *structure* refuses what YAML allows and a manifest does not, and
*checks* turns the nodes into a ``Manifest`` by the rules in *names*,
*versions*, *unit_text* and *quantities*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capsule_builder.manifest.model import HealthCheck, Manifest, Resources, Sandbox, Service
from capsule_builder.manifest.problems import ManifestError, ManifestProblem

if TYPE_CHECKING:
    from capsule_builder.manifest.reading import check, load

__all__ = [
    "HealthCheck",
    "Manifest",
    "ManifestError",
    "ManifestProblem",
    "Resources",
    "Sandbox",
    "Service",
    "check",
    "load",
]


def __getattr__(name: str) -> Any:
    """What reads YAML, once it is asked for: importing it takes longer than all else that is here."""
    if name not in {"check", "load"}:
        raise AttributeError(name)
    from capsule_builder.manifest import reading

    return getattr(reading, name)
