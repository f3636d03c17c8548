"""Names that the builder's params file cannot hold: refused by name, each in ``workspaces/shop/names/BUILD``."""

from __future__ import annotations

import re

import pytest

from tests.bazel.harness import Bazel


def test_a_tab_or_line_break_in_an_attribute_is_refused_with_attribute_and_value(bazel: Bazel) -> None:
    names = ("package_dir", "strip_prefix", "renames", "symlinks_path", "symlinks_text", "empty_dirs", "executables")
    said = bazel.refuses("--keep_going", *(f"//names:in_{name}" for name in names))
    assert sorted(re.findall(r'(\w+: ".*") holds a tab or a line break, .* Leave it out\.$', said, re.M)) == [
        r'empty_dirs: "a\n--package-dir=evil"',
        r'executables: "a\nb"',
        r'package_dir: "a\nb"',
        r'renames: "a\tb"',
        r'strip_prefix: "a\tb"',
        r'symlinks: "a\rb"',
        r'symlinks: "a\tb"',
    ]


@pytest.mark.parametrize(
    ("target", "file"),
    [
        ("tab_in_srcs", "with_tab/\N{LATIN SMALL LETTER O WITH DIAERESIS}\\tx"),
        ("line_break_in_renames", "with_line_break/a\\nb"),
        ("line_break_in_runfiles", "with_line_break/a\\nb"),
        ("tab_in_links", "with_tab/\N{LATIN SMALL LETTER O WITH DIAERESIS}\\tx"),
    ],
)
def test_a_tab_or_line_break_in_a_made_file_is_refused_by_its_name(bazel: Bazel, target: str, file: str) -> None:
    said = bazel.refuses(f"//names:{target}")
    found = re.findall(r"^ERROR: Name holds a control character: bazel-out/[^/]+/bin/names/(.*)\n  (.*)$", said, re.M)
    assert found == [(file, "Rename the file, or leave it out.")]
    assert "Traceback" not in said


def test_patterns_that_match_nothing_are_refused_as_the_manifest_refuses_them(bazel: Bazel) -> None:
    said = bazel.refuses("//names:patterns")
    assert re.findall(r"^ERROR: executables: (.* matches nothing|is empty)", said, re.M) == [
        '"[" matches nothing',
        "is empty",
        '"#x" is a comment and matches nothing',
    ]
    assert "Traceback" not in said
