from __future__ import annotations

from collections.abc import Mapping

import pytest

from capsule_builder.errors import refusal
from capsule_builder.requirements import Distribution, Selection, Target, select
from tests.requirements.house import HERE, dist, read

A, B, OTHER = "a" * 64, "b" * 64, "0" * 64


def never(file: str) -> str:
    raise AssertionError(f"the hash of {file} was asked for")


def chosen(
    house: list[str],
    lines: str | None,
    requires: Mapping[str, list[str]] | None = None,
    hashes: Mapping[str, str] | None = None,
    target: Target = HERE,
    **others: str,
) -> Selection:
    """``requires`` are the Requires-Dist of a file; a file asked for twice is an error."""
    asked: set[str] = set()

    def metadata(file: str) -> Distribution:
        assert file not in asked
        asked.add(file)
        name, version = file.split("-")[:2]
        return dist(name.replace("_", "-"), version, *(requires or {}).get(file, ()))

    files = {f"{name}.txt": text.encode() for name, text in others.items()}
    found = None if lines is None else read({"requirements.txt": lines.encode(), **files})
    return select(house, hashes.__getitem__ if hashes else never, found, target, metadata)


def said(selection: Selection) -> list[tuple[str, str]]:
    return [(problem.code, problem.message) for problem in selection.problems]


FOR_MACOS = "a-1-cp311-cp311-macosx_14_0_arm64.whl is for macOS (macosx_14_0_arm64)"
FOR_WINDOWS = "a-1-cp310-cp310-win_amd64.whl is for CPython 3.10 (cp310) and is for Windows (win_amd64)"
ANY, LINUX = "py3-none-any.whl", "cp311-cp311-manylinux_2_28_x86_64.whl"


@pytest.mark.parametrize(
    ("house", "lines", "expected"),
    [
        # the highest version, by version and not by text
        ([f"a-1.9-{ANY}", f"a-1.10-{ANY}"], "a", f"a-1.10-{ANY}"),
        ([f"a-1.9-{ANY}", f"a-1.10-{ANY}"], "a<1.10", f"a-1.9-{ANY}"),
        ([f"a-1.9-{ANY}", f"a-2.0-{ANY}", f"a-3.0-{ANY}"], "a<3\na!=2.0", f"a-1.9-{ANY}"),
        ([f"a-1.9-{ANY}", f"a-2.0-{ANY}"], "a\na<2; python_version < '3'", f"a-2.0-{ANY}"),
        # pre-releases: not beside a final one, unless they are asked for
        ([f"a-1.0-{ANY}", f"a-2.0rc1-{ANY}"], "a", f"a-1.0-{ANY}"),
        ([f"a-1.0-{ANY}", f"a-2.0rc1-{ANY}"], "a>=2.0rc1", f"a-2.0rc1-{ANY}"),
        ([f"a-1.0-{ANY}", f"a-2.0rc1-{ANY}"], "--pre\na", f"a-2.0rc1-{ANY}"),
        ([f"a-2.0rc1-{ANY}"], "a", f"a-2.0rc1-{ANY}"),
        # of one version: the nearest tag, then the build number
        ([f"a-1-{ANY}", f"a-1-{LINUX}", "a-1-cp311-cp311-manylinux2014_x86_64.whl"], "a", f"a-1-{LINUX}"),
        ([f"a-1-{ANY}", "a-1-cp39-abi3-manylinux2014_x86_64.whl"], "a", "a-1-cp39-abi3-manylinux2014_x86_64.whl"),
        ([f"a-1-{ANY}", f"a-1-2-{ANY}", f"a-1-10-{ANY}"], "a", f"a-1-10-{ANY}"),
        ([f"a-1-9-{ANY}", f"a-1-{LINUX}"], "a", f"a-1-{LINUX}"),
        # the version goes before the tag, and what does not fit is not there
        ([f"a-2-{ANY}", f"a-1-{LINUX}"], "a", f"a-2-{ANY}"),
        (["a-2-cp310-cp310-manylinux2014_x86_64.whl", f"a-1-{ANY}"], "a", f"a-1-{ANY}"),
        ([f"a_b-1-{ANY}", f"A.C-1-{ANY}"], "A-b==1", f"a_b-1-{ANY}"),
        ([f"a-1-{ANY}", f"a-1-1-{ANY}"], f"./w/a-1-{ANY}", f"a-1-{ANY}"),
    ],
)
def test_the_best_wheel(house: list[str], lines: str, expected: str) -> None:
    for order in (house, house[::-1]):
        found = chosen(order, lines)
        assert said(found) == []
        assert found.chosen == [expected]
        assert found.unused == sorted(set(house) - {expected})


def test_dependencies_are_followed_with_their_extras_and_markers() -> None:
    house = [f"{name}-1-{ANY}" for name in ("a", "b", "c", "d", "e", "f", "g")]
    requires = {
        house[0]: ["b[x]", "e; python_version < '3'", "f; sys_platform == 'win32'"],
        house[1]: ["c; extra == 'x'", "g; extra == 'y'", "a"],
        house[2]: ["d>=1"],
    }
    found = chosen([*house, "notes.txt", "a-1.tar.gz"], "a==1", requires)
    assert said(found) == []
    assert found.chosen == house[:4]
    assert found.unused == house[4:]


def test_an_extra_that_is_asked_for_later() -> None:
    house = [f"{name}-1-{ANY}" for name in ("a", "b", "c")]
    assert chosen(house, "a\nb", {house[1]: ["a[x]"], house[0]: ["c; extra == 'x'"]}).chosen == house


def test_constraints_limit_what_dependencies_get() -> None:
    house = [f"a-1-{ANY}", f"b-1-{ANY}", f"b-2-{ANY}"]
    requires = {house[0]: ["b"]}
    assert chosen(house, "a\n-c c.txt", requires, c="b<2\nunused==9").chosen == house[:2]
    assert chosen(house, "a", requires).chosen == [house[0], house[2]]


def test_hashes_choose_and_are_asked_for_only_then() -> None:
    house = [f"a-1-{ANY}", f"a-1-{LINUX}", f"b-1-{ANY}", f"b-0-{ANY}"]
    lines = f"a==1 --hash=sha256:{A} --hash=sha256:{OTHER}\nb==1"
    found = chosen(house, lines, hashes={house[0]: A, house[1]: B})
    assert said(found) == []
    assert found.chosen == [house[0], house[2]]


@pytest.mark.parametrize(
    ("house", "lines", "code", "message"),
    [
        ([], "a==1", "wheel-missing", "a: there is no wheel of it (a, requirements.txt:1)"),
        (
            [f"a-1-{ANY}", f"a-3-{ANY}"],
            "a>=2\na<3",
            "wheel-version",
            "a: no wheel satisfies a>=2 and a<3, there is 1, 3 (a, requirements.txt:1)",
        ),
        (
            ["a-1-cp310-cp310-win_amd64.whl", "a-1-cp311-cp311-macosx_14_0_arm64.whl", f"a-2-{ANY}"],
            "a==1",
            "wheel-tags",
            f"a: no wheel fits the target: {FOR_MACOS}; {FOR_WINDOWS} (a, requirements.txt:1)",
        ),
        (
            ["a-1.tar.gz", f"b-1-{ANY}"],
            "a==1",
            "wheel-sdist",
            "a: there is only source: a-1.tar.gz (a, requirements.txt:1)",
        ),
        (
            ["a-2.tar.gz", f"a-1-{ANY}"],
            "a==2",
            "wheel-sdist",
            "a: there is only source: a-2.tar.gz (a, requirements.txt:1)",
        ),
        (
            [f"a-1-{ANY}"],
            f"a==1 --hash=sha256:{OTHER}",
            "wheel-hash",
            f"a: a-1-{ANY} has a hash that is not in the lock (a, requirements.txt:1)",
        ),
        (
            [f"a-1-1-{ANY}"],
            f"./a-1-{ANY}",
            "wheel-hash",
            f"a: a-1-1-{ANY} is not the file that is named: a-1-{ANY} (a, requirements.txt:1)",
        ),
    ],
)
def test_why_there_is_none(house: list[str], lines: str, code: str, message: str) -> None:
    found = chosen(house, lines, hashes=dict.fromkeys(house, A))
    assert said(found) == [(code, message)]
    assert all(problem.remedy for problem in found.problems)
    assert found.chosen == []


def test_a_newer_glibc_is_mended_by_another_platform() -> None:
    found = chosen(["a-1-cp311-cp311-manylinux_2_34_x86_64.whl"], "a")
    assert "needs glibc 2.34" in found.problems[0].message
    assert "--platform manylinux_2_34_x86_64" in found.problems[0].remedy
    newer = Target("3.11", "manylinux_2_34_x86_64")
    assert said(chosen(["a-1-cp311-cp311-manylinux_2_34_x86_64.whl"], "a", target=newer)) == []


def test_all_problems_at_once_with_the_way_to_each() -> None:
    house = [f"a-1-{ANY}", "c-1.tar.gz", "broken.whl"]
    found = chosen(house, "a\nd", {house[0]: ["b", "c"]})
    assert said(found) == [
        ("wheel-name", "broken.whl: Invalid wheel filename (wrong number of parts)"),
        ("wheel-missing", "d: there is no wheel of it (d, requirements.txt:2)"),
        ("wheel-missing", "b: there is no wheel of it (a -> b, requirements.txt:1)"),
        ("wheel-sdist", "c: there is only source: c-1.tar.gz (a -> c, requirements.txt:1)"),
    ]
    assert found.chosen == [house[0]]


def test_names_that_no_file_system_could_hold() -> None:
    many = "1" * 5000
    found = chosen([f"a-{many}-{ANY}", f"b-1-{many}-{ANY}", f"c-{many}.tar.gz", f"d-1-cp3{many}-none-any.whl"], None)
    assert [code for code, _ in said(found)] == ["wheel-name", "wheel-name", "wheel-tags"]


def test_a_missing_name_is_told_once() -> None:
    house = [f"a-1-{ANY}", f"b-1-{ANY}"]
    assert len(chosen(house, "a\nb", {house[0]: ["c"], house[1]: ["c"]}).problems) == 1


def test_a_requirement_of_another_platform_is_none() -> None:
    assert chosen([], "a; sys_platform == 'win32'") == Selection([], [], [])


def test_a_wheel_that_cannot_be_read_is_a_problem_among_others() -> None:
    def metadata(file: str) -> Distribution:
        raise refusal("wheel-damaged", f"{file}: damaged")

    requirements = read({"requirements.txt": b"a\nb"})
    found = select([f"a-1-{ANY}"], never, requirements, HERE, metadata)
    assert [code for code, _ in said(found)] == ["wheel-damaged", "wheel-missing"]
    assert found.chosen == []


def test_without_requirements_everything_that_fits() -> None:
    house = [f"a-1-{ANY}", f"b-1-{LINUX}", f"b-1-{ANY}", "b-1-cp310-cp310-win_amd64.whl", "b-1.tar.gz", "README"]
    found = chosen(house, None)
    assert said(found) == []
    assert found.chosen == [f"a-1-{ANY}", f"b-1-{LINUX}"]
    assert found.unused == ["b-1-cp310-cp310-win_amd64.whl", f"b-1-{ANY}"]


def test_without_requirements_nothing_is_guessed() -> None:
    house = [f"a-1-{ANY}", f"a-2-{ANY}", "b-1-cp310-cp310-linux_x86_64.whl", "c-1.zip"]
    house += [f"d-1-{ANY}", "d-2-cp312-cp312-linux_x86_64.whl"]
    assert said(chosen(house, None)) == [
        ("wheel-ambiguous", "a: there are wheels of 2 versions: 1, 2"),
        ("wheel-tags", "b-1-cp310-cp310-linux_x86_64.whl: is for CPython 3.10 (cp310)"),
        ("wheel-tags", "d-2-cp312-cp312-linux_x86_64.whl: is for CPython 3.12 (cp312)"),
        ("wheel-sdist", "c-1.zip: is source, not a wheel"),
    ]
