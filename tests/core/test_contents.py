"""The heart: path rules, the listing, where links lead, how layers are merged."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from capsule_builder import contents
from capsule_builder.contents import Listed
from capsule_builder.errors import CapsuleError
from capsule_builder.links import link_problem, links_problems
from capsule_builder.paths import path_problem

A, B = "a" * 64, "b" * 64


# Paths

PATHS = {
    "a": None,
    "a/b c/é/…": None,
    ".hidden/..a/...": None,
    "a" * 255: None,
    "é" * 127: None,
    "/".join(["d" * 255] * 16): None,  # 4,095 bytes
    "/".join(["d" * 255] * 15 + ["e" * 127, "f" * 128]): None,  # 4,096 bytes
    "a/-": None,
    "-a": None,
    "a/.capsule_contents": None,
    ".capsule": None,
    ".capsuleignore": None,
    "": "path-relative",
    "/a": "path-relative",
    "a/": "path-relative",
    "a//b": "path-relative",
    "./a": "path-relative",
    "a/.": "path-relative",
    "..": "path-relative",
    "a/../b": "path-relative",
    "a\nb": "name-character",
    "a\0": "name-character",
    "a\x7f": "name-character",
    "a\x80": "name-character",
    "a\u2028b": "name-character",
    "a\u202eb": "name-character",
    "a\\b": "name-character",
    "a\udce9": "name-encoding",
    "a" * 256: "name-length",
    "b/" + "é" * 128: "name-length",
    "/".join(["d" * 255] * 16 + ["a"]): "path-length",
    ".capsule_": "name-reserved",
    ".capsule_x/y": "name-reserved",
    "-": "name-reserved",
}


@pytest.mark.parametrize(("path", "code"), PATHS.items(), ids=range(len(PATHS)))
def test_the_rules_of_paths(path: str, code: str | None) -> None:
    problem = path_problem(path)
    assert (problem and problem.code) == code
    if problem:
        assert problem.remedy
        assert not any(char < " " or char == "\x7f" for char in problem.message)
        problem.message.encode()


@given(st.text())
@example("\x1b]0;title\x07")
@example("a\u202eb\u2066")
def test_a_message_of_any_path_is_harmless_to_a_terminal(path: str) -> None:
    if problem := path_problem(path):
        assert not re.search("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", problem.message)


# The listing

GOOD = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(
    lambda path: path_problem(path) is None
)
LISTED = st.one_of(
    st.builds(
        Listed, GOOD, st.sampled_from(["file", "executable"]), st.text("0123456789abcdef", min_size=64, max_size=64)
    ),
    st.builds(Listed, GOOD, st.just("symlink"), GOOD),
    st.builds(Listed, GOOD, st.just("dir"), st.just("")),
)


@given(st.lists(LISTED))
def test_a_listing_is_read_as_it_was_written(entries: list[Listed]) -> None:
    lines = [contents.LISTING_HEADER, *(entry.line() for entry in entries)]
    assert b"".join(lines).count(b"\n") == len(entries) + 1
    assert list(contents.read_listing(lines)) == entries


@given(st.lists(GOOD))
def test_paths_are_ordered_by_their_bytes(paths: list[str]) -> None:
    assert sorted(paths) == sorted(paths, key=str.encode)


@pytest.mark.parametrize("line", [
    b"", b"\n", b"# comment\n", b"# dir\ta\tb\n", b"# symlink\ta\n", b"# symlink a b\n", A.encode() + b" a\n",
    A.upper().encode() + b"  a\n", A[1:].encode() + b"  a\n", A.encode() + b" +a\n", A.encode() + b"  \n",
])  # fmt: skip
def test_other_lines_are_refused(line: bytes) -> None:
    with pytest.raises(CapsuleError, match="Not a line of a content listing"):
        contents.parse_line(line)


@pytest.mark.parametrize("header", [b"", b"# capsule-contents v2\n", b"# capsule-contents v1"])
def test_another_header_is_refused(header: bytes) -> None:
    with pytest.raises(CapsuleError, match="Not a content listing"):
        list(contents.read_listing([header]))


# Links

NAMES = st.sampled_from(["a", "b", "c"])
PLACES = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TARGETS = st.lists(st.sampled_from(["a", "b", "c", "..", "..", ".", ""]), min_size=1, max_size=5).map("/".join)


@given(st.dictionaries(PLACES, st.one_of(st.just("file"), st.just("dir"), TARGETS.map("-> ".__add__)), max_size=8))
@settings(deadline=None, max_examples=400)
@example({"a": "file", "b": "-> a/../c", "c": "file"})
@example({"a": "file", "b": "-> a/"})
@example({"a": "-> b/..", "b": "-> c", "c/a": "dir"})
@example({"a": "-> ."})
def test_links_lead_where_the_kernel_says(described: dict[str, str]) -> None:
    """Every link of a tree is judged as os.stat finds it on a disk, from which nothing leads out."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "one" / "two" / "three" / "four" / "five" / "root"
        root.mkdir(parents=True)
        links: dict[str, str] = {}
        paths: list[str] = []
        for path, what in sorted(described.items()):
            place = root / path
            if any(above in described and described[above] != "dir" for above in parents(path)):
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            if what == "file":
                place.touch()
            elif what == "dir":
                place.mkdir(exist_ok=True)
            elif what != "-> ":  # no link has an empty target
                links[path] = what.removeprefix("-> ")
                if links[path].startswith("/"):
                    links[path] = "." + links[path]
                place.symlink_to(links[path])
        for here, directories, names in os.walk(root):
            relative = os.path.relpath(here, root)
            paths += [os.path.normpath(f"{relative}/{name}") for name in names]
            paths += [
                os.path.normpath(f"{relative}/{name}") for name in directories if os.path.islink(f"{here}/{name}")
            ]
            if not directories and not names and relative != ".":
                paths.append(relative + "/")
        refused = {problem.message.split(": ")[1].split(" -> ")[0] for problem in links_problems(links, paths)}
        assert refused == {link for link in links if not stays_inside(root, link)}


def parents(path: str) -> list[str]:
    return [path[:at] for at, char in enumerate(path) if char == "/"]


def stays_inside(root: Path, link: str) -> bool:
    """Whether the kernel finds something at the link, when ``root`` is all there is."""
    try:
        os.stat(root / link)
    except OSError:
        return False
    # Step by step, so that one that leaves and comes back is seen.
    todo = os.readlink(root / link).split("/")[::-1]
    here = os.path.dirname(root / link)
    while todo:
        part = todo.pop()
        if part == "..":
            if os.path.samefile(here, root):
                return False
            here = os.path.dirname(os.path.realpath(here))
        elif part not in {"", "."}:
            if os.path.islink(f"{here}/{part}"):
                todo += os.readlink(f"{here}/{part}").split("/")[::-1]
            else:
                here = f"{here}/{part}"
    return True


def test_the_interpreters_contract_is_the_one_absolute_target() -> None:
    good = "/opt/tori/python/3.11/bin/python3.11"
    assert link_problem("l", good) is None
    for bad in (
        good + "/",
        "/" + good,
        "/opt/tori/python/3.11/bin/python3.12",
        "/opt/tori/python/3.011/bin/python3.011",
        "/opt/tori/python/2.7/bin/python2.7",
        "/opt/tori/python/3.11/bin/../bin/python3.11",
        good + "\u0661",
    ):
        problem = link_problem("l", bad)
        assert problem and problem.code == "link-escape"


def test_a_hundred_links_in_a_row_are_one_too_many_for_the_kernel_and_for_us() -> None:
    links = {f"l{number:03}": f"l{number + 1:03}" for number in range(100)} | {"l100": "file"}
    problems = links_problems(links, [*links, "file"])
    assert [problem.code for problem in problems] == ["link-cycle"] * 61  # the kernel follows 40


# Layers


def merged(*layers: Iterable[Listed]) -> tuple[list[Listed], set[str]]:
    crowded: set[str] = set()
    listings = [
        [(entry, f"//:{number}") for entry in sorted(layer, key=lambda e: e.path)]
        for number, layer in enumerate(layers)
    ]
    return [entry for entry, _ in contents.merge(listings, crowded)], crowded


def test_the_same_entry_in_two_layers_comes_once() -> None:
    one, link, empty = Listed("a", "file", A), Listed("l", "symlink", "a"), Listed("z", "dir")
    assert merged([one, link, empty], [one], [link, empty]) == ([one, link, empty], set())


CONFLICTS: list[tuple[Listed, Listed, str]] = [
    (Listed("a", "file", A), Listed("a", "file", B), "different bytes"),
    (Listed("a", "file", A), Listed("a", "executable", A), "the same bytes, but only one of them is executable"),
    (Listed("a", "symlink", "x"), Listed("a", "symlink", "y"), "x and y"),
    (Listed("a", "file", A), Listed("a", "symlink", "y"), "a file and a symlink"),
    (Listed("a", "dir"), Listed("a", "symlink", "y"), "an empty directory and a symlink"),
    (Listed("a", "file", A), Listed("a/b", "file", A), "a file, and a directory with a/b"),
    (Listed("a", "symlink", "x"), Listed("a/b/c", "dir"), "a symlink, and a directory with a/b/c"),
]


@pytest.mark.parametrize(("one", "other", "difference"), CONFLICTS, ids=range(len(CONFLICTS)))
@pytest.mark.parametrize("between", [[], [Listed("a-c", "file", A), Listed("a.d", "file", A)]])
def test_layers_that_disagree_are_refused(one: Listed, other: Listed, difference: str, between: list[Listed]) -> None:
    with pytest.raises(CapsuleError) as caught:
        merged([one, *between], [other])
    assert [problem.message for problem in caught.value.problems] == [
        f"Two layers disagree about a: //:0 and //:1 ({difference})"
    ]


def test_all_conflicts_are_told_at_once() -> None:
    one = [Listed(path, "file", A) for path in "abc"]
    other = [Listed("a", "file", B), Listed("b/x", "file", A), Listed("c", "dir")]
    with pytest.raises(CapsuleError) as caught:
        merged(one, other)
    assert len(caught.value.problems) == 3


def test_an_empty_directory_in_which_another_layer_has_something_is_crowded() -> None:
    entries, crowded = merged(
        [Listed("a", "dir"), Listed("b", "dir")],
        [Listed("a-b", "file", A), Listed("a/b", "file", A)],
        [Listed("b", "dir")],
    )
    assert crowded == {"a"}
    assert [entry.path for entry in entries] == ["a", "a-b", "a/b", "b"]
