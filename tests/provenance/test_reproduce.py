"""``capsbuild reproduce``: the same again, or where it differs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import capsule_builder
from capsule_builder import capsule as capsule_module
from capsule_builder import metadata as metadata_module
from capsule_builder.building.build import PythonOptions, Source
from capsule_builder.building.reproduce import Field, Reproduction, reproduce
from capsule_builder.metadata import BuildFacts
from capsule_builder.python.gather import Wish
from capsule_builder.trust.minisign import SecretKey, SecretKeyFile
from tests.capsbuild.command import ENVIRONMENT, NO_VENV, capsbuild, snapshot, write
from tests.minisign.test_minisign import run_minisign
from tests.provenance.conftest import Build
from tests.provenance.slsa import check_statement
from tests.reader.forge import Forge, One, small


def again(archive: Path, app: Path, house: Path | None = None, level: int | None = None) -> Reproduction:
    python = PythonOptions(Wish(wheels=os.fspath(house), verify=False)) if house else None
    return reproduce(os.fspath(archive), Source(os.fspath(app)), python=python, level=level)


@pytest.fixture
def plain(built: Build) -> Path:
    return built(wheels=False)


def test_the_same_is_reproduced_to_the_byte(built: Build, app: Path, house: Path) -> None:
    for archive in (built(), built("low", level=1), built("stamped", facts=BuildFacts("2026-01-02T03:04:05Z", "h"))):
        found = again(archive, app, house)
        assert (found.is_reproduced, found.same_bytes, found.changes, found.fields) == (True, True, (), ())
        assert found.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()


def reason(found: Reproduction) -> str:
    """The code of why the bytes are others; the ID is the same."""
    assert (found.is_reproduced, found.same_bytes, found.changes) == (True, False, ())
    assert found.reason
    return found.reason.code


def test_another_level_or_builder_has_the_same_id_and_is_why_the_bytes_differ(
    plain: Path, app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reason(again(plain, app, level=1)) == "bytes-level"
    monkeypatch.setattr(metadata_module, "__version__", "9.9")
    found = again(plain, app)
    assert reason(found) == "bytes-builder"
    assert found.reason and "rebuilt by capsule-builder 9.9\n" in str(found.reason)


def test_other_layers_are_why_the_bytes_differ(tmp_path: Path) -> None:
    """As Bazel's rules have in layers what ``capsbuild`` has in one."""
    data = One("data/table.txt", "file", b"one\ntwo\n")
    others = [one for one in small() if one.path != data.path]
    (tmp_path / "layered").write_bytes(Forge([("app", others), ("data", [data])], metadata=by_us).build())
    (tmp_path / "single").write_bytes(
        Forge([("app", sorted([*others, data], key=lambda one: one.path))], metadata=by_us).build()
    )
    assert capsbuild("verify", tmp_path / "single", "--extract-to", tmp_path / "tree").status == 0
    (tmp_path / "tree" / ".capsuleignore").write_text("/.capsule_*\n")
    assert reason(again(tmp_path / "layered", tmp_path / "tree")) == "bytes-layers"
    assert reason(again(tmp_path / "single", tmp_path / "tree")) == "bytes-streams"


def by_us(document: dict[str, Any]) -> None:
    document["builder"] = {
        "name": "capsule-builder", "version": capsule_builder.__version__, "compression_level": 6,
    }  # fmt: skip


def test_every_entry_that_differs_is_told(app: Path, built: Build) -> None:
    write(app, {"gone": "x", "same": "s", "turned": "file", "long": b"a" * 3_000_000, "cut": b"12345"})
    (app / "link").symlink_to("same")
    archive = built(wheels=False)
    for name in ("gone", "turned", "link"):
        (app / name).unlink()
    (app / "turned").mkdir()
    (app / "link").symlink_to("start.py")
    write(app, {"new": "#!/bin/sh\n", "long": b"a" * 2_500_000 + b"b" * 500_000, "cut": b"123"})
    found = again(archive, app)
    assert not found.is_reproduced
    told = [
        (change.kind, change.path, change.packed and change.packed.kind, change.rebuilt and change.rebuilt.kind)
        for change in found.changes
    ]
    assert told == [
        ("changed", "cut", "file", "file"),
        ("removed", "gone", "file", None),
        ("changed", "link", "symlink", "symlink"),
        ("changed", "long", "file", "file"),
        ("added", "new", None, "executable"),
        ("changed", "turned", "file", "dir"),
    ]
    assert [(each.path, each.offset, each.packed, each.rebuilt) for each in found.excerpts] == [
        ("cut", 3, b"45", b""),
        ("long", 2_500_000, b"a" * 16, b"b" * 16),
    ]
    assert Field("files", 7, 6) in found.fields
    assert "layers.app.digest" in {field.name for field in found.fields}


def test_other_metadata_about_the_same_content_are_told_by_field_and_by_byte(
    plain: Path, app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = capsule_module.write_archive

    def elsewhere(*arguments: object, build: BuildFacts, **options: object) -> None:
        real(*arguments, build=BuildFacts("2030-01-01T00:00:00Z", None), **options)  # type: ignore[arg-type]

    monkeypatch.setattr(capsule_module, "write_archive", elsewhere)
    found = again(plain, app)
    assert reason(found) == "bytes-metadata"
    assert found.fields == (Field("build.time", None, "2030-01-01T00:00:00Z"),)
    (excerpt,) = found.excerpts
    data = plain.read_bytes()
    assert (excerpt.path, excerpt.packed) == ("", data[excerpt.offset : excerpt.offset + 16])


def test_the_command_says_so_and_leaves_nothing_behind(plain: Path, app: Path, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    before = snapshot(plain.parent)
    ran = capsbuild("reproduce", plain, "--from-dir", app, env={"TMPDIR": str(tmp_path / "tmp")})
    assert (ran.status, ran.out.splitlines()[0]) == (0, f"✅ Capsule reproduced: {plain}")
    assert ran.out.splitlines()[2] == "   Bytes: the same"
    write(app, {"start.py": "print('other')\n"})
    ran = capsbuild("reproduce", plain, "--from-dir", app, "--quiet", env={"TMPDIR": str(tmp_path / "tmp")})
    assert (ran.status, ran.out.splitlines()[0]) == (1, f"❌ Capsule not reproduced: {plain}")
    assert ran.out.splitlines()[-3:] == [
        "     start.py at 7:",
        "       packed:  68 65 6c 6c 6f 27 29 0a",
        "       rebuilt: 6f 74 68 65 72 27 29 0a",
    ]
    assert {name for name in before if not name.startswith("app/")} == {
        name for name in snapshot(plain.parent) if not name.startswith("app/")
    }


def test_the_same_content_by_another_way_has_other_bytes(app: Path, tmp_path: Path) -> None:
    write(app, {"data": "".join(f"{number * number} " for number in range(30_000))})
    with zipfile.ZipFile(tmp_path / "app.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(app.rglob("*")):
            archive.write(path, path.relative_to(app))
    capsule = tmp_path / "zipped.tar.gz"
    assert capsbuild("--from-zip", tmp_path / "app.zip", "--output", capsule).status == 0
    assert capsbuild("reproduce", capsule, "--from-zip", tmp_path / "app.zip").status == 0
    ran = capsbuild("reproduce", capsule, "--from-dir", app)
    assert (ran.status, ran.out.splitlines()[0]) == (0, f"✅ Capsule reproduced: {capsule}")
    assert ran.out.splitlines()[2] == "   Bytes: others, with the same content"
    why = "WARNING: The content is the same, and the bytes are others: its files came deflated by another way"
    assert ran.err.startswith(NO_VENV + why)
    ran = capsbuild("reproduce", capsule, "--from-dir", app, "--json")
    document = json.loads(ran.out)
    assert (ran.status, document["reproduced"], document["same_bytes"]) == (0, True, False)
    assert document["reason"]["code"] == "bytes-streams"
    ran = capsbuild("reproduce", capsule, "--from-dir", app, "--same-bytes", "--json")
    assert (ran.status, json.loads(ran.out)) == (1, document | {"reproduced": False})
    ran = capsbuild("reproduce", capsule, "--from-dir", app, "--same-bytes")
    assert (ran.status, ran.out.splitlines()[0]) == (1, f"❌ Capsule not reproduced to the byte: {capsule}")
    assert "     layers.app.compressed_size: " in ran.out
    assert "   First differing bytes:\n     the archive at " in ran.out


def test_json_of_a_difference(plain: Path, app: Path) -> None:
    write(app, {"start.py": "print('other')\n"})
    ran = capsbuild("reproduce", plain, "--from-dir", app, "--json")
    document = json.loads(ran.out)
    assert (ran.status, document["reason"]) == (1, None)
    assert (document["reproduced"], document["same_bytes"], document["statement"]) == (False, False, None)
    assert document["id"] != document["rebuilt_id"]
    assert document["bytes"] == [
        {"path": "start.py", "offset": 7, "packed": b"hello')\n".hex(), "rebuilt": b"other')\n".hex()}
    ]
    (entry,) = document["entries"]
    old, new = (hashlib.sha256(f"print('{word}')\n".encode()).hexdigest() for word in ("hello", "other"))
    assert entry == {
        "change": "changed",
        "path": "start.py",
        "packed": {"kind": "file", "detail": old},
        "rebuilt": {"kind": "file", "detail": new},
    }


def test_statuses(plain: Path, app: Path, tmp_path: Path) -> None:
    assert capsbuild("reproduce", tmp_path / "none", "--from-dir", app).status == 3
    assert capsbuild("reproduce", plain, "--from-dir", app, "--output", tmp_path / "x").status == 2
    assert capsbuild("reproduce", plain).status == 2
    (app / "capsule.yml").unlink()
    ran = capsbuild("reproduce", plain, "--from-dir", app, "--json")
    assert (ran.status, json.loads(ran.out)["status"]) == (2, 2)
    plain.write_bytes(plain.read_bytes() + b"x")
    ran = capsbuild("reproduce", plain, "--from-dir", app, "--json")
    assert (ran.status, json.loads(ran.out)["errors"][0]["code"]) == (4, "archive-trailing")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    secret = SecretKey.generate()
    path = tmp_path / "my.key"
    path.write_bytes(SecretKeyFile.seal(secret, None).format())
    path.chmod(0o600)
    (tmp_path / "my.pub").write_bytes(secret.public_key.format())
    return path


def test_a_signed_statement_says_that_it_is_the_same(plain: Path, app: Path, key: Path) -> None:
    ran = capsbuild("reproduce", plain, "--from-dir", app, "--sign", key, "--json")
    assert ran.status == 0, ran.err
    statement = Path(json.loads(ran.out)["statement"])
    assert statement == plain.with_name("app.tar.gz.reproduced.json")
    document = json.loads(statement.read_bytes())
    check_statement(document)
    assert document["predicate"] == {
        "builder": {
            "id": "urn:rules-capsule:capsule-builder",
            "version": {"capsule-builder": capsule_builder.__version__},
        },
        "sameId": True,
        "sameBytes": True,
    }
    assert document["subject"][0]["digest"] == {"sha256": hashlib.sha256(plain.read_bytes()).hexdigest()}
    said = run_minisign("-V", "-Q", "-p", key.with_suffix(".pub"), "-m", statement)
    assert said.returncode == 0
    assert said.stdout.strip() == f"reproduced=alan@2.1.0 id={document['subject'][1]['digest']['sha256']}"


def test_the_same_content_in_other_bytes_is_signed_as_such_unless_the_bytes_are_demanded(
    built: Build, app: Path, key: Path
) -> None:
    archive = built("low", wheels=False, level=1)
    command = ["reproduce", archive, "--from-dir", app, "--compression-level", "6", "--sign", key]
    before = sorted(archive.parent.iterdir())
    assert capsbuild(*command, "--same-bytes").status == 1
    assert sorted(archive.parent.iterdir()) == before
    ran = capsbuild(*command, "--json")
    assert ran.status == 0, ran.err
    document = json.loads(Path(json.loads(ran.out)["statement"]).read_bytes())
    assert (document["predicate"]["sameId"], document["predicate"]["sameBytes"]) == (True, False)
    assert document["subject"][0]["digest"] == {"sha256": hashlib.sha256(archive.read_bytes()).hexdigest()}


def test_what_is_not_the_same_is_not_signed(plain: Path, app: Path, key: Path) -> None:
    write(app, {"start.py": "print('other')\n"})
    before = {path.name for path in plain.parent.iterdir()}
    assert capsbuild("reproduce", plain, "--from-dir", app, "--sign", key).status == 1
    assert {path.name for path in plain.parent.iterdir()} == before


def test_a_statement_does_not_pass_for_the_signature_of_a_capsule(plain: Path, app: Path, key: Path) -> None:
    place = plain.with_name("statement")
    assert capsbuild("reproduce", plain, "--from-dir", app, "--sign", key, "--output", place).status == 0
    place.with_name("statement.minisig").rename(plain.with_name("app.tar.gz.minisig"))
    ran = capsbuild("verify", plain, "--public-key", key.with_suffix(".pub"))
    assert ran.status == 6


def test_a_request_to_stop_leaves_nothing_behind(plain: Path, app: Path, key: Path, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    before = sorted(tmp_path.rglob("*"))
    code = (
        "import os, signal, sys, capsule_builder.building.reproduce as module\n"
        "read, calls = module._read, []\n"
        "def struck(path):\n"
        "    calls.append(path)\n"
        "    if len(calls) == 2: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return read(path)\n"
        "module._read = struck\n"
        "from capsule_builder.cli.capsbuild import main; sys.exit(main(sys.argv[1:]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "reproduce", plain, "--from-dir", app, "--sign", key],
        env=ENVIRONMENT | {"TMPDIR": str(tmp_path / "tmp")}, capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (143, "ERROR: Stopped; nothing was written.\n")
    assert sorted(tmp_path.rglob("*")) == before
