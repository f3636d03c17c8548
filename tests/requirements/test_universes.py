"""Random small worlds: one version of each name, and uv's resolver says whether they go together."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from capsule_builder.requirements import Distribution, verify
from tests.requirements.house import HERE, build, dist, read, uv_accepts, write

NAMES = "abcdef"
VERSIONS = ["1.0", "1.5", "2.0rc1", "2.0", "2.0.post1", "1.0+local", "1!0.5"]
SPECIFIERS = ["", "", "", ">=1", ">=1,<2", "==1.0", "~=1.0", "!=1.5", ">1.0", "<2.0", "==2.*", ">=1.5", "==1!0.5"]
MARKERS = [
    "",
    "",
    "python_version >= '3.10'",
    "python_version < '3.10'",
    "sys_platform == 'win32'",
    "platform_machine == 'x86_64' and implementation_name == 'cpython'",
    "'linux' in sys_platform or os_name == 'nt'",
    "python_full_version < '3.12.4'",
]
OF_EXTRAS = ["extra == 'x'", "extra == 'Y'", "extra == 'x' and python_version < '3'", "extra == 'y' or extra == 'x'"]


def requirement(names: str, markers: list[str]) -> st.SearchStrategy[str]:
    def spell(name: str, extras: list[str], specifier: str, marker: str) -> str:
        return f"{name}{'[' + ','.join(extras) + ']' if extras else ''}{specifier}{' ; ' + marker if marker else ''}"

    extras = st.sampled_from([[], [], ["x"], ["y"], ["x", "y"]])
    return st.builds(spell, st.sampled_from(names), extras, st.sampled_from(SPECIFIERS), st.sampled_from(markers))


def distribution(name: str) -> st.SearchStrategy[Distribution]:
    requires = st.lists(requirement(NAMES, MARKERS + OF_EXTRAS), max_size=3)
    python = st.sampled_from([None, None, None, ">=3.8", ">=3.12"])
    return st.builds(
        lambda version, texts, python: dist(name, version, *texts, extras=["x", "y"], python=python),
        st.sampled_from(VERSIONS),
        requires,
        python,
    )


WORLDS = st.tuples(*(st.one_of(distribution(name), distribution(name), st.none()) for name in NAMES))
ROOTS = st.lists(requirement(NAMES[:4], MARKERS), min_size=1, max_size=3)
LIMITS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(SPECIFIERS[3:])), max_size=1)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=WORLDS, roots=ROOTS, limits=LIMITS)
def test_uv_agrees(
    world: tuple[Distribution | None, ...],
    roots: list[str],
    limits: list[tuple[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
    cache: Path,
) -> None:
    there = [item for item in world if item]
    files = {
        "requirements.txt": "\n".join([*roots, "-c limits.txt"]).encode(),
        "limits.txt": "\n".join(name + limit for name, limit in limits).encode(),
    }
    report = verify(there, read(files), HERE)
    # What nobody requires is shipped all the same, so it must run; uv does not look at it.
    failures = [found for found in report.failures if found.path[0] not in report.passengers]
    event(failures[0].code if failures else "ok")
    folder = tmp_path_factory.mktemp("world")
    build(folder / "house", there)
    write(folder, files)
    accepts, told = uv_accepts(folder / "house", folder / "requirements.txt", HERE, cache)
    assert accepts is not bool(failures), told + "\n".join(report.text())


@given(world=WORLDS, roots=ROOTS, seed=st.integers())
def test_the_order_of_distributions_is_nothing(
    world: tuple[Distribution | None, ...], roots: list[str], seed: int
) -> None:
    there = [item for item in world if item]
    requirements = read({"requirements.txt": "\n".join(roots).encode()})
    report = verify(there, requirements, HERE)
    random.Random(seed).shuffle(there)
    assert verify(there, requirements, HERE) == report
