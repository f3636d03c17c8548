"""A finished environment in the application, in a directory, in ZIPs of all sorts, in the capsule itself: one ID."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.environment import builders
from tests.environment.conftest import Identified
from tests.environment.corpus import (
    OTHER,
    OTHER_TODAY,
    PLAIN,
    SITE,
    WHEELS,
    application,
    capsbuild,
    link_tree,
    unpack,
)
from tests.environment.host import PLACE, Host


@pytest.fixture(scope="module")
def whole(place: Path) -> Path:
    """The application with a finished environment in it."""
    path = application(place / "whole")
    builders.uv(path / "venv", PLAIN)
    return path


def test_the_environment_in_the_application(whole: Path, expected: str, identified: Identified) -> None:
    assert identified("--from-dir", whole) == expected


# ZIPs of the application with a finished environment


def zip_following_links(whole: Path, output: Path) -> None:
    subprocess.run(["zip", "-q", "-1", "-r", output, whole.name], cwd=whole.parent, check=True)


def zip_with_links(whole: Path, output: Path) -> None:
    subprocess.run(["zip", "-q", "-1", "-r", "-y", output, whole.name], cwd=whole.parent, check=True)


def make_archive(whole: Path, output: Path) -> None:
    shutil.make_archive(str(output.with_suffix("")), "zip", whole.parent, whole.name)


@pytest.mark.parametrize(
    ("how", "second_library", "linked"),
    [(zip_following_links, "files", False), (zip_with_links, "link", True), (make_archive, "nothing", False)],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_zip(
    how: Callable[[Path, Path], None], second_library: str, linked: bool, whole: Path, expected: str,
    tmp_path: Path, identified: Identified,
) -> None:  # fmt: skip
    how(whole, tmp_path / "whole.zip")
    with zipfile.ZipFile(tmp_path / "whole.zip") as archive:
        below = [info for info in archive.infolist() if "/venv/lib64" in info.filename and not info.is_dir()]
        links = {info.filename for info in archive.infolist() if info.external_attr >> 28 == 0o12}
    found = "nothing" if not below else "link" if links & {below[0].filename} else "files"
    assert (found, bool(links)) == (second_library, linked), "three ways, three trees"
    assert identified("--from-zip", tmp_path / "whole.zip", "--strip-components", "1") == expected


# The capsule itself


def test_a_capsule_built_of_what_was_unpacked(
    place: Path, app: Path, expected: str, tmp_path: Path, identified: Identified
) -> None:
    capsule = place / "again.tar.gz"
    first = capsbuild("--from-dir", app, "--wheels", WHEELS, "--output", capsule, situation=OTHER)
    assert first["id"] == expected
    unpacked = unpack(capsule, tmp_path / "unpacked")
    metadata = json.loads((unpacked / ".capsule_metadata.json").read_text())
    assert (metadata["id"], metadata["requirements"]) == (expected, "verified")
    generated = [path.name for path in unpacked.iterdir() if path.name.startswith(".capsule_")]
    assert len(generated) >= 2
    for name in generated:
        (unpacked / name).unlink()
    assert identified("--from-dir", unpacked) == expected


# Bytecode


def test_bytecode_is_the_same_whoever_made_the_environment(whole: Path, app: Path, place: Path) -> None:
    archive = place / "compiled.tar.gz"
    built = [
        capsbuild(*arguments, "--bytecode", "unchecked-hash", "--output", archive, situation=situation)
        for arguments, situation in [
            (["--from-dir", app, "--wheels", WHEELS], PLAIN),
            (["--from-dir", whole], OTHER_TODAY),
        ]
    ]
    assert built[0]["id"] == built[1]["id"]

    unpacked = unpack(archive, place / "compiled")
    metadata = json.loads((unpacked / ".capsule_metadata.json").read_text())
    assert (metadata["id"], metadata["requirements"]) == (built[0]["id"], "verified")
    host = Host(unpacked)
    commands = [[PLACE / "venv/bin/idna", "--version"], [PLACE / "venv/bin/python", "serve.py"]]
    before = host.run(commands, cwd=PLACE)
    assert [ran.status for ran in before] == [0, 0], before
    for module in ("idna/cli.py", "flask/__init__.py", "numpy/__init__.py"):
        (unpacked / SITE / module).write_text("raise SystemExit('the source was read')\n")
    assert host.run(commands, cwd=PLACE) == before, "nobody looks at the sources"


# That it can fail


def test_one_byte_more_has_another_id(whole: Path, expected: str, tmp_path: Path, identified: Identified) -> None:
    changed = link_tree(whole, tmp_path / "changed")
    site = changed / SITE
    (record,) = site.glob("PySocks-*.dist-info/RECORD")
    data = (site / "socks.py").read_bytes() + b"\n"
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    rows = re.sub(r"(?m)^socks\.py,.*$", f"socks.py,sha256={digest},{len(data)}", record.read_text())
    for path, content in ((site / "socks.py", data), (record, rows.encode())):
        path.unlink()  # it is a link to the other environment's file
        path.write_bytes(content)
    assert identified("--from-dir", changed) != expected
