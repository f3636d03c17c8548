"""The rules' own code: one version, no call that some supported Bazel lacks, and buildifier's approval."""

from __future__ import annotations

import fnmatch
import os
import pathlib
import re
import subprocess
import sys

import pytest

import capsule_builder
from tests.bazel.harness import REPOSITORY

STARLARK = sorted(
    file
    for folder in ("rules", "capsule_builder", "requirements", "examples")
    for pattern in ("**/*.bzl", "**/BUILD")
    for file in (REPOSITORY / folder).glob(pattern)
) + [REPOSITORY / name for name in ("BUILD", "WORKSPACE", "MODULE.bazel", "WORKSPACE.bzlmod")]

# What one of Bazel 4.2, 7, 8 and 9 lacks, and the reason.
BANNED = {
    r"\blambda\b": "Bazel 4 has no lambda",
    r"^\s+def ": "Bazel 4 has no nested functions",
    r"\bset\(": "there is no set before Bazel 8",
    r"\bf\"|\bf'": "Starlark has no f-strings",
    r"\bprint\(": "the rules speak through fail() and through their actions",
    r"\.remove(?:prefix|suffix)\(": "Bazel 4 has neither",
    r"\binit\s*=": "provider(init) is not in Bazel 4",
    r"\.merge_all\(": "not in Bazel 4",
    r"\bresource_set\b|\bshadowed_action\b|\bexec_group": "not in Bazel 4",
    r"\ballow_closure\b": "not in Bazel 4",
    r"\btemplate_dict\b": "not before Bazel 7",
    r"\bdeclare_symlink\b": "behind a flag before Bazel 7",
    r"^visibility\(": "not in Bazel 4",
    r"\b(?:macro|subrule)\(": "not before Bazel 8",
    r"\bconfigurable\s*=|\bskip_validations\b": "not in Bazel 4",
    r"string_keyed_label_dict|label_list_dict": "not in Bazel 4",
    r"\bconfig\.(?:exec|target|none)\(": "not in Bazel 4",
    r"config_common\.toolchain_type": "not in Bazel 4",
    r"RunEnvironmentInfo|PackageSpecificationInfo": "not in Bazel 4",
    r"cfg\s*=\s*\"host\"": "gone in Bazel 7",
    r"\b(?:PyInfo|PyRuntimeInfo|CcInfo|JavaInfo|ProtoInfo)\b": "not global in Bazel 9",
    r"native\.(?:py|sh|cc|java|proto)_": "gone in Bazel 9",
    r"native\.(?:module_name|repo_name|bazel_version|repository_name)": "not in all of them",
    r"workspace_name\b(?<!ctx\.workspace_name)": "Label.workspace_name is leaving; ctx.workspace_name stays",
    r"@@": "Bazel 4 reads no canonical label",
    r"%\{(?:label|output)\}": "Bazel 4 prints this as it stands",
    r"requires-worker-protocol": "a flag is needed for it before Bazel 6, and without it the build fails",
    r"@bazel_skylib|@rules_python|@platforms": "the rules have no dependency",
}
EXCEPTIONS = {
    # A message is tidied of it.
    ("rules/private/compat.bzl", r"@@"),
}


def relative(file: pathlib.Path) -> str:
    return str(file.relative_to(REPOSITORY))


def code_of(file: pathlib.Path) -> str:
    """The file without comments, docstrings and templates."""
    text = re.sub(r'"""(?:.|\n)*?"""', '""', file.read_text())
    return "\n".join(line.split("#")[0] for line in text.splitlines())


@pytest.mark.parametrize("file", STARLARK, ids=relative)
def test_no_call_that_a_supported_bazel_lacks(file: pathlib.Path) -> None:
    lines = code_of(file).splitlines()
    for pattern, reason in BANNED.items():
        if (relative(file), pattern) not in EXCEPTIONS:
            assert not [line for line in lines if re.search(pattern, line)], reason


def test_differences_of_bazels_are_probed_in_one_file() -> None:
    probing = re.compile(r"\b(?:hasattr|getattr)\(")
    assert [relative(file) for file in STARLARK if probing.search(code_of(file))] == ["rules/private/compat.bzl"]


def test_only_the_module_extension_names_bzlmods_globals() -> None:
    users = [relative(file) for file in STARLARK if re.search(r"\b(?:module_extension|tag_class)\(", file.read_text())]
    assert users == ["rules/extensions.bzl"]
    assert not [file for file in STARLARK if "extensions.bzl" in file.read_text() and file.suffix == ".bzl"]


def test_the_module_has_the_version_of_the_python_package() -> None:
    text = (REPOSITORY / "MODULE.bazel").read_text()
    assert re.findall(r'version = "([^"]+)"', text) == [capsule_builder.__version__]


def test_analysis_flattens_nothing_that_is_transitive() -> None:
    """A depset made into a list in each of a thousand targets would have analysis grow by the square."""
    found = {
        (file.name, name)
        for file in STARLARK
        for line in file.read_text().splitlines()
        for name in re.findall(r"(\S+)\.to_list\(\)", line)
    }
    assert found == {
        ("layer.bzl", "target[DefaultInfo].files"),  # of what is renamed, to see that it is one file
        ("runfiles.bzl", "runfiles.symlinks"),  # those that somebody declared by hand
        ("runfiles.bzl", "runfiles.root_symlinks"),
    }


def test_the_stand_ins_for_debian_are_known_to_nothing_else() -> None:
    assert not [
        file
        for file in STARLARK
        if re.search("debian", file.read_text(), re.I) and "python3-pip" not in file.read_text()
    ]


IMPORTED_BY_ACTIONS = r"""
import sys
from capsule_builder import capsule
from capsule_builder.actions import main, python, stamp, worker
from capsule_builder.python import bundled, bytecode
from capsule_builder.manifest import executable_patterns, load
load(b"name: a\nversion: 1.0.0\nentrypoint: b\nexecutables: [c]\n", "capsule.yml")
try:
    load(b"name: [\n\t%\n", "capsule.yml")
except Exception:
    pass
print(*sorted(name for name in sys.modules if name.startswith("capsule_builder")))
"""


IMPORTED_BY_STATEMENTS = r"""
import sys
from capsule_builder.actions import statement
from capsule_builder.statements import sbom
from capsule_builder.archive import mode_reader
print(*sorted(name for name in sys.modules if name.startswith("capsule_builder")))
"""


def sources_of_the_builder() -> set[str]:
    folder = REPOSITORY / "capsule_builder"
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}


def patterns(filegroup: str) -> list[str]:
    """What a filegroup names: what to take, or of `sources`, which takes all, what to leave out."""
    build = (REPOSITORY / "capsule_builder/BUILD").read_text()
    rule = build[build.index(f'name = "{filegroup}"') :].partition("\n)\n")[0]
    return [name for name in re.findall(r'"([a-z_/*]+(?:\.py|/\*\*))"', rule) if name != "**/*.py"]


def matching(names: set[str], patterns: list[str]) -> set[str]:
    return {name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)}


def imported_by(program: str) -> set[str]:
    names = sources_of_the_builder()
    ran = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True)
    paths = ["/".join(module.split(".")[1:]) for module in ran.stdout.split()]
    return {f"{path}.py" if f"{path}.py" in names else f"{path}/__init__.py".removeprefix("/") for path in paths}


def test_actions_get_what_they_import_and_nothing_else() -> None:
    names = sources_of_the_builder()
    given = names - matching(names, patterns("sources"))
    assert (
        imported_by(IMPORTED_BY_ACTIONS) | {"python/compile_worker.py"} == given
    )  # which the Python that compiles runs


def test_actions_about_capsules_get_what_they_import_and_otherwise_what_all_actions_do() -> None:
    names = sources_of_the_builder()
    more = matching(names, patterns("statement_sources"))
    all_actions = names - matching(names, patterns("sources"))
    assert imported_by(IMPORTED_BY_STATEMENTS) - all_actions == more


def test_a_plain_layer_imports_nothing_of_python_environments_and_nothing_slow(tmp_path: pathlib.Path) -> None:
    program = """
import sys
from capsule_builder.actions.main import main
outputs = ("--fragment", "f", "--contents", "c", "--index", "i")
assert main(["layer", *outputs, "--level=6", "--executable=*.sh"]) == 0
parts = ("capsule_builder.python", "capsule_builder.requirements", "installer", "packaging", "dataclasses", "tempfile")
print(*sorted(name for name in sys.modules if name.startswith(parts)))
"""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    assert ran.stdout == "\n"
