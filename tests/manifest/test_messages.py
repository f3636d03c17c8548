"""Every fault earns an exact line: where, what, and how to mend it."""

from __future__ import annotations

import pytest

from capsule_builder.manifest import check
from tests.manifest.golden import HEAD, Case, read_cases, said_of

SAVE = "save the file as UTF-8 without a byte order mark"
NO_CONTENT = "give it at least the keys name, version and entrypoint"

# The file as bytes, of which nothing can be believed yet; what is text is in messages.golden.
NO_TEXT = {
    "empty": (b"", [f"1:1: error: the file is empty; {NO_CONTENT}"]),
    "blank": (b"\n  \n", [f"1:1: error: the file is empty; {NO_CONTENT}"]),
    "comments only": (b"# nothing\n", [f"1:1: error: the file holds only comments; {NO_CONTENT}"]),
    "byte order mark": (
        b"\xef\xbb\xbf" + HEAD.encode(),
        [f"1:1: error: the file begins with a UTF-8 byte order mark; {SAVE}"],
    ),
    "UTF-16 with a mark": (HEAD.encode("utf-16"), [f"1:1: error: the file is UTF-16, not UTF-8; {SAVE}"]),
    "UTF-16 without a mark": (HEAD.encode("utf-16-be"), [f"1:1: error: the file is UTF-16, not UTF-8; {SAVE}"]),
    "UTF-32": (HEAD.encode("utf-32"), [f"1:1: error: the file is UTF-32, not UTF-8; {SAVE}"]),
    "Latin-1 in two lines": (
        b"# caf\xe9\n# \xc3\xa9 \xe9\n",
        [
            "1:6: error: byte 0xe9 at offset 5 is not UTF-8; save the file as UTF-8",
            "2:5: error: byte 0xe9 at offset 12 is not UTF-8; save the file as UTF-8",
        ],
    ),
    "NUL": (b"name: a\x00b\n", ["1:8: error: a NUL is not allowed in YAML; delete it"]),
    "escape, after a CRLF": (
        b"name: a\r\nversion: \x1b[31m\r\n",
        ["2:10: error: the control character U+001B is not allowed in YAML; delete it"],
    ),
    "too large": (
        b"#" * (1 << 20) + b"\n",
        ["1:1: error: the file is larger than 1,048,576 bytes (1 MiB); move the bulk into a file of the capsule"],
    ),
}


@pytest.mark.parametrize("case", NO_TEXT.values(), ids=NO_TEXT)
def test_bytes_that_are_no_text_are_named_with_their_place(case: tuple[bytes, list[str]]) -> None:
    data, expected = case
    assert said_of(data).splitlines() == [f"c.yml:{line}" for line in expected]


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case.title)
def test_every_fault_is_named_with_its_place_and_remedy(case: Case) -> None:
    assert said_of(case.text.encode()) == case.said


def test_the_golden_file_is_read_whole() -> None:
    assert len(read_cases()) > 120
    assert len({case.title for case in read_cases()}) == len(read_cases())


def test_every_problem_has_a_code_a_place_and_a_remedy() -> None:
    for data in [*(data for data, _ in NO_TEXT.values()), *(case.text.encode() for case in read_cases())]:
        for problem in check(data, "c.yml")[1]:
            assert problem.code
            assert problem.remedy
            assert problem.line is not None
            assert problem.column is not None
            assert "\n" not in str(problem)


def test_all_problems_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = """\
name: My App
version: 2.1
services: [web, web]
env:
  NO: x
  LEVEL: 3
dependencies: {python: 3.10}
resources:
  cpu_quota: "80"
  memory: 1G
executables: ["#"]
color: [*red]
color: !!set {}
"""
    problems = check(text.encode(), "c.yml")[1]
    assert [(problem.line, problem.column, problem.code) for problem in problems] == [
        (1, 1, "missing-key"),
        (1, 7, "bad-name"),
        (2, 10, "not-text"),
        (3, 17, "duplicate-service"),
        (5, 3, "not-text"),
        (6, 10, "not-text"),
        (7, 24, "not-text"),
        (9, 14, "bad-cpu-quota"),
        (10, 3, "unknown-key"),
        (11, 15, "bad-pattern"),
        (12, 1, "unknown-key"),
        (12, 9, "yaml-alias"),
        (13, 1, "duplicate-key"),
        (13, 1, "unknown-key"),
        (13, 8, "yaml-tag"),
    ]


def test_what_stands_before_a_syntax_error_is_checked_in_the_same_run() -> None:
    text = "name: My App\nversion: 1.0.0\nenv:\n\tA: b\n"
    assert [(problem.line, problem.code) for problem in check(text.encode(), "c.yml")[1]] == [
        (1, "bad-name"),
        (4, "tab"),
    ]
