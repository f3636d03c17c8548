"""What the manifest takes for a pattern, git takes too: asked of the real git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from capsule_builder.manifest.executable_patterns import EXECUTABLE
from capsule_builder.patterns import Patterns

# A pattern, and a path that it matches; None where git matches nothing with it.
PATTERNS = {
    "bin/*": "bin/x",
    "*.sh": "a/b.sh",
    "tools/": "tools/x",
    "/a": "a",
    "a**/b": "a/b",
    "[ab]": "b",
    "[]a]": "]",
    "[!]a]": "b",
    "[[]": "[",
    "[a\\]]": "]",
    "[[:alpha:]]": "q",
    "\\#x": "#x",
    "\\!x": "!x",
    "\\\\": "\\",
    " a": " a",
    "[z-a]": "z",
    "[a": None,
    "[]": None,
    "[!]": None,
    "[^]": None,
    "[\\]": None,
    "a\\": None,
    "\\": None,
    "/": None,
    "//": None,
    "#x": None,
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "--quiet", str(path)], check=True)
    return path


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_is_taken_exactly_when_git_matches_something(pattern: str, repository: Path) -> None:
    path = PATTERNS[pattern]
    assert (EXECUTABLE.complaint(pattern) is None) == (path is not None)
    (repository / ".gitignore").write_text(f"{pattern}\n")
    for candidate in [path] if path else ["a", "[a", "a\\", "\\", "x/", "#x", "[]", "[!]"]:
        command = ["git", "-C", str(repository), "check-ignore", "--quiet", "--no-index", "--", candidate]
        matched = subprocess.run(command, check=False).returncode == 0
        assert matched == (path is not None)
        assert Patterns([pattern]).match(candidate) == matched
