"""What of a lock the target needs, and whether that came: decided for the target, not by the Python that runs it."""

from __future__ import annotations

import hashlib
import pathlib

import pytest

from capsule_builder.errors import CapsuleError
from capsule_builder.requirements import Target
from capsule_builder.requirements.fetch import Lock, check, explain, main, plan, read_lock
from tests.bazel.wheels import lock_line, wheel

TARGET = Target("3.9", "musllinux_1_2_aarch64")  # which runs nothing here
HASH = "--hash=sha256:" + "a" * 64
OTHER = "--hash=sha256:" + "b" * 64


def lock(*lines: str, target: Target = TARGET) -> Lock:
    return read_lock("".join(f"{line}\n" for line in lines).encode(), "lock.txt", target)


def codes(*lines: str) -> list[str]:
    with pytest.raises(CapsuleError) as caught:
        lock(*lines)
    return [problem.code for problem in caught.value.problems]


def test_the_targets_lines_alone_are_kept_as_plain_pins_in_order() -> None:
    found = lock(
        f"Zope.Interface[test]==5.0 {HASH} {OTHER}",
        f"tomli==2 ; python_version < '3.11' {HASH}",
        f"colorama==1 ; sys_platform == 'win32' {HASH}",
        f"cffi==1 ; platform_machine == 'aarch64' {HASH}",
        f"greenlet==1 ; platform_machine == 'x86_64' {HASH}",
        "pywin ; os_name == 'nt'",
    )
    text, options = plan(found, TARGET)
    assert text == f"cffi==1 {HASH}\ntomli==2 {HASH}\nzope-interface==5.0 {HASH} {OTHER}\n"
    assert options == [
        "--python-version=3.9",
        "--implementation=cp",
        "--abi=cp39",
        "--abi=abi3",
        "--abi=none",
        "--platform=musllinux_1_2_aarch64",
        "--platform=musllinux_1_1_aarch64",
        "--platform=musllinux_1_0_aarch64",
        "--platform=linux_aarch64",
    ]


def test_where_the_lock_says_to_look_is_where_pip_looks() -> None:
    sources = ["--index-url https://one.invalid/simple", "--extra-index-url https://two.invalid/simple"]
    assert plan(lock(*sources, f"a==1 {HASH}"), TARGET)[0].splitlines()[:2] == sources
    assert codes("--find-links wheels", f"a==1 {HASH}") == ["lock-find-links"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["a>=1", "b==1", "c"], ["lock-unpinned", "lock-unhashed", "lock-unhashed", "lock-unpinned", "lock-unhashed"]),
        ([f"a==1.* {HASH}"], ["lock-unpinned"]),
        ([f"a==1,>0 {HASH}"], ["lock-unpinned"]),
        ([f"a===wild {HASH}"], ["lock-unpinned"]),
        ([f"a @ https://a.invalid/a-1-py3-none-any.whl {HASH}"], ["lock-url"]),
        ([f"a==1 {HASH}", f"A==2 {HASH}"], ["lock-twice"]),
        ([f"a==1 {HASH}", f"a==1 {OTHER}"], ["lock-twice"]),
        (["-r other.txt"], ["lock-include"]),
        (["-c other.txt"], ["lock-include"]),
    ],
)
def test_what_is_no_lock_is_refused_for_every_reason(lines: list[str], expected: list[str]) -> None:
    assert codes(*lines) == expected


def test_the_same_line_twice_is_one() -> None:
    assert list(lock(f"a==1.0 {HASH}", f"a[x]==1 {HASH}").pins) == ["a"]


def test_wheels_that_are_not_the_locks_are_refused_for_every_reason(tmp_path: pathlib.Path) -> None:
    files = tmp_path / "wheels"
    right = wheel(files, "right", "1.0", {})
    wheel(files, "changed", "1.0", {})
    mac = wheel(files, "mac", "1.0", {}, tag="cp39-cp39-macosx_11_0_arm64")
    wheel(files, "newer", "2.0", {})
    wheel(files, "stranger", "1.0", {})
    (files / "right-1.0.tar.gz").touch()
    found = lock(lock_line(right), f"changed==1.0 {HASH}", lock_line(mac), f"newer==1.0 {HASH}")
    with pytest.raises(CapsuleError) as caught:
        check(found, TARGET, str(files))
    assert sorted(problem.code for problem in caught.value.problems) == [
        "fetch-count",
        "fetch-hash",
        "fetch-tags",
        "fetch-unknown",
        "fetch-unknown",
        "fetch-unknown",
    ]


def test_any_of_the_locks_hashes_will_do_of_any_kind(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = wheel(pathlib.Path("wheels"), "my_wheels", "1.0", {})
    sha512 = hashlib.sha512(file.read_bytes()).hexdigest()
    assert check(lock(f"my-wheels==1.0 {HASH} --hash=sha512:{sha512}"), TARGET, "wheels") == (
        'package(default_visibility = ["//visibility:public"])\n'
        "\n"
        "filegroup(\n"
        '    name = "wheels",\n'
        "    srcs = [\n"
        '        "wheels/my_wheels-1.0-py3-none-any.whl",\n'
        "    ],\n"
        ")\n"
        "\n"
        "filegroup(\n"
        '    name = "my-wheels",\n'
        '    srcs = ["wheels/my_wheels-1.0-py3-none-any.whl"],\n'
        ")\n"
        "\n"
        "filegroup(\n"
        '    name = "my_wheels",\n'
        '    srcs = ["wheels/my_wheels-1.0-py3-none-any.whl"],\n'
        ")\n"
    )


def test_a_distribution_called_wheels_does_not_take_the_place_of_all(tmp_path: pathlib.Path) -> None:
    file = wheel(tmp_path, "wheels", "1.0", {})
    assert check(lock(lock_line(file)), TARGET, str(tmp_path)).count('name = "wheels"') == 1


LOG = """\
2026-01-01T00:00:00,000   Skipping link: No sources permitted for gone: https://i.invalid/gone-1.0.tar.gz#sha256=0 (from https://i.invalid/gone/)
2026-01-01T00:00:00,000   Skipping link: No sources permitted for far: https://i.invalid/far-1.0.zip (from https://i.invalid/far/)
2026-01-01T00:00:00,000   Skipping link: none of the wheel's tags (cp39-cp39-win32) are compatible (run pip debug --verbose to show compatible tags): https://i.invalid/far-1.0-cp39-cp39-win32.whl (from https://i.invalid/far/)
2026-01-01T00:00:00,000   Skipping link: No sources permitted for none: https://i.invalid/none-0.9.tar.gz (from https://i.invalid/none/)
"""  # noqa: E501


def test_why_something_was_not_found_is_told_from_pips_log() -> None:
    found = explain(
        lock(*(f"{name}==1.0 {HASH}" for name in ("far", "gone", "none"))),
        TARGET,
        LOG,
        ["gone==1.0", "far==1.0", "none==1.0"],
    )
    assert [(problem.code, problem.message) for problem in found] == [
        ("fetch-sdist", "gone==1.0: there is only source, and no wheel (lock.txt:2)"),
        (
            "fetch-misfit",
            "far==1.0: none of its 1 wheels is for the target: the nearest is for Windows (win32) (lock.txt:1)",
        ),
        ("fetch-missing", "none==1.0: nothing of it was found (lock.txt:3)"),
    ]


def test_a_bad_target_is_refused_in_words(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(tmp_path / "lock"), "lock", "3", "win32", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert said.count("ERROR: ") == 2
    assert "Not a platform that capsules run on: win32" in said
