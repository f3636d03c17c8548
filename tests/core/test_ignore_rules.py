"""``.capsuleignore`` means what git means: the same files, asked of git itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from capsule_builder.patterns import Patterns
from capsule_builder.sources import directory
from capsule_builder.sources.ignore import DEFAULTS, IgnoreRules

GIT = ["git", "-c", "core.excludesFile=", "-c", "core.ignoreCase=false", "-c", "init.defaultBranch=main"]
ENVIRONMENT = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent", "LC_ALL": "C"}

# Every file that is asked about, and (with a / at the end) every directory.
FILES = [
    "a", "b", "ab", "abc", "a b", "a ", "a\t", "#a", "!a", "*", "[a]", "é", "aé", "A", "a.b", "a-b", "a-", "]",
    "d/a", "d/b", "d/ab", "d/a b", "d/é", "d/e/a", "d/e/b", "d/e/abc", "d/e/f/a", "d/e/f/ab",
    "abd/a", "abd/b", "a.d/a", "a.d/e/a", "e/d/a", "e/d/e/b", "f/a/b", "f/a/d/e/a",
]  # fmt: skip
DIRECTORIES = sorted({file[: at + 1] for file in FILES for at, char in enumerate(file) if char == "/"})
IGNORE_FILES = ["", "d/", "d/e/", "e/"]


@pytest.fixture(scope="module")
def repository() -> Iterator[Path]:
    """A git repository with all the files, and nothing in its index."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        subprocess.run([*GIT, "init", "-q", root], env=ENVIRONMENT, check=True)
        (root / ".git/info/exclude").write_bytes(b"")
        for file in FILES:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).touch()
        yield root


def ignored_by_git(root: Path, texts: dict[str, bytes]) -> set[str]:
    for base in IGNORE_FILES:
        (root / base / ".gitignore").write_bytes(texts.get(base, b""))
    asked = [*FILES, *(name.removesuffix("/") for name in DIRECTORIES)]
    ran = subprocess.run(
        [*GIT, "check-ignore", "-z", "--stdin"],
        cwd=root, env=ENVIRONMENT, input="\0".join(asked).encode(), capture_output=True, check=False,
    )  # fmt: skip
    assert ran.returncode in {0, 1}, ran.stderr
    return {name.decode() for name in ran.stdout.split(b"\0") if name}


def ignored_by_us(texts: dict[str, bytes]) -> set[str]:
    """As the walk asks: from the top down, with the rules of each directory."""
    found: set[str] = set()
    nothing = IgnoreRules("", Patterns([]), None)
    rules = {"": nothing.below("", texts.get("", b""))}
    for path in sorted([*FILES, *DIRECTORIES]):  # a directory comes before what it holds
        above = path[: path.removesuffix("/").rfind("/") + 1]
        outer = rules.get(above)
        if outer is None or outer.ignored(path):
            found.add(path.removesuffix("/"))
        elif path.endswith("/"):
            rules[path] = outer.below(path, texts[path]) if path in texts else outer
    return found


PARTS = st.sampled_from(
    [
        "a", "b", "d", "e", "f", "ab", "abc", "é", ".", "-", "#", "!", " ", "\t", "/", "//", "\\",
        "*", "**", "***", "?", "/**/", "**/", "/**", "d/", "/d", "*.", "a*", "*b",
        "[", "]", "[a-c]", "[!a]", "[^b]", "[]]", "[]-a]", "[a-]", "[c-a]", "[a\\]]", "[é]", "[/]", "[\\a-c]",
        "[a-\\c]", "[[:alpha:]]", "[![:alpha:]]", "[[:punct:]a]", "[[:bad:]]", "[[:a]",
        "\\*", "\\a", "*a*b*", "**/a/**/", "*a*/", "**\\/", "\\é", "\\ ", "\\[", "\\!", "\\#",
    ]
)  # fmt: skip
LINES = st.builds(
    lambda bang, body, end: bang + "".join(body) + end,
    st.sampled_from(["", "", "", "!", "/", "#"]),
    st.lists(PARTS, min_size=1, max_size=5),
    st.sampled_from(["", "", "", "/", " ", "  ", "\t", "\\ ", "\\  ", "\r", "/ "]),
)
TEXTS = st.dictionaries(
    st.sampled_from(IGNORE_FILES),
    st.builds(
        lambda bom, lines, end: (bom + "\n".join(lines) + end).encode(),
        st.sampled_from(["", "", "", "\ufeff"]),
        st.lists(LINES, max_size=5),
        st.sampled_from(["", "\n", "\r\n"]),
    ),
    min_size=1,
)


@given(TEXTS)
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@example({"": b"/*\n!/d\n/d/*\n!/d/e\n"})
@example({"": b"*\n!*/\n!b\n"})
@example({"": b"d/*\n", "d/": b"!a\n"})
@example({"": b"a\\\n"})
@example({"": b"a b\r\na \r\n"})
@example({"": b"/d/\n!d/e\n"})
@example({"": b"a**/b\n"})
@example({"": b"/d/**b\n"})
@example({"": b"/d[!x]a\n/d?b\n"})
@example({"": b"[z-a]\n[]-a]\n[a\n"})
@example({"": b"/ab/\n/abd\n"})
@example({"": b"\xe9\n?\n"})
@example({"": b"[\xc3\xa9]\n"})
def test_git_ignores_the_same_files(repository: Path, texts: dict[str, bytes]) -> None:
    assert ignored_by_us(texts) == ignored_by_git(repository, texts)


# The defaults


def walked(root: Path) -> set[str]:
    tree, problems = directory.scan(str(root))
    assert not problems
    return set(tree.paths())


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


LEFT_OUT = [".git/config", ".gitignore", "a/.hg/x", "a/__pycache__/b.pyc", "c.pyo", "x~", ".x.swp", "a/.DS_Store"]


def test_version_control_and_leftovers_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, dict.fromkeys([*LEFT_OUT, ".capsuleignore", "a/.capsuleignore", "kept", "git"], ""))
    assert walked(tmp_path) == {"kept", "git"}


def test_a_git_file_of_a_worktree_is_left_out_too(tmp_path: Path) -> None:
    assert walked(write(tmp_path, {".git": "gitdir: elsewhere", "kept": ""})) == {"kept"}


@pytest.mark.parametrize("at", ["", "a/"])
def test_the_defaults_can_be_taken_in_again(tmp_path: Path, at: str) -> None:
    lines = "!.git\n!.hg\n!__pycache__/\n!*.py[co]\n!.gitignore\n!*~\n!*.swp\n!.DS_Store\n"
    write(tmp_path, {**dict.fromkeys(LEFT_OUT, ""), at + ".capsuleignore": lines})
    assert walked(tmp_path) == {name for name in LEFT_OUT if name.startswith(at)}


def test_a_file_taken_in_by_a_deeper_file_stays_out_below_an_excluded_directory(tmp_path: Path) -> None:
    write(tmp_path, {".capsuleignore": "d/\n", "d/.capsuleignore": "!a\n", "d/a": "", "e/.capsuleignore": "!a\n"})
    assert walked(tmp_path) == set()


def test_only_directories_with_nothing_in_them_are_empty(tmp_path: Path) -> None:
    write(tmp_path, {".capsuleignore": "*.log\n", "logs/a.log": "", "some/.capsuleignore": ""})
    (tmp_path / "empty").mkdir()
    assert walked(tmp_path) == {"empty"}


def test_the_guide_lists_the_defaults() -> None:
    guide = Path(__file__).parents[2] / "docs" / "capsbuild.md"
    block = guide.read_text().split("<!-- defaults -->\n\n")[1].split("\n\n")[0]
    assert tuple(block.replace("    ", "").split()) == DEFAULTS
    for count in re.findall(r"(\d+) patterns", guide.read_text()):
        assert int(count) == len(DEFAULTS)


# Patterns for the manifest's executables


@pytest.mark.parametrize(
    ("lines", "path", "named"),
    [
        (["bin/*"], "bin/a", True),
        (["bin/*"], "bin/a/b", True),
        (["bin/*"], "x/bin/a", False),
        (["bin"], "x/bin/a", True),
        (["bin/"], "bin", False),
        (["*.sh", "!b.sh"], "a.sh", True),
        (["*.sh", "!b.sh"], "x/b.sh", False),
        (["bin/", "!bin/a"], "bin/a", True),  # gitignore(5): not out of a directory that is named
        ([], "a", False),
        (["[z-a]", "a\\", "[a", ""], "a", False),
        (["\\#a", "\\!b", "/ d"], "#a", True),
        (["/d/a b"], "d/a b", True),
    ],
)
def test_a_pattern_names_files_and_what_lies_below_directories(lines: list[str], path: str, named: bool) -> None:
    assert Patterns(lines).match(path) is named


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 30 + "b", "a" * 250),
        ("**/a/" * 30 + "b", "a/" * 1000 + "a"),
        ("**/*a*a*a/" * 9 + "b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/" * 60 + "a"),
        ("/**/a" * 20 + "/**/b", "a/" * 1000),
    ],
)
def test_no_pattern_takes_long(pattern: str, path: str) -> None:
    program = (
        "import sys; from capsule_builder.patterns import Patterns; print(Patterns(sys.argv[1:2]).decide(sys.argv[2]))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, pattern, path], timeout=20, check=True, stdout=subprocess.PIPE
    )
    assert said.stdout == b"None\n"
