from __future__ import annotations

import pytest
from packaging.markers import Marker

from capsule_builder.errors import CapsuleError
from capsule_builder.requirements import Target
from capsule_builder.requirements.mismatch import mismatch

GLIBC = "manylinux_2_28_x86_64"


@pytest.mark.parametrize(
    ("platform", "tag", "fits"),
    [
        (GLIBC, "py3-none-any", True),
        (GLIBC, "py2.py3-none-any", True),
        (GLIBC, "py311-none-any", True),
        (GLIBC, "py312-none-any", False),
        (GLIBC, "cp311-none-any", True),
        (GLIBC, "cp311-cp311-manylinux_2_28_x86_64", True),
        (GLIBC, "cp311-cp311-manylinux_2_29_x86_64", False),
        (GLIBC, "cp311-cp311-manylinux_2_5_x86_64", True),
        (GLIBC, "cp311-cp311-manylinux1_x86_64", True),
        (GLIBC, "cp311-cp311-manylinux2010_x86_64", True),
        (GLIBC, "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", True),
        (GLIBC, "cp311-cp311-linux_x86_64", True),
        (GLIBC, "cp311-abi3-linux_x86_64", True),
        (GLIBC, "cp36-abi3-manylinux2014_x86_64", True),
        (GLIBC, "cp312-abi3-manylinux2014_x86_64", False),
        (GLIBC, "cp310-cp310-manylinux2014_x86_64", False),
        (GLIBC, "cp311-cp311t-manylinux2014_x86_64", False),
        (GLIBC, "cp311-cp311-manylinux2014_aarch64", False),
        (GLIBC, "cp311-cp311-musllinux_1_1_x86_64", False),
        (GLIBC, "py3-none-manylinux2014_x86_64", True),
        (GLIBC, "py3-none-win_amd64", False),
        (GLIBC, "nonsense", False),
        ("manylinux2014_x86_64", "cp311-cp311-manylinux_2_17_x86_64", True),
        ("manylinux2014_x86_64", "cp311-cp311-manylinux_2_18_x86_64", False),
        ("manylinux_2_28_aarch64", "cp311-cp311-manylinux_2_17_aarch64", True),
        ("manylinux_2_28_aarch64", "cp311-cp311-manylinux_2_5_aarch64", False),
        ("linux_x86_64", "cp311-cp311-manylinux_2_39_x86_64", True),
        ("linux_x86_64", "cp311-cp311-musllinux_1_2_x86_64", False),
        ("musllinux_1_2_x86_64", "cp311-cp311-musllinux_1_1_x86_64", True),
        ("musllinux_1_2_x86_64", "cp311-cp311-musllinux_1_3_x86_64", False),
        ("musllinux_1_2_x86_64", "cp311-cp311-manylinux2014_x86_64", False),
        ("musllinux_1_2_x86_64", "cp311-cp311-linux_x86_64", True),
    ],
)
def test_what_fits(platform: str, tag: str, fits: bool) -> None:
    target = Target("3.11", platform)
    assert target.fits([tag]) is fits
    assert (mismatch([tag], target) is None) is fits


def test_the_best_tag_ranks_first() -> None:
    target = Target.parse("3.11", GLIBC)
    ordered = [
        "cp311-cp311-manylinux_2_28_x86_64",
        "cp311-cp311-manylinux_2_17_x86_64",
        "cp311-cp311-manylinux2014_x86_64",
        "cp311-cp311-linux_x86_64",
        "cp311-abi3-manylinux_2_17_x86_64",
        "cp39-abi3-manylinux_2_17_x86_64",
        "py3-none-manylinux_2_17_x86_64",
        "py3-none-any",
        "py30-none-any",
    ]
    ranks = [target.rank([tag]) for tag in ordered]
    assert ranks == sorted(ranks, key=lambda rank: -1 if rank is None else rank)
    assert len(set(ranks)) == len(ordered)
    assert target.rank(reversed(ordered)) == ranks[0] == 0
    assert target.rank(["py2-none-any"]) is None
    assert str(target.tags()[0]) == ordered[0]


@pytest.mark.parametrize(
    ("tags", "platform", "reason", "remedy"),
    [
        (["cp310-cp310-manylinux_2_17_x86_64"], GLIBC, "is for CPython 3.10 (cp310)", "Get a wheel for CPython 3.11"),
        (["cp311-cp311-macosx_14_0_arm64"], GLIBC, "is for macOS (macosx_14_0_arm64)", "Get a wheel"),
        (["cp311-cp311-win_amd64"], GLIBC, "is for Windows (win_amd64)", "Get a wheel"),
        (["cp310-cp310-win_amd64"], GLIBC, "is for CPython 3.10 (cp310) and is for Windows (win_amd64)", ""),
        (
            ["cp311-cp311-manylinux_2_34_x86_64"],
            GLIBC,
            "needs glibc 2.34, and the target is manylinux_2_28_x86_64",
            "Use --platform manylinux_2_34_x86_64 if every host has glibc 2.34 or later",
        ),
        (
            ["cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64"],
            "manylinux_2_12_x86_64",
            "needs glibc 2.17, and the target is manylinux_2_12_x86_64",
            "Use --platform manylinux",
        ),
        (["cp310-cp310-manylinux_2_34_x86_64"], GLIBC, "is for CPython 3.10 (cp310) and needs glibc 2.34", ""),
        (["cp311-cp311-manylinux2014_aarch64"], GLIBC, "is for aarch64", ""),
        (["cp311-cp311-musllinux_1_2_x86_64"], GLIBC, "is for musl (musllinux_1_2_x86_64), and the target has", ""),
        (
            ["cp311-cp311-musllinux_1_3_x86_64"],
            "musllinux_1_2_x86_64",
            "needs musl 1.3",
            "Use --platform musllinux_1_3",
        ),
        (["cp312-abi3-manylinux2014_x86_64"], GLIBC, "needs Python 3.12 or later (cp312)", ""),
        (["cp313-cp313t-manylinux2014_x86_64"], GLIBC, "is for the free-threaded build of CPython 3.13", ""),
        (["pp310-pypy310_pp73-manylinux2014_x86_64"], GLIBC, "is for PyPy 3.10", ""),
        (["py2-none-any"], GLIBC, "is for Python 2 (py2)", ""),
        (["py313-none-any"], GLIBC, "needs Python 3.13 or later", ""),
        (["graalpy311-x-any"], GLIBC, "is for another Python (graalpy311)", ""),
        (["cp311-cp311d-manylinux2014_x86_64"], GLIBC, "is for another build of CPython (cp311d)", ""),
        (["nonsense"], GLIBC, "has no valid tag (nonsense)", "Build the wheel anew."),
        # Of several, the nearest is told: what another --platform would mend comes first.
        (["cp310-cp310-win_amd64", "cp311-cp311-manylinux_2_30_x86_64", "py2-none-any"], GLIBC, "needs glibc 2.30", ""),
    ],
)
def test_why_it_does_not_fit(tags: list[str], platform: str, reason: str, remedy: str) -> None:
    found = mismatch(tags, Target("3.11", platform))
    assert found is not None
    assert found.reason.startswith(reason)
    assert found.remedy.startswith(remedy)


def test_a_wheel_with_millions_of_tags_is_not_unrolled() -> None:
    many = ".".join(f"p{number}" for number in range(5000))
    assert not Target().fits([f"{many}-{many}-{many}"])


@pytest.mark.parametrize(
    "python", ["", "3", "3.11.4", "2.7", "4.0", "3.011", "3.x", "python3.11", "3.11 ", "3.111", "3.１１"]
)
def test_a_python_that_is_none(python: str) -> None:
    with pytest.raises(CapsuleError) as caught:
        Target.parse(python, GLIBC)
    assert [problem.code for problem in caught.value.problems] == ["target-python"]


@pytest.mark.parametrize(
    "platform",
    [
        *(
            "",
            "linux",
            "win_amd64",
            "macosx_14_0_arm64",
            "manylinux_2_28",
            "manylinux_3_1_x86_64",
            "manylinux_2_28_vax",
        ),
        *("manylinux2015_x86_64", "any", "manylinux_2_280_x86_64", "musllinux_2_1_x86_64", "MANYLINUX_2_28_X86_64"),
    ],
)
def test_a_platform_that_is_none(platform: str) -> None:
    with pytest.raises(CapsuleError) as caught:
        Target.parse("3.x", platform)
    assert [problem.code for problem in caught.value.problems] == ["target-python", "target-platform"]


def test_markers_are_all_the_targets() -> None:
    assert Target("3.12", "musllinux_1_2_aarch64").markers(7) == {
        "implementation_name": "cpython",
        "implementation_version": "3.12.7",
        "os_name": "posix",
        "platform_machine": "aarch64",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": "3.12.7",
        "python_version": "3.12",
        "sys_platform": "linux",
    }


def test_the_builder_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> object:
        raise AssertionError("the running interpreter was asked")

    for name in ("platform_tags", "interpreter_name", "interpreter_version", "_cpython_abis", "_get_config_var"):
        monkeypatch.setattr(f"packaging.tags.{name}", never)
    target = Target("3.8", "manylinux_2_31_riscv64")
    assert target.fits(["cp38-cp38-manylinux_2_31_riscv64"])
    for variable, value in target.markers(3).items():
        assert Marker(f"{variable} == '{value}'").evaluate({**target.markers(3)})


def test_patches_are_tried_where_something_can_change() -> None:
    target = Target("3.11", GLIBC)
    assert target.patches("python_version >= '3.11'") == [0, 99]
    assert target.patches("python_full_version == '3.11.4'") == [0, 3, 4, 5, 99]
    assert target.patches("python_full_version < '3.10.4' or python_full_version > '13.11.7'") == [0, 99]
