"""What cannot be moved is refused by name, with a remedy; all reasons in one error."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from capsule_builder.errors import CapsuleError, Problem
from tests.relocate.environments import TOOLS, relocated, run, uv_pip, uv_venv
from tests.relocate.wheels import wheel

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER = "3.10" if HERE != "3.10" else "3.11"


def refused(place: Path, python: str | None = None) -> tuple[Problem, ...]:
    with pytest.raises(CapsuleError) as error:
        relocated(place, python)
    assert all(problem.remedy for problem in error.value.problems)
    return error.value.problems


def codes(place: Path, python: str | None = None) -> list[str]:
    return [problem.code for problem in refused(place, python)]


def site(venv: Path) -> Path:
    return venv / "lib" / f"python{HERE}" / "site-packages"


def write(path: Path, data: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data)


def configure(venv: Path, line: str) -> None:
    with (venv / "pyvenv.cfg").open("a") as file:
        file.write(f"{line}\n")


def rerecord(venv: Path, change: Callable[[str], str], name: str = "ns_one-1") -> None:
    path = site(venv) / f"{name}.dist-info" / "RECORD"
    path.write_text(change(path.read_text()), errors="surrogateescape")


def twin(venv: Path) -> None:
    shutil.copytree(site(venv) / "ns_one-1.dist-info", site(venv) / "ns_one-2.dist-info")
    path = site(venv) / "ns_one-2.dist-info" / "METADATA"
    path.write_text(path.read_text().replace("Version: 1", "Version: 2"))
    rerecord(venv, lambda text: text.replace("ns_one-1", "ns_one-2"), "ns_one-2")


def another_owner(venv: Path) -> None:
    """Two distributions with different files at one place: the second has overwritten the first one's."""
    rerecord(venv, lambda text: f"{text}ns/two.py,sha256={'A' * 43},3\n")


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "system site-packages": (lambda venv: configure(venv, "include-system-site-packages = TRUE"), "venv-system-site"),
    "PyPy, as it says": (lambda venv: configure(venv, "implementation = PyPy"), "venv-implementation"),
    "PyPy": (lambda venv: write(venv / "lib/pypy3.10/site-packages/x.py"), "venv-implementation"),
    "GraalPy": (lambda venv: write(venv / "bin/graalpy24.1"), "venv-implementation"),
    "free-threaded": (lambda venv: write(venv / "bin/python3.13t"), "venv-implementation"),
    "conda": (lambda venv: write(venv / "conda-meta/history"), "venv-conda"),
    "Windows": (lambda venv: write(venv / "Scripts/python.exe"), "venv-windows"),
    "two Pythons": (lambda venv: write(venv / f"lib/python{OTHER}/site-packages/x.py"), "venv-two-pythons"),
    "another interpreter": (lambda venv: write(venv / f"bin/python{OTHER}"), "venv-two-pythons"),
    "another version in pyvenv.cfg": (lambda venv: configure(venv, f"version_info = {OTHER}.1"), "venv-two-pythons"),
    "file of nobody": (lambda venv: write(site(venv) / "mine.py"), "venv-unowned"),
    "file of nobody in bin": (lambda venv: write(venv / "bin/mine"), "venv-unowned"),
    "path file of nobody": (lambda venv: write(site(venv) / "mine.pth", "ns\n"), "venv-unowned"),
    "what an interrupted pip left": (lambda venv: write(site(venv) / "~s_one-1.dist-info/METADATA"), "venv-unowned"),
    "other file in lib64": (
        lambda venv: ((venv / "lib64").unlink(), write(venv / f"lib64/python{HERE}/site-packages/x.py")),
        "venv-unowned",
    ),
    "lost file": (lambda venv: (site(venv) / "ns/one.py").unlink(), "record-missing"),
    "changed script": (lambda venv: write(venv / "bin/plain", "#!/usr/bin/python\nprint(2)\n"), "record-mismatch"),
    "row without a hash": (
        lambda venv: rerecord(venv, lambda text: text.replace("ns/one.py,sha256=", "ns/one.py,,#").partition("#")[0]
                              + "\n" + text.partition("ns/one.py,")[2].partition("\n")[2]),
        "record-unhashed",
    ),
    "row of a weak hash": (lambda venv: rerecord(venv, lambda text: f"{text}a,md5=aaaa,1\n"), "record-syntax"),
    "RECORD of binary": (lambda venv: rerecord(venv, lambda text: text + "\udcff"), "record-syntax"),
    "row outside": (lambda venv: rerecord(venv, lambda text: f"{text}../../../../x,,\n"), "record-outside"),
    "absolute row": (lambda venv: rerecord(venv, lambda text: f"{text}/etc/passwd,,\n"), "record-outside"),
    "no RECORD": (lambda venv: (site(venv) / "Big_Headers-2.0.post1.dist-info/RECORD").unlink(), "venv-no-record"),
    "egg-info of a system": (
        lambda venv: (write(site(venv) / "old-1.egg-info", "Name: old"), write(site(venv) / "old.py")),
        "venv-no-record",
    ),
    "egg-info of setup.py": (
        lambda venv: (write(site(venv) / "Old-1-py3.11.egg-info/top_level.txt", "o1\no2"), write(site(venv) / "o2/x")),
        "venv-no-record",
    ),
    "egg": (lambda venv: write(site(venv) / "old-1.egg/x.py"), "venv-no-record"),
    "metadata of another": (
        lambda venv: (site(venv) / "ns_one-1.dist-info").rename(site(venv) / "other-1.dist-info")
        and rerecord(venv, lambda text: text.replace("ns_one-1", "other-1"), "other-1"),
        "venv-metadata",
    ),
    "twice": (twin, "venv-duplicate"),
    "two owners": (another_owner, "package-collision"),
    "absolute link": (lambda venv: (venv / "share/link").symlink_to("/etc/passwd"), "venv-link-outside"),
    "link out of it": (lambda venv: (venv / "share/link").symlink_to("../../x"), "venv-link-outside"),
    "link in a package": (lambda venv: (site(venv) / "ns/again.py").symlink_to("one.py"), "venv-link"),
    "egg-link": (lambda venv: write(site(venv) / "old.egg-link", "/home/me/old\n."), "venv-editable"),
    "easy-install.pth": (lambda venv: write(site(venv) / "easy-install.pth", "/home/me/old\n"), "venv-editable"),
    "path file": (lambda venv: write(site(venv) / "old.pth", "# me\n/home/me/old/src\n"), "venv-editable"),
    "path file that leaves": (lambda venv: write(site(venv) / "o.pth", "../../../../src\n"), "venv-editable"),
    "_editable_impl_": (lambda venv: write(site(venv) / "_editable_impl_x.pth", "/home/me\n"), "venv-editable"),
    "finder": (lambda venv: write(site(venv) / "__editable___x_1_finder.py", "MAPPING = {}"), "venv-editable"),
    "bad entry point": (
        lambda venv: write(site(venv) / "ns_one-1.dist-info/entry_points.txt", "[console_scripts]\n../x = ns:one\n"),
        "entry-point",
    ),
}  # fmt: skip


NOBODY_KNOWS = {"bad entry point", "no RECORD", "row of a weak hash", "RECORD of binary"}
"""Cases after which files are left that nothing says the owner of."""


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_moved_is_refused(case: str, venv: Path) -> None:
    change, code = CASES[case]
    change(venv)
    assert codes(venv) == ([code, "venv-unowned"] if case in NOBODY_KNOWS else [code])


def test_what_is_no_environment_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "x" / "lib" / "y.py")
    assert codes(tmp_path / "x") == ["venv-none"]


def test_the_manifests_python_must_be_the_environments(venv: Path) -> None:
    assert codes(venv, OTHER) == ["venv-python"]


def test_a_finished_environment_without_packages_is_empty(tmp_path: Path) -> None:
    files, environment = relocated(uv_venv(tmp_path / "venv"))
    assert (files, environment.packages, environment.python) == ({}, [], HERE)


def test_unowned_files_are_named_ten_and_counted(venv: Path) -> None:
    for number in range(12):
        write(site(venv) / f"mine{number:02}.py")
    (problem,) = refused(venv)
    names = ", ".join(f"lib/python{HERE}/site-packages/mine{number:02}.py" for number in range(10))
    assert problem.message.endswith(f"12 files are of no distribution: {names}, and 2 more")


def test_links_of_uv_are_refused_with_the_mode_that_helps(tmp_path: Path, wheels: list[Path]) -> None:
    place = uv_venv(tmp_path / "venv")
    uv_pip(place, wheels[2:3], "--link-mode", "symlink", cache=tmp_path / "cache")
    (problem,) = refused(place)
    assert problem.code == "venv-link-outside"
    assert "uv sync --link-mode copy" in problem.remedy


PROJECT = '[project]\nname = "mine"\nversion = "1"\n'
SETUP = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n' + PROJECT
BACKEND = """
import base64, hashlib, zipfile
def build_editable(folder, *_):
    import os
    files = {
        PTH: os.getcwd() + "/src\\n",
        "mine-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: mine\\nVersion: 1\\n",
        "mine-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    with zipfile.ZipFile(folder + "/mine-1-py3-none-any.whl", "w") as archive:
        record = ""
        for name, text in files.items():
            archive.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            record += f"{name},sha256={digest},{len(text.encode())}\\n"
        archive.writestr("mine-1.dist-info/RECORD", record + "mine-1.dist-info/RECORD,,\\n")
    return "mine-1-py3-none-any.whl"
build_wheel = build_editable
"""
PROJECTS = {
    "setuptools, path": {"pyproject.toml": SETUP, "src/mine/__init__.py": ""},
    "setuptools, finder": {"pyproject.toml": SETUP, "mine/__init__.py": ""},
    **{
        kind: {
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
            + PROJECT,
            "backend.py": f"PTH = {pth!r}\n{BACKEND}",
        }
        for kind, pth in {"as hatchling": "_editable_impl_mine.pth", "as flit": "mine.pth"}.items()
    },
}


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("seeded") / "venv"
    run(TOOLS / "virtualenv", "-q", "--no-download", "--no-periodic-update", "--setuptools", "bundle", place)
    return place


@pytest.mark.parametrize("kind", PROJECTS)
@pytest.mark.parametrize("by_uv", [True, False], ids=["uv", "pip"])
def test_editable_installs_are_refused(kind: str, by_uv: bool, seeded: Path, tmp_path: Path) -> None:
    for name, text in PROJECTS[kind].items():
        write(tmp_path / "project" / name, text)
    if by_uv:
        uv_pip(seeded, [], "--no-build-isolation", "--reinstall-package", "mine", "-e", str(tmp_path / "project"))
    else:
        command = [seeded / "bin" / "python", "-m", "pip", "install", "-q", "--no-index", "--no-build-isolation"]
        run(*command, "--force-reinstall", "-e", str(tmp_path / "project"))
    (problem,) = refused(seeded)
    assert problem.code == "venv-editable"
    assert problem.message.startswith("mine 1: ")
    assert f"file://{tmp_path}/project" in problem.message
    assert "pip install ." in problem.remedy and "uv sync --no-editable" in problem.remedy


def test_a_local_project_that_is_no_editable_install_is_taken(tmp_path: Path) -> None:
    built = wheel(tmp_path, "mine", "1", {"mine.py": b""})
    place = uv_venv(tmp_path / "venv")
    uv_pip(place, [built])
    url = json.loads((site(place) / "mine-1.dist-info/direct_url.json").read_text())
    files, environment = relocated(place)
    assert environment.distributions[0].direct_url == url
    assert f"venv/lib/python{HERE}/site-packages/mine.py" in files


def test_ten_causes_come_in_one_error(venv: Path) -> None:
    cases = [
        "system site-packages", "another interpreter", "file of nobody", "lost file", "row outside",
        "no RECORD", "twice", "absolute link", "link in a package", "egg-link", "two owners",
    ]  # fmt: skip
    for case in cases:
        CASES[case][0](venv)
    assert {CASES[case][1] for case in cases} == set(codes(venv))


def test_undecodable_names_are_no_traceback(venv: Path) -> None:
    os.close(os.open(os.fsencode(site(venv)) + b"/caf\xe9.py", os.O_CREAT | os.O_WRONLY))
    (problem,) = refused(venv)
    assert "caf\\xe9.py" in problem.message
