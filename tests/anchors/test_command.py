"""``capsbuild anchors`` on what people have: environments by every tool, and capsules, which have none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from capsule_builder.anchors.search import Tree
from capsule_builder.cli.anchors import main
from capsule_builder.entries import Bytes, File, Symlink
from capsule_builder.patterns import Patterns
from capsule_builder.python.bytecode import find_compiler
from capsule_builder.python.layout import Layout
from capsule_builder.python.package import plan
from capsule_builder.python.relocate import relocate
from capsule_builder.sources.plain import scan_plain
from tests.relocate.environments import SEEDS, TOOLS, pip, run, uv_pip, uv_venv
from tests.relocate.wheels import corpus

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return [path for path in corpus(tmp_path_factory.mktemp("wheels")) if not path.name.startswith("ns_two")]


@pytest.fixture(scope="module")
def by_pip(tmp_path_factory: pytest.TempPathFactory, wheels: list[Path]) -> Path:
    place = tmp_path_factory.mktemp("by-pip") / "venv"
    run(TOOLS / "virtualenv", "-q", "--no-download", "--no-periodic-update", place)
    pip(place / "bin" / "python", wheels)
    return place


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The command runs in this process: what it does with signals is undone."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def kinds(place: Path) -> Counter[str]:
    return Counter(anchor.kind for anchor in Tree(str(place)).anchors())


def test_an_environment_by_pip_is_full_of_them(by_pip: Path) -> None:
    found = kinds(by_pip)
    assert {kind for kind, count in found.items() if count} == {
        "activate", "direct-url", "pyc", "pyvenv-key", "shebang", "symlink"
    }  # fmt: skip
    bytecode = [path for path in by_pip.rglob("*.pyc") if str(by_pip).encode() in path.read_bytes()]
    assert found["pyc"] == len(bytecode) > 0


def test_every_byte_that_names_the_place_is_accounted_for(by_pip: Path) -> None:
    """A plain search finds no file with the place that the report does not name."""
    reported = {anchor.path for anchor in Tree(str(by_pip)).anchors()}
    files = [path for path in by_pip.rglob("*") if path.is_file() and not path.is_symlink()]
    naming = {str(path.relative_to(by_pip)) for path in files if str(by_pip).encode() in path.read_bytes()}
    assert naming and naming <= reported


def test_uvs_relocatable_environment_is_not_quite(tmp_path: Path, wheels: list[Path]) -> None:
    place = uv_venv(tmp_path / "venv", "--relocatable")
    uv_pip(place, wheels)
    count = len(wheels)  # the one shebang is a script's own, of the host's Python
    assert kinds(place) == {"symlink": 1, "pyvenv-key": 1, "direct-url": count, "uv-cache": count, "shebang": 1}


def unpacked(place: Path, source: Path) -> Path:
    """The environment as it lies in an unpacked capsule, with bytecode."""
    environment = relocate(scan_plain(str(source), "environment"), HERE, [str(source)])
    layout = Layout(HERE)
    entries = layout.base_entries(False)
    with find_compiler(HERE, sys.executable) as compiler:
        for package in environment.packages:
            if package.name in SEEDS:
                continue
            for entry in plan(package, layout, compiler).entries(Patterns([])):
                assert isinstance(entry, File)
                entries.append(File(entry.path, False, Bytes(b"".join(entry.content.chunks()))))
    for entry in entries:
        path = place / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, File):
            path.write_bytes(b"".join(entry.content.chunks()))
        elif isinstance(entry, Symlink):
            path.symlink_to(entry.target)
    return place


def test_a_capsule_has_none(by_pip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsule = unpacked(tmp_path / "capsule", by_pip)
    assert list((capsule / "venv").rglob("*.pyc"))
    assert main([str(capsule)]) == 0
    count = sum(1 for path in capsule.rglob("*") if path.is_file() or path.is_symlink())
    assert capsys.readouterr().out == f"no anchors in {count} files\n"


def test_the_report_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "caf\n").symlink_to("/etc/passwd")
    assert main([f"{tmp_path}/"]) == 1
    remedy = "  Make it relative, and let it stay in the tree, or put a copy in its place."
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/caf\\n:0: symlink: /etc/passwd", remedy, f"{tmp_path}/link:0: symlink: /etc/passwd", remedy,
        "2 anchors in 2 files",
    ]  # fmt: skip


def test_the_report_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert main(["--format", "json", str(tmp_path)]) == 1
    report = json.loads(capsys.readouterr().out)
    (anchor,) = report.pop("anchors")
    assert report == {"format": 1, "files": 1}
    assert anchor.pop("remedy")
    assert anchor == {"path": "link", "offset": 0, "kind": "symlink", "excerpt": "/etc/passwd"}


def test_none_is_success_in_either_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "no anchors in 0 files\n"
    assert main(["--format=json", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == {"format": 1, "files": 0, "anchors": []}


def test_a_missing_directory_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == f"ERROR: No such directory: {tmp_path}/none\n  Name an existing one.\n"


def test_a_wrong_command_line_is_status_2() -> None:
    with pytest.raises(SystemExit) as left:
        main(["--formal", "x"])
    assert left.value.code == 2


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(300 << 20)
    with (tmp_path / "large.cpython-311.pyc").open("wb") as file:
        file.truncate(100 << 20)
    # Measured from a small process in between, for a child's peak begins with its parent's.
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    anchors = [sys.executable, "-m", "capsule_builder.cli.capsbuild", "anchors", str(tmp_path)]
    command = [sys.executable, "-c", code, *anchors]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
    assert int(done.stdout.splitlines()[-1]) < 100 << 10  # KiB


def test_the_input_is_not_changed(by_pip: Path) -> None:
    def state() -> list[tuple[str, int, int]]:
        return sorted((str(path), path.lstat().st_mtime_ns, path.lstat().st_ctime_ns) for path in by_pip.rglob("*"))

    before = state()
    kinds(by_pip)
    assert state() == before
