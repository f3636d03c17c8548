"""Whoever made an environment, and wherever it lies: the same files, to the byte, as from its wheels."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from capsule_builder.python.finished import Below
from capsule_builder.python.layout import Layout
from capsule_builder.python.package import plan
from capsule_builder.python.relocate import relocate
from capsule_builder.sources.ziptree import scan_zip
from tests.determinism import pythons
from tests.relocate.environments import TOOLS, Files, from_wheels, laid_out, pip, relocated, run, uv_pip, uv_venv

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def expected(wheels: list[Path]) -> Files:
    return from_wheels(wheels, HERE)


def venv_and_pip(place: Path, wheels: list[Path]) -> None:
    run(sys.executable, "-m", "venv", place)
    pip(place / "bin" / "python", wheels)


def copies_without_bytecode(place: Path, wheels: list[Path]) -> None:
    run(sys.executable, "-m", "venv", "--copies", place)
    pip(place / "bin" / "python", wheels, "--no-compile")


def virtualenv_and_pip(place: Path, wheels: list[Path]) -> None:
    run(TOOLS / "virtualenv", "-q", "--no-download", "--no-periodic-update", place)
    pip(place / "bin" / "python", wheels)


def uv(place: Path, wheels: list[Path]) -> None:
    uv_pip(uv_venv(place), wheels)


def uv_relocatable(place: Path, wheels: list[Path]) -> None:
    uv_pip(uv_venv(place, "--relocatable"), wheels, "--compile-bytecode")


def uv_by_name(place: Path, wheels: list[Path]) -> None:
    """As from an index: no ``direct_url.json``."""
    names = [path.name.split("-")[0] for path in wheels]
    uv_pip(uv_venv(place), [], "--find-links", str(wheels[0].parent), *names)


BUILDERS = [venv_and_pip, copies_without_bytecode, virtualenv_and_pip, uv, uv_relocatable, uv_by_name]
PLACES = {"short": "e", "spaces": "a place with 'quotes' and spaces", "long": "/".join(["quite-a-long-directory"] * 7)}


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
def test_every_builder_gives_what_the_wheels_give(
    builder: Callable[[Path, list[Path]], None], tmp_path: Path, wheels: list[Path], expected: Files
) -> None:
    builder(tmp_path / "environment", wheels)
    files, environment = relocated(tmp_path / "environment", HERE)
    assert files == expected
    assert environment.leftovers == []
    assert [problem.code for problem in environment.warnings] == ["venv-sourceless"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("by_uv", [True, False], ids=["uv", "pip"])
def test_the_place_is_nothing(place: str, by_uv: bool, tmp_path: Path, wheels: list[Path], expected: Files) -> None:
    environment = tmp_path / PLACES[place] / "venv"
    environment.parent.mkdir(parents=True)
    if by_uv:
        uv_pip(uv_venv(environment), wheels)
    else:
        virtualenv_and_pip(environment, wheels)
    assert relocated(environment)[0] == expected
    environment.rename(tmp_path / "moved")
    assert relocated(tmp_path / "moved")[0] == expected


def test_a_linked_parent_is_nothing(tmp_path: Path, wheels: list[Path], expected: Files) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to("real")
    uv_pip(uv_venv(tmp_path / "alias" / "venv"), wheels)
    files, environment = relocated(tmp_path / "alias" / "venv")
    assert (files, environment.leftovers) == (expected, [])


@pytest.mark.parametrize("version", sorted(pythons.found()))
def test_every_python(version: str, tmp_path: Path, wheels: list[Path]) -> None:
    interpreter = pythons.found()[version]
    by_venv, by_uv = tmp_path / "by-venv", uv_venv(tmp_path / "by-uv", python=interpreter)
    run(interpreter, "-m", "venv", "--without-pip", by_venv)
    for place in (by_venv, by_uv):
        uv_pip(place, wheels)
    expected = from_wheels(wheels, version)
    assert relocated(by_venv, version)[0] == expected
    assert relocated(by_uv, version)[0] == expected


def test_a_copy_without_links_is_the_same(venv: Path, tmp_path: Path, expected: Files) -> None:
    """As ``zip -r`` and ``cp -rL`` leave it: the interpreter as a file, ``lib64`` as a second ``lib``."""
    assert (venv / "lib64").is_symlink()
    copy = Path(shutil.copytree(venv, tmp_path / "copy"))
    assert not (copy / "lib64").is_symlink() and not (copy / "bin" / "python").is_symlink()
    assert relocated(copy)[0] == expected


ZIPPED: dict[str, Callable[[Path, Path], object]] = {
    "zip -y": lambda source, target: run("zip", "-qry", target, ".", cwd=source),
    "zip": lambda source, target: run("zip", "-qr", target, ".", cwd=source),
    "make_archive": lambda source, target: shutil.make_archive(str(target.with_suffix("")), "zip", source),
    "links as texts, no modes": lambda source, target: zip_without_modes(source, target),
}


def zip_without_modes(source: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(source.rglob("*")):
            if not path.is_dir() or path.is_symlink():
                info = zipfile.ZipInfo(str(path.relative_to(source)))
                info.create_system, info.compress_type = 0, zipfile.ZIP_DEFLATED
                archive.writestr(info, os.readlink(path) if path.is_symlink() else path.read_bytes())


@pytest.mark.parametrize("program", ZIPPED)
def test_a_zip_by_any_program_is_the_same(program: str, venv: Path, expected: Files) -> None:
    (venv.parent / "app").mkdir()
    venv.rename(venv.parent / "app" / "venv")
    archive = venv.parent / "app.zip"
    ZIPPED[program](venv.parent / "app", archive)
    with scan_zip(str(archive))[0] as tree:
        environment = relocate(Below(tree, "venv"), HERE)
        assert laid_out(environment.packages, HERE) == expected
        assert environment.leftovers == []


def test_a_copy_that_lost_its_links_and_furniture_is_the_same(venv: Path, expected: Files) -> None:
    for path in [
        venv / "lib64",
        venv / "pyvenv.cfg",
        *(venv / "bin").glob("*activate*"),
        *(venv / "bin").glob("python*"),
    ]:
        path.unlink()
    for path in (venv / "bin").glob("bad*"):  # the entry points' scripts
        path.unlink()
    (venv / "lib64").mkdir()
    assert relocated(venv)[0] == expected


def test_modes_are_nothing(venv: Path, expected: Files) -> None:
    for path in venv.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o600 if path.stat().st_mode & stat.S_IXUSR else 0o755)
    assert relocated(venv)[0] == expected


def test_furniture_of_all_sorts_is_left_out(venv: Path, expected: Files) -> None:
    site = venv / "lib" / f"python{HERE}" / "site-packages"
    (site / "ns" / "__pycache__").mkdir()
    for path in (
        ".lock", "CACHEDIR.TAG", ".gitignore", "bin/activate.nu", "bin/activate_this.py", "bin/Activate.ps1",
        "bin/pip3.11", "bin/\U0001d70bthon", site / "_virtualenv.py", site / "_virtualenv.pth",
        site / "distutils-precedence.pth", site / "ns" / "__pycache__" / "numba.nbi",
        site / "ns_one-1.dist-info" / "REQUESTED",
    ):  # fmt: skip
        (venv / path).write_text("anything")
    assert relocated(venv)[0] == expected


def test_headers_go_by_the_normalised_name(expected: Files) -> None:
    assert f"venv/include/site/python{HERE}/big-headers/deep/er.h" in expected


def test_an_environment_of_links_into_a_cache_is_not_written_to(tmp_path: Path, wheels: list[Path]) -> None:
    cache = tmp_path / "cache"
    place = uv_venv(tmp_path / "venv")
    uv_pip(place, wheels, "--link-mode", "hardlink", cache=cache)
    linked = [path for path in place.rglob("*") if path.is_file() and path.lstat().st_nlink > 1]
    assert linked

    def state() -> dict[Path, tuple[str, int, int]]:
        found = [
            path for root in (cache, place) for path in root.rglob("*") if path.is_file() and not path.is_symlink()
        ]
        return {
            path: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns, path.stat().st_mode)
            for path in found
        }

    before = state()
    relocated(place)
    assert state() == before


def test_the_order_of_the_tree_is_nothing(venv: Path) -> None:
    from capsule_builder.sources.plain import PlainTree, scan_plain

    tree = scan_plain(str(venv), "environment")

    def described(names: list[str]) -> str:
        class Ordered:
            label, files, links, origin = tree.label, names, tree.links, tree.origin

        found = relocate(Ordered(), HERE, [str(venv)])
        return repr([(package.name, sorted(plan(package, Layout(HERE)).written.items())) for package in found.packages])

    assert isinstance(tree, PlainTree)
    assert described(sorted(tree.files)) == described(sorted(tree.files, reverse=True))
