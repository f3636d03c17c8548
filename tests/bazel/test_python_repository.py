"""How `@rules_capsule_python` finds an interpreter, and installs for one that has no pip of its own."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.bazel.harness import Bazel

TARGET = "@rules_capsule//rules/python:builder"


@pytest.fixture
def without_pip(tmp_path: pathlib.Path) -> pathlib.Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "a venv"], check=True)
    return tmp_path / "a venv/bin/python"


@pytest.fixture(autouse=True)
def the_default_again(bazel: Bazel) -> Iterator[None]:
    yield
    bazel.build(TARGET)


def path_of(tmp_path: pathlib.Path, *programs: str) -> str:
    """A PATH with the stated programs, and nothing that a repository rule might find by chance."""
    directory = tmp_path / "path"
    directory.mkdir()
    for program in programs:
        found = shutil.which(program)
        assert found, program
        (directory / program).symlink_to(os.path.realpath(found))
    return str(directory)


def test_a_stated_interpreter_without_pip_is_served_by_another_pip(bazel: Bazel, without_pip: pathlib.Path) -> None:
    bazel.build("//apps/one:capsule", f"--repo_env=CAPSULE_PYTHON={without_pip}")
    defs = (bazel.output_base / "external/rules_capsule_python/defs.bzl").read_text()
    (interpreter,) = re.findall(r'^INTERPRETER = "(.+)"$', defs, re.M)
    assert os.path.samefile(interpreter, without_pip)
    assert "a venv" not in interpreter, "actions use the interpreter that the venv is made from"


@pytest.mark.parametrize("stated", ["/bin/true", "/nonexistent"])
def test_what_is_no_python_is_refused_by_name_with_a_remedy(bazel: Bazel, stated: str) -> None:
    assert (
        f"{stated}, which was stated as the interpreter of the capsule builder, "
        "is not a Python 3.10 or newer that runs. "
        "Install it, or name another with --repo_env=CAPSULE_PYTHON=/path/to/python3."
    ) in bazel.refuses(TARGET, f"--repo_env=CAPSULE_PYTHON={stated}")


def test_an_interpreter_stated_in_the_workspace_is_named_with_the_place_to_mend_it(bazel: Bazel) -> None:
    file = bazel.workspace / "WORKSPACE"
    before = file.read_text()
    file.write_text(before.replace("dependencies()", 'dependencies(interpreter = "/nonexistent")'))
    try:
        said = bazel.refuses(TARGET)
    finally:
        file.write_text(before)
    assert "/nonexistent, which was stated as the interpreter" in said
    assert 'State another in WORKSPACE or MODULE.bazel (interpreter = "/path/to/python3").' in said


def test_without_any_installer_the_remedy_is_told(
    bazel: Bazel, without_pip: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    said = bazel.refuses(TARGET, f"--repo_env=CAPSULE_PYTHON={without_pip}", f"--repo_env=PATH={path_of(tmp_path)}")
    assert "It has no pip, and neither pip3 nor uv is on PATH" in said
    assert "apt-get install python3-pip" in said


def test_nothing_is_looked_for_or_installed_when_no_target_needs_it(bazel: Bazel) -> None:
    broken = "--repo_env=CAPSULE_PYTHON=/bin/true"
    bazel.build("//programs:count", broken)  # a py_binary, for which Bazel goes through all toolchains
    bazel.build("//apps/one:capsule", broken, "--extra_toolchains=//custom:toolchain")
