"""pip, setuptools and wheel go into a capsule only when something requires them."""

from __future__ import annotations

import pytest

from capsule_builder.python.environment import Environment, Part
from capsule_builder.python.layout import Layout
from capsule_builder.python.package import Package
from capsule_builder.python.seeds import unneeded_seeds, without_seeds
from capsule_builder.requirements import Distribution, Requirements, Target, read_requirements

TARGET = Target("3.11", "manylinux_2_28_x86_64")
SEEDED = [Distribution("pip", "24"), Distribution("setuptools", "80"), Distribution("wheel", "1")]


def requirements(text: str) -> Requirements:
    return read_requirements("requirements.txt", {"requirements.txt": text.encode()}.__getitem__)


@pytest.mark.parametrize(
    ("distributions", "text", "unneeded"),
    [
        ([], "", {"pip", "setuptools", "wheel"}),
        ([Distribution("a", "1")], "a", {"pip", "setuptools", "wheel"}),
        ([Distribution("a", "1", ("Setuptools>=40",))], "a", {"pip", "wheel"}),
        ([Distribution("a", "1", ("setuptools; python_version < '3.8'",))], "a", {"pip", "setuptools", "wheel"}),
        ([Distribution("a", "1", ("setuptools; extra == 'x'",), ("x",))], "a", {"pip", "setuptools", "wheel"}),
        ([Distribution("a", "1", ("setuptools; extra == 'x'",), ("x",))], "a[x]", {"pip", "wheel"}),
        ([Distribution("passenger", "1", ("setuptools",))], "", {"pip", "wheel"}),
        ([Distribution("a", "1", ("pip",))], "wheel", {"setuptools"}),
    ],
)
def test_a_seed_stays_when_something_requires_it(
    distributions: list[Distribution], text: str, unneeded: set[str]
) -> None:
    assert unneeded_seeds([*SEEDED, *distributions], [requirements(text)], TARGET) == unneeded


def test_a_seed_that_another_needed_seed_requires_stays() -> None:
    seeds = [Distribution("wheel", "1", ("setuptools",)), Distribution("setuptools", "80")]
    assert unneeded_seeds(seeds, [requirements("wheel")], TARGET) == frozenset()
    assert unneeded_seeds(seeds, [requirements("")], TARGET) == {"wheel", "setuptools"}


def test_without_requirements_only_other_distributions_count() -> None:
    assert unneeded_seeds([*SEEDED, Distribution("a", "1", ("pip",))], [], TARGET) == {"setuptools", "wheel"}


def test_parts_and_distributions_go_together() -> None:
    distributions = [Distribution("a", "1"), *SEEDED]
    parts = [Part(f"{one.name}-1", Package(one.name, one.version, one.name, "x")) for one in distributions]
    environment = Environment("venv", Layout("3.11"), parts, distributions)
    found = without_seeds(environment, [requirements("a\npip")], TARGET)
    assert [part.package.name for part in found.parts] == [one.name for one in found.distributions] == ["a", "pip"]
    assert len(environment.parts) == 4
