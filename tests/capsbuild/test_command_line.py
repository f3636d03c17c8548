"""What the command takes and what it says when all goes well."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

import capsule_builder
from capsule_builder import __version__
from tests.capsbuild.command import COMMAND, ENVIRONMENT, MANIFEST, NO_VENV, Ran, capsbuild, snapshot, write
from tests.capsbuild.conftest import Refused


def metadata(archive: Path) -> dict[str, Any]:
    with tarfile.open(archive) as tar:
        file = tar.extractfile(".capsule_metadata.json")
        assert file
        document: dict[str, Any] = json.load(file)
        return document


def build(app: Path, out: Path, *arguments: str, **options: Any) -> Ran:
    ran = capsbuild("--from-dir", app, "--output", out / "new", *arguments, **options)
    assert ran.status == 0, ran.err
    return ran


# The result


def test_the_default_output_is_named_by_name_and_short_id(app: Path, out: Path) -> None:
    before = snapshot(out)
    ran = capsbuild("--from-dir", app, cwd=out)
    lines = ran.out.splitlines()
    capsule_id = lines[1].removeprefix("   BUILD_SHA: ")
    name = f"capsule-alan-{capsule_id[:12]}.tar.gz"
    assert re.fullmatch("[0-9a-f]{64}", capsule_id)
    assert (ran.status, ran.err) == (0, NO_VENV)
    assert lines == [
        f"✅ Capsule built successfully: {name}",
        f"   BUILD_SHA: {capsule_id}",
        "   Size: 0.00 MB",
    ]
    assert snapshot(out).keys() - before.keys() == {name}


def test_the_size_is_in_megabytes_with_two_places(app: Path, out: Path) -> None:
    write(app, {"data": os.urandom(1_234_567)})
    ran = build(app, out)
    assert ran.out.splitlines()[2] == "   Size: 1.24 MB"
    assert round((out / "new").stat().st_size / 1e6, 2) == 1.24


def test_an_older_capsule_is_replaced_when_the_new_one_is_whole(app: Path, out: Path) -> None:
    assert capsbuild("--from-dir", app, "--output", "app.tar.gz", cwd=out).status == 0
    assert metadata(out / "app.tar.gz")["name"] == "alan"
    assert sorted(os.listdir(out)) == ["app.tar.gz", "other"]


def test_json_is_one_object_with_the_facts(app: Path, out: Path) -> None:
    ran = build(app, out, "--json")
    archive = (out / "new").read_bytes()
    listing = subprocess.run(["tar", "xzOf", out / "new", ".capsule_contents"], capture_output=True, check=True).stdout
    capsule_id = hashlib.sha256(listing).hexdigest()
    assert ran.out.count("\n") == 1
    assert json.loads(ran.out) == {
        "id": capsule_id,
        "short_id": capsule_id[:12],
        "name": "alan",
        "version": "2.1.0",
        "archive": str(out / "new"),
        "archive_sha256": hashlib.sha256(archive).hexdigest(),
        "signature": None,
        "provenance": None,
        "sbom": None,
        "size": len(archive),
        "files": 2,
        "warnings": ["Python entrypoint found but no venv included"],
        "notes": [],
    }
    assert list(json.loads(ran.out)) == [
        "id", "short_id", "name", "version", "archive", "archive_sha256", "signature", "provenance", "sbom", "size",
        "files", "warnings",
        "notes",
    ]  # fmt: skip
    assert ran.err == NO_VENV


def test_json_hashes_the_same_archive_that_is_written_without_it(app: Path, out: Path) -> None:
    write(app, {"data": os.urandom(3_000_000)})
    digest = json.loads(build(app, out, "--json").out)["archive_sha256"]
    build(app, out)
    assert hashlib.sha256((out / "new").read_bytes()).hexdigest() == digest


def test_json_of_a_refusal_lists_the_errors(app: Path, out: Path) -> None:
    (app / "alan_backend/start.py").unlink()
    (app / "l").symlink_to("/é")
    ran = capsbuild("--from-dir", app, "--json", cwd=out, env={"PYTHONIOENCODING": "ascii"})
    errors = json.loads(ran.out)["errors"]
    assert [error["code"] for error in errors] == ["link-escape", "entrypoint-missing"]
    assert errors[0]["message"].startswith("Link leaves the tree: l -> /é\n")
    assert ran.status == 1
    assert ran.err.startswith("ERROR: Link leaves the tree: l -> /\\xe9\n")


def test_quiet_prints_warnings_only(app: Path, out: Path) -> None:
    assert build(app, out, "--quiet") == Ran(0, "", NO_VENV)
    assert json.loads(build(app, out, "--quiet", "--json").out)["name"] == "alan"


# The manifest


def test_a_manifest_of_any_name_and_place_is_included_as_capsule_yml(app: Path, out: Path) -> None:
    first = build(app, out).out
    (app / "capsule.yml").rename(app.parent / "prod manifest.txt")
    assert build(app, out, "--manifest", str(app.parent / "prod manifest.txt")).out == first
    with tarfile.open(out / "new") as tar:
        assert [name for name in tar.getnames() if not name.startswith(".")] == ["alan_backend/start.py", "capsule.yml"]
        file = tar.extractfile("capsule.yml")
        assert file and file.read() == MANIFEST


def test_another_manifest_takes_the_place_of_the_one_in_the_tree_with_a_warning(app: Path, out: Path) -> None:
    other = app.parent / "prod.yml"
    other.write_bytes(MANIFEST.replace(b"2.1.0", b"3.0.0"))
    ran = build(app, out, "--manifest", str(other))
    assert ran.err == (
        f"WARNING: {app}/capsule.yml is left out: {other} takes its place as capsule.yml\n"
        "WARNING: Python entrypoint found but no venv included\n"
    )
    assert metadata(out / "new")["version"] == "3.0.0"


def test_a_manifest_that_lies_elsewhere_in_the_tree_is_a_file_like_others_too(app: Path, out: Path) -> None:
    (app / "capsule.yml").rename(app / "deploy.yml")
    assert build(app, out, "--manifest", str(app / "deploy.yml")).err == NO_VENV
    with tarfile.open(out / "new") as tar:
        assert {"capsule.yml", "deploy.yml"} <= set(tar.getnames())


def test_the_same_manifest_by_another_way_is_no_matter_for_a_warning(app: Path, out: Path) -> None:
    (app.parent / "same.yml").symlink_to(app / "capsule.yml")
    assert build(app, out, "--manifest", str(app.parent / "same.yml")).err == NO_VENV


@pytest.mark.parametrize("link", ["../common.yml", "/nowhere", "capsule.yml"])
def test_a_link_at_capsule_yml_is_replaced_whatever_it_points_to(app: Path, out: Path, link: str) -> None:
    (app / "capsule.yml").rename(app.parent / "common.yml")
    (app / "capsule.yml").symlink_to(link)
    (app / "also").symlink_to("capsule.yml")
    ran = build(app, out, "--manifest", str(app.parent / "common.yml"))
    assert ("is left out" in ran.err) is (link != "../common.yml")
    with tarfile.open(out / "new") as tar:
        assert tar.getmember("capsule.yml").isreg()


@pytest.mark.parametrize("empty", [True, False])
def test_a_directory_at_capsule_yml_is_left_out_with_a_warning(app: Path, out: Path, empty: bool) -> None:
    (app / "capsule.yml").rename(app.parent / "prod.yml")
    (app / "capsule.yml").mkdir()
    if not empty:
        write(app, {"capsule.yml/a": ""})
    ran = build(app, out, "--manifest", str(app.parent / "prod.yml"))
    assert f"WARNING: {app}/capsule.yml is left out: " in ran.err
    with tarfile.open(out / "new") as tar:
        assert tar.getmember("capsule.yml").isreg()
        assert "capsule.yml/a" not in tar.getnames()


def test_an_excluded_manifest_is_included_all_the_same(app: Path, out: Path) -> None:
    write(app, {".capsuleignore": "*.yml\n"})
    assert build(app, out).err == NO_VENV


# Warnings


@pytest.mark.parametrize(("entrypoint", "venv", "warned"), [
    ("start.py", False, True), ("start.py", True, False), ("start.sh", False, False),
])  # fmt: skip
def test_python_without_an_environment_is_warned_of(
    app: Path, out: Path, entrypoint: str, venv: bool, warned: bool
) -> None:
    write(
        app, {"capsule.yml": MANIFEST.replace(b"alan_backend/start.py", entrypoint.encode()), entrypoint: "#!/bin/sh\n"}
    )
    if venv:
        write(app, {"venv/pyvenv.cfg": "include-system-site-packages = false\n"})
        (app / "venv/bin").mkdir()
        (app / "venv/bin/python3.11").symlink_to("/usr/bin/python3.11")
    assert build(app, out).err == (NO_VENV if warned else "")


def test_a_warning_of_the_manifest_keeps_its_place(app: Path, out: Path) -> None:
    write(app, {"capsule.yml": MANIFEST + b"resources:\n  memory_max: 1G\n  memory_high: 2G\n", "venv/x": ""})
    ran = build(app, out, "--json")
    assert re.fullmatch(rf"{app}/capsule\.yml:6:\d+: warning: resources\.memory_high: .*\n", ran.err)
    assert json.loads(ran.out)["warnings"] == [ran.err.removesuffix("\n")]


DROPPED = "Executable bit dropped, for the content is neither a script nor a program: "


def test_a_dropped_executable_bit_is_warned_of_with_lines_that_mend_it(app: Path, out: Path) -> None:
    names = ["a", "bin/b c", "#d", "!e", "w*?[x]", "é", "ends ", "\"quoted'", "- f: g"]
    write(app, {**dict.fromkeys(names, "data"), "venv/x": "", "script": "#!/bin/sh\n"})
    for name in [*names, "script"]:
        (app / name).chmod(0o755)
    first = build(app, out)
    assert first.err.startswith("WARNING: " + DROPPED)
    assert '"/script"' not in first.err
    lines = first.err.split("add to the manifest:\n  ")[1]
    write(app, {"capsule.yml": MANIFEST + lines.replace("\n  ", "\n").encode()})
    assert build(app, out).err == ""
    with tarfile.open(out / "new") as tar:
        assert {member.name for member in tar if member.mode & 0o100} == {*names, "script"}


def test_only_ten_dropped_bits_are_named(app: Path, out: Path) -> None:
    write(app, {**{f"f{number:02}": "" for number in range(12)}, "venv/x": ""})
    for path in app.glob("f*"):
        path.chmod(0o755)
    err = build(app, out).err
    assert err.splitlines()[0] == "WARNING: " + DROPPED + ", ".join(f"f{n:02}" for n in range(10)) + " and 2 more"
    assert err.count("    - ") == 10


def test_shared_libraries_take_one_line_however_many_they_are(app: Path, out: Path) -> None:
    library = bytes.fromhex("7f454c4602010100") + bytes(8) + bytes.fromhex("03003e0001000000") + bytes(40)
    write(app, {"venv/x": "", "data": "data"})
    for name in ("lib/a.so", "lib/b.so.1", "data"):
        (app / name).parent.mkdir(exist_ok=True)
        (app / name).write_bytes(b"data" if name == "data" else library)
        (app / name).chmod(0o755)
    err = build(app, out).err
    assert f"WARNING: {DROPPED}data\n" in err
    assert "WARNING: Executable bit dropped, for a shared library needs none: 2 shared libraries (lib/a.so …)\n" in err
    (app / "capsule.yml").write_bytes(MANIFEST + err.rpartition("manifest:\n  ")[2].replace("\n  ", "\n").encode())
    assert "shared" not in build(app, out).err


# Usage


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "one of the arguments --from-dir --from-zip is required"),
        (["--from-dir", ".", "--from-zip", "x"], "argument --from-zip: not allowed with argument --from-dir"),
        (["--from-dir", ".", "--strip-components", "1"], "--strip-components goes with --from-zip"),
        (["--from-dir", ".", "--wheels", "a", "--venv", "b"], "argument --venv: not allowed with argument --wheels"),
        (["--from-dir", ".", "--bytecode-python", "x"], "--bytecode-python goes with --bytecode unchecked-hash"),
        (["--from-dir", ".", "--jobs", "0"], "argument --jobs: '0' is not a number from 1 to 64"),
        (["--from-dir", ".", "--jobs", "65"], "argument --jobs: '65' is not a number from 1 to 64"),
        (["--from-dir", ".", "--jobs", "two"], "argument --jobs: 'two' is not a number from 1 to 64"),
        (["--from-dir", ".", "--jobs", "٣"], "argument --jobs: '٣' is not a number from 1 to 64"),
        (["--from-dir", ".", "--compression-level", "0"],
         "argument --compression-level: '0' is not a number from 1 to 12"),
        (["--from-dir", ".", "--compression-level", "13"],
         "argument --compression-level: '13' is not a number from 1 to 12"),
        (["--from-dir", ".", "--out", "x"], "unrecognized arguments: --out x"),
        (["--from-dir", ".", "x"], "unrecognized arguments: x"),
        (["--from-dir"], "argument --from-dir: expected one argument"),
        (["--from-dir", ".", "--json=yes"], "argument --json: ignored explicit argument 'yes'"),
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_two(arguments: list[str], error: str, tmp_path: Path) -> None:
    ran = capsbuild(*arguments, cwd=tmp_path)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("usage: capsbuild ")
    assert ran.err.endswith(f"capsbuild: error: {error}\n")
    assert os.listdir(tmp_path) == []


def test_help_and_version(tmp_path: Path) -> None:
    assert capsbuild("--version") == Ran(0, f"capsbuild {__version__}\n", "")
    ran = capsbuild("--help")
    assert (ran.status, ran.err) == (0, "")
    for option in (
        "--from-dir",
        "--manifest",
        "--output",
        "--stamp",
        "--jobs",
        "--compression-level",
        "--json",
        "--quiet",
    ):
        assert option in ran.out


PACKAGE = Path(capsule_builder.__file__).parent
GUIDES = {path.stem: path.read_text() for path in (PACKAGE.parent / "docs").glob("*.md")}

COMPUTED = {"{code.partition('-')[0]}-unverifiable": ["requirement-unverifiable", "constraint-unverifiable"]}
"""Codes that are put together, by the code that does it."""

WITHOUT_A_CODE = {
    "action-line", "action-verb", "cannot-read", "distribution-json", "executable-unmarked", "executable-unnamed",
    "fetch-count", "fetch-hash", "fetch-misfit", "fetch-missing", "fetch-sdist", "fetch-tags", "fetch-unknown",
    "layer-conflict", "listing-header", "listing-line", "lock-find-links", "lock-include", "lock-twice",
    "lock-unhashed", "lock-unpinned", "lock-url", "more", "path-nesting", "path-relative", "place-taken",
    "prefix-outside",
}  # fmt: skip
"""What only Bazel can bring about, whose output shows messages and no codes; and "… and 3 more"."""


def codes_of_problems() -> set[str]:
    """Every code that the builder can give, but for the manifest's, which have a guide of their own.

    A code is what is handed to a parameter called ``code``: a problem's own, or that of whatever passes it on.
    """
    trees = [ast.parse(file.read_text()) for file in PACKAGE.rglob("*.py") if "manifest" not in file.parts]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    takers: dict[str, set[int]] = {}  # by name, the places of the parameter
    for node in nodes:
        names: list[str] = []
        if isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in node.args.args if argument.arg not in {"self", "cls"}]
        elif isinstance(node, ast.ClassDef):
            names = [n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and "code" in names:
            takers.setdefault(node.name, set()).add(names.index("code"))
    constants = {
        target.id: node.value.value
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found: set[str] = set()
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        for place in takers.get(name, ()):
            value = call.args[place] if place < len(call.args) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found.add(value.value)
            elif isinstance(value, ast.Name) and value.id in constants:
                found.add(str(constants[value.id]))
            elif isinstance(value, ast.JoinedStr):
                found.update(COMPUTED[ast.unparse(value)[2:-1]])
    return {code for code in found if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)}


def test_the_guides_describe_every_code() -> None:
    codes = codes_of_problems()
    some = {"stopped", "requirements", "zip-gap", "zip-crc", "constraint-url", "interpreter-program", "python-patch"}
    some |= {"venv-conda", "wheel-tags", "requirement-hash", "option-build", "bytecode-interpreter", "venv-missing"}
    assert codes >= some | WITHOUT_A_CODE - {"cannot-read"}
    assert {
        code for code in codes - WITHOUT_A_CODE if not any(f"`{code}`" in text for text in GUIDES.values())
    } == set()


def test_the_guides_name_no_code_that_there_is_not() -> None:
    codes = codes_of_problems()
    for guide in ("capsbuild", "provenance", "python", "signing"):
        _, _, told = GUIDES[guide].partition("| code |")
        rows = re.findall(r"^\| ((?:`[a-z0-9-]+`(?:, )?)+) \|", told, re.M)
        kinds = {
            kind for row in re.findall(r"^\| kind .*?\n\n", told, re.M | re.S) for kind in re.findall("`(.*?)`", row)
        }
        keys = {"format", "ok", "checked", "failures", "notes", "passengers"}
        assert {code for row in rows for code in re.findall("`(.*?)`", row)} - codes - kinds - keys == set()


def test_the_guide_describes_every_option() -> None:
    main, other, _ = re.split(r"^### Other commands|^## What goes in", GUIDES["capsbuild"], flags=re.M)
    others = [["anchors"], ["diff"], ["inspect"], ["keygen"], ["report"], ["requirements"], ["sign"]]
    for guide, commands in (
        (main, [[]]),
        (other, others),
        (GUIDES["provenance"], [["provenance"], ["reproduce"], ["sbom"]]),
    ):
        offered = {
            option
            for command in commands
            for option in re.findall(r"^  (--[a-z-]+)", capsbuild(*command, "--help").out, re.M)
        }
        rows = re.findall(r"^\| (`--.*?) \|", guide, re.M)
        assert offered == {option for row in rows for option in re.findall(r"`(--[a-z-]+)", row)}
        assert len(offered) > 3


@pytest.mark.parametrize("level", ["1", "12"])
def test_the_level_changes_the_archive_and_not_the_id(app: Path, out: Path, level: str) -> None:
    write(app, {"data": "".join(f"{number * number} " for number in range(100_000))})
    plain = json.loads(build(app, out, "--json").out)
    other = json.loads(build(app, out, "--json", "--compression-level", level).out)
    assert other["id"] == plain["id"]
    assert (other["size"] > plain["size"]) is (level == "1")
    assert metadata(out / "new")["builder"]["compression_level"] == int(level)


@pytest.mark.parametrize("jobs", ["1", "64"])
def test_the_jobs_change_nothing(app: Path, out: Path, jobs: str) -> None:
    write(app, {"data": os.urandom(5_000_000), **{f"{number}": os.urandom(number * 700) for number in range(300)}})
    assert json.loads(build(app, out, "--json").out) == json.loads(build(app, out, "--json", "--jobs", jobs).out)


# Stamps


def test_a_stamp_is_in_the_metadata_alone(app: Path, out: Path) -> None:
    plain = build(app, out).out.splitlines()[1]
    assert metadata(out / "new")["build"] == {"time": None, "host": None}
    assert build(app, out, "--stamp").out.splitlines()[1] == plain
    facts = metadata(out / "new")["build"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", facts["time"])
    assert facts["host"] == os.uname().nodename


def test_source_date_epoch_is_the_time_of_a_stamp(app: Path, out: Path) -> None:
    environment = {"SOURCE_DATE_EPOCH": "1700000000", "TZ": "Asia/Tokyo"}
    plain = build(app, out).out.splitlines()[1]
    assert build(app, out, "--stamp", env=environment).out.splitlines()[1] == plain
    assert metadata(out / "new")["build"]["time"] == "2023-11-14T22:13:20Z"
    build(app, out, env=environment)
    assert metadata(out / "new")["build"]["time"] is None


@pytest.mark.parametrize("value", ["yesterday", "1.5", "-1", "1_000", " 1", "٣", "99999999999999999999", "9" * 5000])
def test_a_source_date_epoch_that_is_no_time_is_refused(app: Path, refused: Refused, value: str) -> None:
    refused(
        f"SOURCE_DATE_EPOCH is not a time: {value[:60]!r}"
        "\n  Set it to a number of seconds since 1970-01-01 UTC, or unset it.",
        arguments=("--stamp",),
        env={"SOURCE_DATE_EPOCH": value},
    )


# Locales and streams


@pytest.fixture(scope="module")
def latin1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Latin-1 locale, made for the occasion."""
    folder = tmp_path_factory.mktemp("locales")
    command = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", folder / "en_US.ISO-8859-1"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode <= 1, ran.stderr  # 1: it was made, with warnings
    return {"LOCPATH": str(folder), "LC_ALL": "en_US.ISO-8859-1"}


ENVIRONMENTS = {
    "C": {"LC_ALL": "C"},
    "C, and Python takes it seriously": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ASCII streams": {"PYTHONIOENCODING": "ascii"},
    "strict ASCII streams": {"PYTHONIOENCODING": "ascii:strict"},
    "Latin-1 streams": {"PYTHONIOENCODING": "latin-1"},
    "Latin-1": {},
}


@pytest.mark.parametrize("case", ENVIRONMENTS)
def test_no_locale_changes_the_capsule_or_breaks_a_message(
    tmp_path: Path, case: str, request: pytest.FixtureRequest
) -> None:
    environment = request.getfixturevalue("latin1") if case == "Latin-1" else ENVIRONMENTS[case]
    app = write(tmp_path / "größe" / "应用", {"capsule.yml": MANIFEST, "alan_backend/start.py": ""})
    write(app, {"café/naïve 名.txt": "é", "Ωmega": "", ".capsuleignore": "*.žip\n", "a.žip": ""})
    (app / "läuft").write_text("data")
    (app / "läuft").chmod(0o755)
    (app / "línk").symlink_to("café")
    plain = json.loads(build(app, tmp_path, "--json").out)
    ran = subprocess.run(
        [*COMMAND, "--from-dir", app, "--output", tmp_path / "größe" / "ñew", "--json"],
        env=ENVIRONMENT | environment, capture_output=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert {key: told[key] for key in ("id", "files", "size")} == {key: plain[key] for key in ("id", "files", "size")}
    assert b"Traceback" not in ran.stderr
    assert ran.stderr.count(b"WARNING") == 2
    assert (tmp_path / "größe" / "ñew").read_bytes() == (tmp_path / "new").read_bytes()

    ran = subprocess.run(
        [*COMMAND, "--from-dir", app, "--output", tmp_path / "größe" / "ñew"],
        env=ENVIRONMENT | environment, capture_output=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert f"\n   BUILD_SHA: {plain['id']}\n".encode() in ran.stdout

    (app / "línk 2").symlink_to("café/nichts ☹")
    ran = subprocess.run(
        [*COMMAND, "--from-dir", app, "--output", tmp_path / "no 漢"],
        env=ENVIRONMENT | environment, capture_output=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 1
    assert ran.stderr.startswith(b"ERROR: Link points to nothing in the capsule: l")
    assert b"Traceback" not in ran.stderr


def test_an_output_name_that_is_not_utf8_is_written_and_shown(app: Path, out: Path) -> None:
    ran = capsbuild("--from-dir", app, "--output", bytes(out) + b"/caf\xe9", "--quiet")
    assert (ran.status, os.path.exists(bytes(out) + b"/caf\xe9")) == (0, True)
    ran = capsbuild("--from-dir", app, "--output", bytes(out) + b"/caf\xe9")
    assert ran.out.startswith(f"✅ Capsule built successfully: {out}/caf\\xe9\n")


def test_a_full_standard_output_is_an_error_without_a_traceback(app: Path, out: Path) -> None:
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            [*COMMAND, "--from-dir", app, "--output", out / "new"],
            env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    error = "ERROR: Cannot write to standard output: No space left on device\n  The work itself was done.\n"
    assert (ran.returncode, ran.stderr) == (1, NO_VENV + error)
    assert metadata(out / "new")["name"] == "alan"


def test_a_closed_pipe_is_an_error_without_a_traceback(app: Path, out: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ran = subprocess.run(
        [*COMMAND, "--from-dir", app, "--output", out / "new", "--json"],
        env=ENVIRONMENT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writer)
    assert ran.stderr == NO_VENV + "ERROR: Cannot write to standard output: Broken pipe\n  The work itself was done.\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("quiet", [True, False])
def test_closed_standard_streams_harm_nothing(app: Path, out: Path, closed: str, quiet: bool) -> None:
    command = [*COMMAND, "--from-dir", str(app), "--output", str(out / "new"), *(["--quiet"] if quiet else [])]
    ran = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", *command], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    unheard = " >&-" in f" {closed}" and not quiet
    lost = "ERROR: Cannot write to standard output: it is closed\n  The work itself was done.\n" if unheard else ""
    assert ran.returncode == unheard
    assert ran.stderr == ("" if "2" in closed else NO_VENV + lost)
    assert metadata(out / "new")["name"] == "alan"
