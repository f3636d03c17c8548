"""The capsule runs: elsewhere, read-only, for nobody, without the originals; and does what the environment did."""

from __future__ import annotations

import csv
import json
import os
import re
import urllib.parse
from pathlib import Path, PurePosixPath

import pytest

from tests.environment import builders
from tests.environment.corpus import PLAIN, PYTHON, SITE, WHEELS, capsbuild, files_of, unpack
from tests.environment.host import PLACE, Host, Ran

BIN = PLACE / "venv" / "bin"


@pytest.fixture(scope="module")
def untouched(place: Path) -> Path:
    """A finished environment, where ``venv`` and pip made it: with a space in the path, pip's do not all work."""
    builders.venv_and_pip(place / "made" / "venv", PLAIN)
    return place / "made" / "venv"


@pytest.fixture(scope="module")
def host(capsule: Path) -> Host:
    return Host(capsule)


@pytest.fixture(scope="module")
def before(untouched: Path) -> Host:
    return Host(original=untouched)


# Scripts


def programs(directory: Path) -> set[str]:
    """What a person could start there, but for the interpreter."""
    found = (path for path in directory.iterdir() if path.is_file() and not path.name.startswith("python"))
    return {path.name for path in found if path.read_bytes()[:4].startswith((b"#!", b"\x7fELF"))}


# What these print has more in it than the environment's place: by name, what to blank, and why it differs.
MORE_TO_BLANK = {
    "aws_completer": r"/bin/(\.\./libexec/)?",  # it fails without arguments, and its text lies in libexec/
    "rst2odt_prepstyles.py": r"/bin/(\.\./libexec/)?",  # it needs lxml, which is not required; and the same
    "blackd": r"(?<=/bin/blackd\", line )\d+",  # it needs an extra, and its script is as long as ours are
    "debugpy": r"(?m)^\d+\.\d\ds",  # it tells the time
}


# docutils breaks its help into lines of 78 characters, through paths as well.
REFLOWED = re.compile(r"docutils|rst.*\.py")


def blanked(ran: Ran, name: str, venv: Path) -> Ran:
    """What is left to compare: without the environment's place, and what comes with it."""
    out, err, place = ran.out, ran.err, str(venv)
    if REFLOWED.fullmatch(name):
        out, err, place = ("".join(text.split()) for text in (out, err, place))
    out, err = (text.replace(place, "<venv>") for text in (out, err))
    if more := MORE_TO_BLANK.get(name):
        out, err = (re.sub(more, "<>", text) for text in (out, err))
    return Ran(ran.status, out, err)


def test_every_program_does_what_it_did(capsule: Path, untouched: Path, host: Host, before: Host) -> None:
    names = sorted(programs(capsule / "venv" / "bin"))
    assert len(names) >= 50
    # pip makes a third script for itself, which it does not declare.
    assert {*names, "pip3.11"} == programs(untouched / "bin")
    # Most programs break their help into lines as wide as they are told to, and the lengths of the places differ.
    wide = {"PATH": "/usr/bin:/bin", "COLUMNS": "1000"}
    commands = [(name, option) for name in names for option in ("--help", "--version")]
    now = host.run(([BIN / name, option] for name, option in commands), wide)
    then = before.run(([untouched / "bin" / name, option] for name, option in commands), wide)
    different = {
        command: (one, other)
        for command, one, other in zip(commands, now, then, strict=True)
        if blanked(one, command[0], BIN.parent) != blanked(other, command[0], untouched)
    }
    assert not different
    failed = {name for (name, _), ran in zip(commands, now, strict=True) if ran.status not in {0, 2}}
    assert failed <= {*MORE_TO_BLANK, "aws"}, "the comparison is of programs that work"


def test_a_script_runs_however_it_is_reached(capsule: Path) -> None:
    links = {
        "/mnt/absolute": str(BIN / "idna"),
        f"{PLACE.parent}/relative": "capsule/venv/bin/idna",
        "/mnt/chain/of/links": "../../absolute",
        "/mnt/launcher": str(BIN / "rst2html.py"),
    }
    host = Host(capsule, links=links)
    (plain,) = host.run([[BIN / "idna", "--version"]])
    assert plain.status == 0 and plain.out.startswith("idna 3.")
    reached: list[list[str | Path]] = [[link, "--version"] for link in list(links)[:3]]
    shells: list[list[str]] = [["/bin/dash"], ["/bin/bash"], ["/bin/bash", "--posix"], ["/usr/bin/busybox", "sh"]]
    for shell in shells:
        reached += [[*shell, BIN / "idna", "--version"], *([*shell, link, "--version"] for link in list(links)[:3])]
    environments: list[dict[str, str]] = [{"PATH": "/usr/bin:/bin"}, {"PATH": ""}, {}]
    for environment in environments:
        ran = host.run(reached, environment)
        assert {tuple(command): one for command, one in zip(reached, ran, strict=True) if one != plain} == {}
    by_name = [[*shell, "idna", "--version"] for shell in shells] + [["./idna", "--version"]]
    assert host.run(by_name, {}, cwd=BIN) == [plain] * len(by_name)
    launched = host.run([["/mnt/launcher", "--version"], [BIN / "rst2html.py", "--version"]], {})
    assert launched[0] == launched[1] and launched[0].out.startswith("rst2html.py (Docutils 0.19")


def test_without_the_hosts_python_it_says_so(capsule: Path) -> None:
    host = Host(capsule, contract=False)
    names = ["flask", "rst2html.py", "aws"]
    for name, ran in zip(names, host.run([BIN / name, "--help"] for name in names), strict=True):
        assert (ran.status, ran.out) == (126, "")
        assert ran.err == (f"{BIN / name}: no interpreter at {BIN}/python; is this Python installed on the host?\n")


# Modules

IMPORT = """
import importlib, json, os, sys
result = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        result[name] = "imported"
    except BaseException as error:
        result[name] = type(error).__name__
files = [module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)]
facts = {"result": result, "files": files, "path": sys.path, "prefix": sys.prefix, "exec_prefix": sys.exec_prefix,
         "base": sys.base_prefix, "executable": sys.executable}
sys.__stdout__.write("\\n" + json.dumps(facts))
sys.__stdout__.flush()
os._exit(0)
"""


def modules(venv: Path) -> list[str]:
    """The top-level modules of every distribution, by its RECORD."""
    found = set()
    for record in (venv / SITE.partition("/")[2]).glob("*.dist-info/RECORD"):
        with record.open(newline="") as file:
            for path, *_ in csv.reader(file):
                first, *rest = PurePosixPath(path).parts
                stem, dot, end = first.partition(".")
                importable = (dot and not rest and end.endswith(("py", "so"))) or (not dot and rest)
                if importable and stem.isidentifier() and not stem.startswith("__pycache__"):
                    found.add(stem)
    return sorted(found)


def test_every_module_is_imported_from_the_capsule(capsule: Path, untouched: Path, host: Host, before: Host) -> None:
    names = modules(capsule / "venv")
    assert names == modules(untouched)
    assert len(names) >= 80
    (now,) = host.run([[BIN / "python", "-c", IMPORT, *names]])
    (then,) = before.run([[untouched / "bin" / "python", "-c", IMPORT, *names]])
    assert now.status == then.status == 0, now.err + then.err
    facts, facts_then = (json.loads(ran.out.splitlines()[-1]) for ran in (now, then))
    assert facts["result"] == facts_then["result"]
    assert sum(result == "imported" for result in facts["result"].values()) >= len(names) - 5

    # Nothing but the capsule and the interpreter's own library.
    assert facts["prefix"] == facts["exec_prefix"] == str(BIN.parent)
    assert facts["executable"] == str(BIN / "python")
    library = f"{facts['base']}/lib/python3"
    own = f"{PLACE / SITE}/"
    assert facts["base"] == facts_then["base"]
    assert facts["path"][0] == ""
    for entry in facts["path"][1:]:  # setuptools adds one of its own
        assert f"{entry}/".startswith(own) or (entry.startswith(library) and "-packages" not in entry), entry
    for file in facts["files"]:
        assert file.startswith((own, library)) and "dist-packages" not in file
    # Whoever asks for the files of another module gets those that are there.
    assert sum(file.startswith(own) for file in facts["files"]) > 500


def test_the_entrypoint_runs(host: Host, capsule: Path) -> None:
    (ran,) = host.run([[BIN / "python", "serve.py"]], {}, cwd=PLACE)
    base = os.path.dirname(os.path.dirname(os.path.realpath(PYTHON)))
    assert ran == Ran(0, f"{BIN.parent} {base} flask 6\n", "")


def test_data_is_found_by_the_prefix(host: Host) -> None:
    programs = [
        "from jupyter_client.kernelspec import KernelSpecManager; print(list(KernelSpecManager().find_kernel_specs()))",
        "import sysconfig, os; print(sorted(os.listdir(os.path.join(sysconfig.get_path('data'), 'share'))))",
    ]
    ran = host.run([BIN / "python", "-c", program] for program in programs)
    assert [one.status for one in ran] == [0, 0], ran
    assert "python3" in ran[0].out and "jupyter" in ran[1].out


# Places


def test_no_file_knows_a_place_of_the_build(place: Path, app: Path, untouched: Path) -> None:
    """The capsule of a finished environment, whose scripts, caches and settings are full of its place."""
    capsbuild("--from-dir", app, "--venv", untouched, "--output", place / "finished.tar.gz")
    unpacked = unpack(place / "finished.tar.gz", place / "finished")
    places = [str(place), str(untouched), os.path.realpath(untouched), str(WHEELS)]
    needles = {needle for name in places for needle in spelled(name)}

    def hits(root: Path) -> set[str]:
        found = set()
        for path in files_of(root):
            file = root / path
            data = os.readlink(file).encode() if file.is_symlink() else file.read_bytes()
            if any(needle in data for needle in needles):
                found.add(path)
        return found

    assert len(hits(untouched)) > 3_000, "it was full of them"
    assert hits(unpacked) == set()


def spelled(place: str) -> set[bytes]:
    """A path in every spelling that a file may have it in."""
    quoted = urllib.parse.quote(place)
    spaceless = place.replace(" ", "\\ ")
    texts = {place, quoted, spaceless, json.dumps(place)[1:-1], place.replace("/", "\\/"), repr(place)[1:-1]}
    return {text.encode() for text in texts} | {place.encode(code) for code in ("utf-16-le", "utf-16-be", "utf-32-le")}


def test_it_is_read_only_and_the_originals_are_gone(host: Host, untouched: Path) -> None:
    """That the tests above are what they say."""
    there = "[os.path.isdir(place) and os.listdir(place) or [] for place in sys.argv[1:]]"
    program = f"import os, sys; print(os.getuid(), {there}); open('new', 'w')"
    (ran,) = host.run([[PYTHON, "-c", program, "/tmp", str(Path(__file__).parents[2])]], cwd=PLACE)
    assert ran.out == "65534 [[], []]\n"
    assert "Read-only file system" in ran.err or "Permission denied" in ran.err
