"""The README's first command: the example as a capsule, proved by coreutils, and running from where it was unpacked."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.examples.metacog_service import BRIDGE, CORE, running
from tests.examples.metacog_venv import at_the_contract, metacog_venv

REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Example:
    archive: Path
    id: str
    said: str


@pytest.fixture(scope="module")
def example() -> Iterator[Example]:
    """What ``./dev example`` leaves behind, and the archive and ID that its last two lines name."""
    said = subprocess.run([REPOSITORY / "dev", "example"], check=True, stdout=subprocess.PIPE, text=True).stdout
    archive, capsule_id = (line.split()[-1] for line in said.splitlines()[-2:])
    yield Example(Path(archive), capsule_id, said)
    subprocess.run(["bazel", "shutdown"], cwd=REPOSITORY, check=True, capture_output=True)


@pytest.fixture(scope="module")
def unpacked(example: Example, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The capsule unpacked by tar at a long path with a space in it, and read-only."""
    place = tmp_path_factory.mktemp("example") / ("a long path " * 8) / "release"
    place.mkdir(parents=True)
    subprocess.run(["tar", "xzf", example.archive, "-C", place], check=True)
    subprocess.run(["chmod", "-R", "a-w", place], check=True)
    yield place
    subprocess.run(["chmod", "-R", "u+w", place], check=True)


def test_its_last_lines_name_the_archive_and_the_id(example: Example) -> None:
    assert example.said.splitlines()[-2:] == [f"archive: {example.archive}", f"ID:      {example.id}"]
    assert example.archive.name == f"capsule-tori-metacognitive-{example.id[:12]}.tar.gz"
    assert len(example.id) == 64


def test_coreutils_prove_it(example: Example, unpacked: Path) -> None:
    subprocess.run(["sha256sum", "--strict", "--quiet", "-c", ".capsule_contents"], cwd=unpacked, check=True)
    shown = subprocess.run(
        ["sha256sum", ".capsule_contents"], cwd=unpacked, check=True, stdout=subprocess.PIPE, text=True
    )
    assert shown.stdout.split()[0] == example.id
    assert json.loads((unpacked / ".capsule_metadata.json").read_text())["id"] == example.id


def test_coreutils_notice_a_changed_byte(unpacked: Path) -> None:
    changed = unpacked / CORE
    original = changed.read_bytes()
    changed.chmod(0o644)
    changed.write_bytes(original.replace(b"e", b"f", 1))
    check = subprocess.run(
        ["sha256sum", "--strict", "--quiet", "-c", ".capsule_contents"], cwd=unpacked, capture_output=True
    )
    changed.write_bytes(original)
    changed.chmod(0o444)
    assert check.returncode == 1
    assert f"{CORE}: FAILED".encode() in check.stdout


def test_the_listing_names_every_file_that_tar_unpacks(unpacked: Path) -> None:
    lines = (unpacked / ".capsule_contents").read_text().splitlines()
    listed = {line[66:] for line in lines if line[0] != "#"}
    links = {tuple(line.split("\t")[1:]) for line in lines if line.startswith("# symlink\t")}
    generated = {".capsule_contents", ".capsule_index", ".capsule_metadata.json"}
    found = [path for path in unpacked.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {str(path.relative_to(unpacked)) for path in found} == listed | generated
    found = [path for path in unpacked.rglob("*") if path.is_symlink()]
    assert {(str(path.relative_to(unpacked)), os.readlink(path)) for path in found} == links
    assert ("venv/bin/python3.11", "/opt/tori/python/3.11/bin/python3.11") in links


def test_capsbuild_gives_the_id_that_bazel_gives(example: Example, tmp_path: Path) -> None:
    """From an environment that uv made, with bytecode in it."""
    source = tmp_path / "metacog"
    shutil.copytree(REPOSITORY / "examples" / "metacog", source)
    command = [sys.executable, "-m", "capsule_builder.cli.capsbuild", "--from-dir", source, "--venv", metacog_venv()]
    done = subprocess.run([*command, "--json"], cwd=tmp_path, check=True, stdout=subprocess.PIPE)
    assert json.loads(done.stdout)["id"] == example.id


def test_the_example_without_bazel_gives_the_same_id(example: Example, tmp_path: Path) -> None:
    """From an environment that venv and pip made."""
    script = REPOSITORY / "examples" / "metacog_venv" / "build.sh"
    path = f"{metacog_venv() / 'bin'}:{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    command = ["sh", script, tmp_path / "metacog.tar.gz"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "PATH": path}, check=True, capture_output=True)
    member = ["tar", "xzOf", tmp_path / "metacog.tar.gz", ".capsule_metadata.json"]
    metadata = subprocess.run(member, check=True, stdout=subprocess.PIPE).stdout
    assert json.loads(metadata)["id"] == example.id


def test_the_service_answers_from_the_unpacked_capsule_and_keeps_its_state(
    example: Example, unpacked: Path, tmp_path: Path
) -> None:
    environment = {"BUILD_SHA": example.id, "MAX_TOKENS_PER_MIN": "5"}
    with running(unpacked, tmp_path / "state", environment, python=at_the_contract(unpacked)) as service:
        assert service.get("/healthz").json["build_sha"] == example.id
        assert service.reflect("what did I overlook").status == 200
        assert service.reflect("and what else then").status == 429
        assert service.stop() == 0
    with running(unpacked, tmp_path / "state", environment, python=at_the_contract(unpacked)) as service:
        assert [thought["text"] for thought in service.get("/v1/thoughts").json["thoughts"]] == ["what did I overlook"]


def test_the_second_service_answers_too(unpacked: Path, tmp_path: Path) -> None:
    with running(unpacked, tmp_path / "state", entrypoint=BRIDGE, python=at_the_contract(unpacked)) as service:
        assert service.get("/healthz").status == 200


def test_nothing_in_the_capsule_knows_where_it_was_built(example: Example, unpacked: Path) -> None:
    # The checkout's own path may be as short as /src.
    places = [b"bazel-out", *(f"{REPOSITORY}/{below}".encode() for below in (".dev", "examples", "bazel-"))]
    host = os.uname().nodename.encode() + b"\0"
    for path in unpacked.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            assert not any(place in content for place in places), path
            if not content.startswith(b"\x7fELF"):  # a short name may be the end of some symbol
                assert host not in content, path
    assert hashlib.sha256((unpacked / ".capsule_contents").read_bytes()).hexdigest() == example.id
