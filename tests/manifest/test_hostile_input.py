"""Input made to hurt costs no more than honest input, and never raises."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsule_builder.manifest import Manifest, check
from capsule_builder.manifest.problems import MAX_PROBLEMS
from tests.manifest.golden import HEAD, read_cases
from tests.manifest.test_model import EVERYTHING, SPECIFIED

MEBIBYTE = (1 << 20) - 100
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join(['*' + before] * 9)}]\n"
    for before, after in zip("abcdefghijklm", "bcdefghijklmn", strict=True)
)

# Pieces whose combinations come closer to YAML than random bytes do.
PIECES = (
    *("name", "version", "entrypoint", "services", "env", "resources", "executables", "health", "http", "command"),
    *(": ", "- ", "\n", "\n  ", "\n    ", "? ", "[", "]", "{", "}", ",", '"', "'", "\\", "|\n", ">-\n", "#", "\t", "%"),
    *("&a ", "*a", "!!str ", "!x ", "<<", "---\n", "...\n", "~", "NO", "0755", "22:30", "3.10", "2024-01-02", "1e3"),
    *("\\ud800", "\\UFFFFFFFF", "\x00", "\ufeff", "\u2028", "\x85", "é", "😀", "%YAML 9.9\n", "%TAG ! x\n", "9" * 5000),
)


def assert_sound(data: bytes) -> None:
    manifest, problems = check(data, "c.yml")
    has_errors = any(problem.severity == "error" for problem in problems)
    assert (manifest is None) == has_errors
    assert isinstance(manifest, Manifest | None)
    assert len(problems) <= MAX_PROBLEMS + 1
    lines = data.count(b"\n") + data.count(b"\r") + 1
    for problem in problems:
        message = str(problem)
        assert message.isprintable()
        assert len(message) < 1000
        assert problem.line is not None
        # YAML 1.1 also counts the breaks of Unicode as line ends.
        assert 1 <= problem.line <= lines + data.count(b"\xc2\x85") + data.count(b"\xe2\x80") + 1


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    assert_sound(data)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_no_text_like_yaml_raises(text: str) -> None:
    assert_sound(text.encode("utf-8"))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([SPECIFIED, EVERYTHING, *(case.text.encode() for case in read_cases())]),
    st.integers(0, 1000),
    st.integers(0, 20),
    st.one_of(st.binary(max_size=6), st.sampled_from(PIECES).map(str.encode)),
)
def test_no_damaged_manifest_raises(data: bytes, start: int, length: int, patch: bytes) -> None:
    start %= len(data) + 1
    assert_sound(data[:start] + patch + data[start + length :])


HUGE = {
    "alias bomb": BOMB,
    "brackets": "[" * MEBIBYTE,
    "nested keys": "{a: " * (MEBIBYTE // 4),
    "nested dashes": "- " * (MEBIBYTE // 2),
    "long list": "[" + "a," * (MEBIBYTE // 2) + "]",
    "unknown keys": "".join(f"k{i}: 1\n" for i in range(80_000)),
    "long number": f"{HEAD}env:\n  A: {'1' * MEBIBYTE}",
    "long name": f"name: {'a-' * (MEBIBYTE // 2)}",
    "long version": f"version: 1.2.3-{'a.' * (MEBIBYTE // 2)}",
    "long path": f"entrypoint: {'a/' * (MEBIBYTE // 2)}",
    "tabs": "a: b\n" + "\tx\n" * (MEBIBYTE // 3),
    "stars": f"{HEAD}executables: ['{'**/' * 1300}']",
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_a_mebibyte_made_to_hurt_is_refused_within_seconds(text: str) -> None:
    start = time.process_time()
    assert_sound(text.encode())
    # A fifth of this on a laptop; without the bounds, minutes or never.
    assert time.process_time() - start < 10


def test_an_alias_bomb_takes_no_memory() -> None:
    check(SPECIFIED, "c.yml")  # imports
    tracemalloc.start()
    try:
        problems = check(BOMB.encode(), "c.yml")[1]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert {"yaml-anchor", "yaml-alias"} <= {problem.code for problem in problems}


def test_the_report_of_a_hopeless_file_ends() -> None:
    problems = check("".join(f"k{i}: 1\n" for i in range(1000)).encode(), "c.yml")[1]
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1].code == "too-many-problems"


@pytest.mark.parametrize(
    ("opening", "closing", "body"), [("[", "]", "a"), ("{a: ", "}", "b"), ("- ", "", "a")], ids=["list", "map", "dash"]
)
def test_nesting_ends_at_thirty_two(opening: str, closing: str, body: str) -> None:
    def codes(depth: int) -> set[str]:
        text = opening * depth + body + closing * depth
        return {problem.code for problem in check(text.encode(), "c.yml")[1]}

    assert "too-deep" not in codes(32)
    assert "too-deep" in codes(33)
    assert "too-deep" in codes(100_000)
