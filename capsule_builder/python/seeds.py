"""The installers that every fresh environment is seeded with: left out of a capsule unless something requires them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from packaging.requirements import Requirement

from capsule_builder.python.environment import Environment
from capsule_builder.requirements import Distribution, Line, Requirements, Target, verify

SEEDS = frozenset(["pip", "setuptools", "wheel"])


def unneeded_seeds(
    distributions: Sequence[Distribution], roots: Iterable[Requirements], target: Target
) -> frozenset[str]:
    """The names of seeds that neither ``roots`` require nor any other distribution, directly or through others."""
    others = sorted({one.name for one in distributions} - SEEDS)
    lines = tuple(Line("", 0, name, Requirement(name)) for name in others)
    unneeded = SEEDS & {one.name for one in distributions}
    for requirements in [Requirements(lines), *roots]:
        unneeded &= set(verify(distributions, requirements, target).passengers)
    return frozenset(unneeded)


def without_seeds(environment: Environment, roots: Iterable[Requirements], target: Target) -> Environment:
    """The environment without :func:`unneeded_seeds`."""
    unneeded = unneeded_seeds(environment.distributions, roots, target)
    return dataclasses.replace(
        environment,
        parts=[part for part in environment.parts if part.package.name not in unneeded],
        distributions=[one for one in environment.distributions if one.name not in unneeded],
    )
