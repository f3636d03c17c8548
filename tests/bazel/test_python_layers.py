"""Python environments of wheels: what is packed, what runs, and what a change costs (``shop/environments/BUILD``)."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.bazel import wheels
from tests.bazel.harness import Bazel
from tests.determinism import casd, pythons
from tests.interpreter.test_interpreter import from_disk, mend

CHERRY = f"wheels/cherry-2.1-{wheels.NATIVE}.whl"
SITE = "venv/lib/python3.11/site-packages"
PYTHON = "venv/bin/python3.11"


def unpack(bazel: Bazel, label: str, place: pathlib.Path) -> pathlib.Path:
    place.mkdir()
    subprocess.run(["tar", "xzf", bazel.output(f"{label}.tar.gz"), "-C", place], check=True)
    return place


def run_on_host(place: pathlib.Path, *command: str) -> str:
    """Runs a command of an unpacked capsule where the host's agent has put the Python of the contract, as it would."""
    link = f"mount -t tmpfs none /opt && mkdir -p /opt/tori/python/3.11/bin && ln -s {pythons.found()['3.11']}"
    script = f'{link} /opt/tori/python/3.11/bin/python3.11 && exec env -i "$@"'
    unshare = ["unshare", "-m" if os.getuid() == 0 else "-rm", "sh", "-c", script, "sh", *command]
    return subprocess.run(unshare, cwd=place, check=True, stdout=subprocess.PIPE, text=True).stdout


# What is packed


def test_an_environment_is_a_layer_a_wheel_and_one_more(bazel: Bazel) -> None:
    bazel.build("//environments:capsule")
    metadata = json.loads(bazel.output("environments:capsule.metadata.json").read_text())
    assert [layer["name"] for layer in metadata["layers"]] == ["app", "python", "bananas-1.0", "cherry-2.1"]
    assert metadata["requirements"] == "verified"
    listing = bazel.listing("//environments:capsule")
    assert listing == {
        "capsule.yml": "file",
        "constraints.txt": "file",
        "requirements.txt": "file",
        "start.py": "file",
        "venv/bin/peel": "exec",
        "venv/bin/python": "-> python3.11",
        "venv/bin/python3": "-> python3.11",
        PYTHON: "-> /opt/tori/python/3.11/bin/python3.11",
        "venv/pyvenv.cfg": "file",
        "venv/share/cherry/stone.txt": "file",
        f"{SITE}/bananas/__init__.py": "file",
        f"{SITE}/cherry.py": "file",
        **{
            f"{SITE}/{name}.dist-info/{file}": "file"
            for name, files in {
                "bananas-1.0": ["INSTALLER", "METADATA", "RECORD", "WHEEL", "entry_points.txt"],
                "cherry-2.1": ["INSTALLER", "METADATA", "RECORD", "WHEEL"],
            }.items()
            for file in files
        },
    }


def test_the_capsule_runs_from_where_it_was_unpacked(bazel: Bazel, tmp_path: pathlib.Path) -> None:
    bazel.build("//environments:capsule")
    place = unpack(bazel, "environments:capsule", tmp_path / "a place with spaces")
    prefix, base = run_on_host(place, PYTHON, "-I", "start.py").splitlines()[0].rsplit(" ", 1)
    assert (prefix, base) != (base, base)
    assert prefix == str(place / "venv")
    for command in ([PYTHON, "start.py"], ["venv/bin/peel"]):
        assert run_on_host(place, *command).endswith("peeled, with red cherries\n")


def test_an_interpreter_comes_along_and_nothing_of_the_host_is_needed(bazel: Bazel, tmp_path: pathlib.Path) -> None:
    files, links = from_disk("3.11")
    mend(files, links)
    source = bazel.workspace / "environments/interpreter"
    for path, data in files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    (source / "bin/python3.11").chmod(0o755)
    for path, target in links.items():
        (source / path).symlink_to(target)
    bazel.build("//environments:bundled")
    metadata = json.loads(bazel.output("environments:bundled.metadata.json").read_text())
    names = [layer["name"] for layer in metadata["layers"]]
    assert names == ["app", "python", "interpreter", "bananas-1.0", "cherry-2.1"]
    listing = bazel.listing("//environments:bundled")
    assert listing[PYTHON] == "-> ../../python/bin/python3.11"
    assert listing["python/bin/python3.11"] == "exec"
    assert listing["python/bin/python3"] == "-> python3.11"
    assert listing["venv/share/cherry/stone.txt"] == "exec", "a pattern of the attribute names it"
    assert f"{SITE}/__pycache__/cherry.cpython-311.pyc" in listing

    place = unpack(bazel, "environments:bundled", tmp_path / "unpacked")
    said = subprocess.run(
        [place / PYTHON, "start.py"], cwd=place, env={}, check=True, stdout=subprocess.PIPE, text=True
    )
    assert said.stdout == f"{place}/venv {place}/python\npeeled, with red cherries\n"


def test_bytecode_is_that_of_the_builders_python_when_none_comes_along(bazel: Bazel) -> None:
    python = pythons.found()["3.11"]
    option = f"--repo_env=CAPSULE_PYTHON={python}"
    probe = [python, "-c", "import platform; print(platform.python_version(), end='')"]
    release = subprocess.run(probe, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert f"Not Python 3.11.99 but {release}: " in bazel.refuses("//environments:compiled", option)

    stated = bazel.workspace / "environments/release.bzl"
    stated.write_text(stated.read_text().replace("3.11.99", release))
    bazel.build("//environments:compiled", option)
    stem = f"environments/compiled.layers/cherry-2.1-{wheels.NATIVE}"
    assert f"{SITE}/__pycache__/cherry.cpython-311.pyc" in (bazel.workspace / f"bazel-bin/{stem}.contents").read_text()


def test_wheels_named_by_a_filegroup_or_twice_are_there_once(bazel: Bazel) -> None:
    assert bazel.listing("//environments:loose") == bazel.listing("//environments:capsule")


def test_no_name_of_bazel_enters_an_environment(bazel: Bazel, tmp_path: pathlib.Path) -> None:
    bazel.build("//environments:loose")
    place = unpack(bazel, "environments:loose", tmp_path / "unpacked")
    for path in sorted(place.rglob("*")):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            for name in (b"bazel-", b"external", b"//", b"environments", str(bazel.workspace).encode()):
                assert name not in data or (name == b"//" and b"#!/bin/sh" in data), (path, name)


def test_real_wheels_are_fetched_and_run(bazel: Bazel, tmp_path: pathlib.Path) -> None:
    assert "NOTE" not in bazel.build("//environments:fetched_capsule")
    place = unpack(bazel, "environments:fetched_capsule", tmp_path / "unpacked")
    program = "import markupsafe._speedups, ruamel.yaml; print(markupsafe.escape('<'), ruamel.yaml.version_info[:2])"
    assert run_on_host(place, PYTHON, "-c", program) == "&lt; (0, 19)\n"


# What a change costs


@pytest.fixture
def built(bazel: Bazel) -> Iterator[Bazel]:
    files = [bazel.workspace / "environments" / name for name in ("start.py", CHERRY)]
    before = [file.read_bytes() for file in files]
    bazel.build("//environments:capsule", "//environments:loose")
    yield bazel
    for file, data in zip(files, before, strict=True):
        file.write_bytes(data)


def test_nothing_changed_nothing_runs(built: Bazel) -> None:
    assert not built.actions("//environments:capsule")


def test_one_line_of_the_application_costs_two_actions(built: Bazel) -> None:
    with (built.workspace / "environments/start.py").open("a") as file:
        file.write("print('one line more')\n")
    assert built.actions("//environments:capsule") == {
        "Packing layer app of //environments:capsule": 1,
        "Assembling capsule //environments:capsule": 1,
    }


def test_a_changed_wheel_costs_its_own_layer_the_base_and_the_assembly(built: Bazel) -> None:
    wheels.wheel(built.workspace / "environments/wheels", "cherry", "2.1", {"cherry.py": b"x = 1\n"}, tag=wheels.NATIVE)
    assert built.actions("//environments:loose") == {
        f"Packing wheel {pathlib.Path(CHERRY).name} of //environments:unchecked": 1,
        "Packing Python environment of //environments:unchecked": 1,
        "Assembling capsule //environments:loose": 1,
    }


def test_the_action_of_a_wheel_gets_that_wheel_and_the_builder_alone(bazel: Bazel) -> None:
    said = bazel.run("aquery", "mnemonic('CapsuleWheelLayer', //environments:python)").stdout
    inputs = [
        re.findall(r"[^\s,\[\]]*environments/[^\s,\[\]]*", line) for line in said.splitlines() if "Inputs:" in line
    ]
    assert inputs == [["environments/wheels/bananas-1.0-py3-none-any.whl"], [f"environments/{CHERRY}"]]


def test_every_action_is_hermetic_and_may_have_its_paths_mapped(bazel: Bazel) -> None:
    said = bazel.run("aquery", "mnemonic('Capsule.*', deps(//environments:bundled))").stdout
    mnemonics = re.findall(r"^  Mnemonic: (Capsule\w+)$", said, re.M)
    assert set(mnemonics) == {
        "CapsuleAssemble",
        "CapsuleInterpreter",
        "CapsuleLayer",
        "CapsuleProvenance",
        "CapsulePythonBase",
        "CapsuleSbom",
        "CapsuleWheelLayer",
    }
    about_capsules = {"CapsuleProvenance", "CapsuleSbom"}
    found = re.findall(r"^  Mnemonic: (\w+)\n(?:  .*\n)*?  ExecutionInfo: \{(.*)\}$", said, re.M)
    assert found == [
        (
            mnemonic,
            "supports-path-mapping: 1"
            if mnemonic in about_capsules
            else "supports-path-mapping: 1, supports-workers: 1, worker-key-mnemonic: Capsule",
        )
        for mnemonic in mnemonics
    ]
    assert "Environment: [" not in said


def test_the_strategy_changes_no_byte(bazel: Bazel) -> None:
    archives = set()
    for strategy in ("linux-sandbox", "local"):
        bazel.run("clean")
        assert bazel.actions("//environments:capsule", f"--spawn_strategy={strategy}").total() == 5
        archives.add(bazel.output("environments:capsule.tar.gz").read_bytes())
    assert len(archives) == 1


@pytest.mark.parametrize("python", pythons.found().values())
def test_the_builders_python_changes_no_byte(bazel: Bazel, python: str) -> None:
    bazel.build("//environments:capsule")
    archive = bazel.output("environments:capsule.tar.gz").read_bytes()
    bazel.run("clean")
    bazel.build("//environments:capsule", f"--repo_env=CAPSULE_PYTHON={python}")
    assert bazel.output("environments:capsule.tar.gz").read_bytes() == archive


def test_remote_execution_gives_the_same_bytes(bazel: Bazel, tmp_path: pathlib.Path) -> None:
    bazel.build("//environments:capsule")
    here = hashlib.sha256(bazel.output("environments:capsule.tar.gz").read_bytes()).hexdigest()
    with casd.running(tmp_path / "cas") as address:
        bazel.run("clean")
        log = tmp_path / "log.json"
        options = [f"--remote_executor={address}", "--spawn_strategy=remote", f"--execution_log_json_file={log}"]
        said = bazel.build("//environments:capsule", *options)
        runners = [line.split('"')[3] for line in log.read_text().splitlines() if '"runner"' in line]
        assert runners == ["remote"] * 5, said
    assert hashlib.sha256(bazel.output("environments:capsule.tar.gz").read_bytes()).hexdigest() == here


# What is refused


@pytest.mark.parametrize(
    ("target", "refusals"),
    [
        ("one_broken", ["ERROR: broken-1.0-py3-none-any.whl: "]),
        ("one_liar", [f"liar-1.0-py3-none-any.whl: not what its RECORD says: {SITE}/liar.py\n"]),
        ("one_old", ["ERROR: old-1.0-cp310-cp310-manylinux2014_x86_64.whl: is for CPython 3.10 (cp310)\n"]),
        ("one_mac", ["ERROR: mac-1.0-cp311-cp311-macosx_11_0_arm64.whl: is for macOS (macosx_11_0_arm64)\n"]),
        ("one_glibc", ["whl: needs glibc 2.34, and the target is manylinux_2_28_x86_64\n"]),
        ("one_future", ["ERROR: future 1.0 needs Python >=3.12, and the target is Python 3.11 (future)\n"]),
        ("twice", ["ERROR: cherry is there 2 times: 2.1 (cherry-2.1-", ", 3.0 (cherry-3.0-py3-none-any.whl)"]),
        (
            "bad_missing",
            [
                "ERROR: cherry 2.1 does not satisfy cherry<2 (cherry, environments/missing.txt:2)\n",
                "ERROR: dates is missing: dates (bananas[yellow] -> dates, environments/missing.txt:1)\n",
                "ERROR: elderberry is missing: elderberry (elderberry, environments/missing.txt:3)\n",
            ],
        ),
        ("bad_hash", ["ERROR: bananas 1.0 has another hash than its line: sha256:"]),
        (
            "bad_requirements",
            [
                "ERROR: environments/requirements.txt:1: no such requirements file: environments/constraints.txt\n",
                "\n  Name it in requirements_includes too.\n",
            ],
        ),
        ("bad_platform", ["ERROR: Not a platform that capsules run on: win_amd64\n"]),
        ("bad_pattern", ['ERROR: executables: "[" matches nothing']),
        ("no_interpreter", ["ERROR: Interpreter has no file bin/python3.11\n"]),
        (
            "clash",
            ["clash.py", "//environments:clashing (clash_a-1.0-py3-none-any.whl)", "(clash_b-1.0-py3"],
        ),
        (
            "unverified",
            [
                "ERROR: No layer was verified against the manifest's requirements: requirements.txt\n",
                "\n  Give that file to the capsule_python_layers in layers (requirements = ...)",
            ],
        ),
        ("other_python", ["ERROR: The environment is for Python 3.11, and the manifest says 3.12\n"]),
        (
            "no_wheels",
            [
                "//environments:again/cherry-2.1-",
                f"are both called cherry-2.1-{wheels.NATIVE}.whl: leave one of them out.",
                "//environments:start.py is not a wheel: name .whl files",
                "//environments:wheels/source-1.0.tar.gz is a source distribution: build a wheel",
            ],
        ),
        ("bad_python", ['python: "3" is not a minor version of Python 3. Write it like this: "3.11".']),
        (
            "no_release",
            ["bytecode: it differs between releases of Python. Say which one compiles (bytecode_release = "],
        ),
        ("idle_release", ["bytecode_release: nothing compiles that is not in the capsule. Leave it out."]),
        ("no_requirements", ["requirements_includes: there is nothing that includes them."]),
    ],
)
def test_what_cannot_be_an_environment_is_refused_with_the_reason(
    bazel: Bazel, target: str, refusals: list[str]
) -> None:
    said = bazel.refuses(f"//environments:{target}")
    for refusal in refusals:
        assert refusal in said
    assert '.py", line' not in said, "no traceback of Python's"


def test_the_check_can_be_left_out_and_the_metadata_say_so(bazel: Bazel) -> None:
    bazel.build("//environments:capsule", "//environments:not_verified")
    checked, unchecked = (f"environments:{name}" for name in ("capsule", "not_verified"))
    metadata = json.loads(bazel.output(f"{unchecked}.metadata.json").read_text())
    assert metadata["requirements"] == "unverified"
    assert bazel.output(f"{unchecked}.id").read_text() == bazel.output(f"{checked}.id").read_text()


def test_what_is_no_error_is_noted(bazel: Bazel) -> None:
    said = bazel.build("//environments:noted")
    assert (
        "NOTE: environments/cherry.txt:1: cherry names no exact version\nNOTE: Required by nothing: bananas\n"
    ) in said
