"""Executables run from the place where the capsule was unpacked, with nothing of Bazel's near."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

from tests.bazel.harness import Bazel


@pytest.fixture(scope="module")
def installed(bazel: Bazel, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    bazel.build("//programs:capsule")
    place = tmp_path_factory.mktemp("installed")
    subprocess.run(["tar", "xzf", bazel.output("programs:capsule.tar.gz"), "-C", place], check=True)
    return place


def output_of(program: pathlib.Path) -> str:
    result = subprocess.run([program], env={"PATH": "/usr/bin:/bin"}, cwd="/", capture_output=True, text=True)
    return result.stdout + result.stderr


def test_a_script_finds_its_files_directories_and_those_of_other_repositories(installed: pathlib.Path) -> None:
    assert output_of(installed / "greet") == "good day\ntwo\nwords of another repository\n"


def test_a_python_program_finds_its_modules_and_data(installed: pathlib.Path) -> None:
    assert output_of(installed / "count") == "3 numbers\n"


def test_links_in_runfiles_become_files_at_their_places(installed: pathlib.Path) -> None:
    assert output_of(installed / "links").splitlines() == [
        "./at_the_root/words.txt",
        "./shop/linked/tree/in/deep/one.txt",
        "./shop/linked/tree/two.txt",
        "./shop/linked/words.txt",
        "words of another repository",
        "words of another repository",
    ]


def test_a_program_of_another_repository_leaves_that_name_out(installed: pathlib.Path) -> None:
    assert output_of(installed / "lib/tool") == "words of another repository\n"


def test_a_renamed_program_takes_its_runfiles_with_it(installed: pathlib.Path) -> None:
    assert output_of(installed / "tools/bin/hello") == "good day\ntwo\nwords of another repository\n"
    assert (installed / "tools/bin/hello.runfiles/shop/programs/greeting.txt").is_file()


def test_a_program_that_is_no_output_of_its_rule_is_there_all_the_same(installed: pathlib.Path) -> None:
    assert output_of(installed / "aside") == "aside\n"
    assert (installed / "aside.note").is_file()
    assert output_of(installed / "tools/bin/aside") == "aside\n"


@pytest.mark.parametrize("place", ["apps/one/capsule", "apps/one/capsule.runfiles/shop/apps/one/capsule"])
def test_a_capsule_in_a_capsule_still_copies_itself_out(
    installed: pathlib.Path, tmp_path: pathlib.Path, place: str
) -> None:
    said = subprocess.run([installed / place, "--output-dir", tmp_path], check=True, capture_output=True, text=True)
    assert f"Capsule built successfully: {tmp_path}/capsule-shop-front-" in said.stdout
    (copy,) = tmp_path.iterdir()
    assert copy.read_bytes() == (installed / "apps/one/capsule.tar.gz").read_bytes()


def test_no_manifest_and_no_invented_file_is_installed(installed: pathlib.Path) -> None:
    names = {path.name for path in installed.rglob("*")}
    assert not names & {"MANIFEST", "__init__.py"}
    assert (installed / "greet.runfiles/shop/programs/greet").stat().st_mode & 0o777 == 0o755
