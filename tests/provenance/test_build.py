"""``capsbuild … --provenance --sbom``: with the archive or not at all, and what the commands write of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from capsule_builder.building.build import Source, build
from capsule_builder.statements.kinds import PROVENANCE, sbom
from capsule_builder.trust.minisign import SecretKey, SecretKeyFile
from tests.capsbuild.command import ENVIRONMENT, capsbuild, write
from tests.minisign.test_minisign import run_minisign

BESIDE = (".cdx.json", ".provenance.json")
WITHOUT_LIBRARY = """
import sys, importlib.util as u; find = u.find_spec
u.find_spec = lambda name, *more: None if name == 'cyclonedx' else find(name, *more)
from capsule_builder.cli.capsbuild import main; sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("platform", [[], ["--platform", "manylinux_2_39_x86_64"]])
def test_they_are_what_the_commands_write(app: Path, house: Path, out: Path, platform: list[str]) -> None:
    environment = ["--wheels", house, "--no-verify-requirements", *platform]
    ran = capsbuild("--from-dir", app, *environment, "--output", out / "a.tar.gz", "--provenance", "--sbom")
    assert ran.status == 0, ran.err
    assert ran.out.splitlines()[3:] == [
        f"   Provenance: {out}/a.tar.gz.provenance.json",
        f"   SBOM: {out}/a.tar.gz.cdx.json",
    ]
    for command, suffix in zip(("sbom", "provenance"), BESIDE, strict=True):
        assert capsbuild(command, out / "a.tar.gz", *platform, "--output", out / "again").status == 0
        assert (out / f"a.tar.gz{suffix}").read_bytes() == (out / "again").read_bytes()


def test_each_is_made_when_it_is_asked_for(app: Path, out: Path) -> None:
    for option, suffix, other in (("--provenance", BESIDE[1], "sbom"), ("--sbom", BESIDE[0], "provenance")):
        place = out / option
        ran = capsbuild("--from-dir", app, "--output", place, option, "--json")
        document = json.loads(ran.out)
        assert (document[option[2:]], document[other]) == (f"{place}{suffix}", None)
    assert sorted(path.name for path in out.iterdir()) == [
        "--provenance", "--provenance.provenance.json", "--sbom", "--sbom.cdx.json",
    ]  # fmt: skip


def test_a_stamp_is_in_both(app: Path, out: Path) -> None:
    ran = capsbuild(
        "--from-dir", app, "--output", out / "a", "--provenance", "--sbom", "--stamp", env={"SOURCE_DATE_EPOCH": "1"}
    )
    assert ran.status == 0, ran.err
    provenance, bom = (json.loads((out / f"a{suffix}").read_bytes()) for suffix in reversed(BESIDE))
    assert provenance["predicate"]["runDetails"]["metadata"] == {"startedOn": "1970-01-01T00:00:01Z"}
    assert bom["metadata"]["timestamp"] == "1970-01-01T00:00:01+00:00"


def test_they_come_with_a_signature_too(app: Path, out: Path, tmp_path: Path) -> None:
    secret = SecretKey.generate()
    key = tmp_path / "my.key"
    key.write_bytes(SecretKeyFile.seal(secret, None).format())
    key.chmod(0o600)
    key.with_suffix(".pub").write_bytes(secret.public_key.format())
    ran = capsbuild("--from-dir", app, "--output", out / "a", "--sign", key, "--provenance", "--sbom")
    assert ran.status == 0, ran.err
    assert sorted(path.name for path in out.iterdir()) == ["a", "a.cdx.json", "a.minisig", "a.provenance.json"]
    assert run_minisign("-V", "-Q", "-p", key.with_suffix(".pub"), "-m", out / "a").returncode == 0


def test_without_the_library_nothing_is_begun(out: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_LIBRARY, "--from-dir", "/nowhere", "--output", out / "a", "--sbom"]
    ran = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False, text=True)
    assert (ran.returncode, ran.stderr) == (
        1,
        "ERROR: SBOMs need cyclonedx-python-lib\n  Run: pip install 'capsule-builder[sbom]'\n",
    )


def test_a_build_without_an_sbom_needs_no_library(app: Path, out: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_LIBRARY, "--from-dir", app, "--output", out / "a", "--provenance"]
    subprocess.run(command, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("occupied", ["a", "a.cdx.json", "a.provenance.json"])
def test_all_appear_or_none(app: Path, out: Path, occupied: str) -> None:
    """The last step fails for one of them: nothing can be put where a directory has come to lie."""
    statements = [PROVENANCE, sbom("linux_x86_64")]
    with pytest.raises(OSError, match="directory"):
        build(
            Source(os.fspath(app)),
            output=os.fspath(out / "a"),
            statements=statements,
            before_commit=lambda: (out / occupied).mkdir(),
        )
    assert [path.name for path in out.iterdir()] == [occupied]


def test_their_places_are_looked_at_before_anything_is_read(app: Path, out: Path) -> None:
    (out / "a.cdx.json").mkdir()
    ran = capsbuild("--from-dir", app, "--output", out / "a", "--sbom", "--provenance")
    assert (ran.status, ran.err.splitlines()[0]) == (1, f"ERROR: Output is a directory: {out}/a.cdx.json")
    write(app, {".capsuleignore": "/a\n"})
    ran = capsbuild("--from-dir", app, "--output", app / "a", "--provenance")
    assert ran.err.startswith(f"ERROR: Output lies inside the source directory: {app}/a.provenance.json\n")


def test_what_cannot_be_told_is_not_built(app: Path, out: Path) -> None:
    write(app, {"venv/lib/python3.11/site-packages/foo-1.dist-info/RECORD": ""})
    ran = capsbuild("--from-dir", app, "--output", out / "a", "--provenance", "--json")
    assert [error["code"] for error in json.loads(ran.out)["errors"]] == ["packed-incomplete"]
    assert not list(out.iterdir())


# The lock


def test_a_wheel_with_other_bytes_than_the_lock_names_is_not_packed(app: Path, out: Path, tmp_path: Path) -> None:
    """The same name and version, and a RECORD that is true: the hash in the lock alone tells it from the right one."""
    from tests.bazel.wheels import lock_line, wheel

    house = tmp_path / "small"
    lock = tmp_path / "lock.txt"
    lock.write_text(lock_line(wheel(house, "tool", "1.0", {"tool.py": b"good = 1\n"})))
    command = ["--from-dir", app, "--wheels", house, "--requirements", lock, "--sbom", "--output", out / "a"]
    assert capsbuild(*command).status == 0
    assert capsbuild("sbom", out / "a", "--lock", lock).status == 0
    for path in out.iterdir():
        path.unlink()
    tampered = wheel(house, "tool", "1.0", {"tool.py": b"evil = 1\n"})
    for options in ([], ["--no-verify-requirements"]):
        ran = capsbuild(*command, *options)
        said = f"{tampered.name} has a hash that is not in the lock (tool, {lock}:1)"
        assert (ran.status, ran.err.splitlines()[0]) == (1, f"ERROR: tool: {said}")
        assert not list(out.iterdir())
