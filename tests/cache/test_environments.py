"""Python environments through the cache: out of wheels, and finished ones."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from capsule_builder.building import writing
from capsule_builder.building.build import PythonOptions
from capsule_builder.cache import whole
from capsule_builder.cache.fragment import CachedFragment
from capsule_builder.cache.store import Store
from capsule_builder.errors import CapsuleError
from capsule_builder.layer import LayerFiles
from capsule_builder.python import wheelhouse
from capsule_builder.python.gather import Wish
from capsule_builder.sources import states
from tests.cache.trees import made
from tests.capsbuild.command import write
from tests.relocate.wheels import wheel

MANIFEST = b'name: alan\nversion: 2.1.0\nentrypoint: start.py\ndependencies:\n  python: "3.11"\n'


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(states, "ALLOWANCE", 20_000_000)
    return write(tmp_path / "app", {"capsule.yml": MANIFEST, "start.py": "print('hello')\n"})


@pytest.fixture
def house(tmp_path: Path) -> Path:
    folder = tmp_path / "house"
    folder.mkdir()
    for name in ("one", "two"):
        files = {f"{name}.py": os.urandom(40_000), f"{name}_tool/run.py": b"#!/usr/bin/env python3\n"}
        wheel(folder, name, "1.0", files)
    return folder


def _same(app: Path, cache: Path, python: PythonOptions | None = None) -> bytes:
    place = app.parent
    plain, expected = made(app, place / "plain.tgz", None, python)
    built, found = made(app, place / "cached.tgz", cache, python)
    assert found == expected
    assert (built.id, built.warnings, built.notes) == (plain.id, plain.warnings, plain.notes)
    return found


@pytest.mark.parametrize("worth", [0, 1 << 40])
def test_layers_of_wheels_are_kept(
    worth: int, app: Path, house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_WORTH_PROCESSES", worth)
    cache, python = tmp_path / "cache", PythonOptions(Wish(wheels=str(house), verify=False))
    written: list[str] = []
    keep_whole = whole.keep_whole

    def noted(key: str, files: LayerFiles, store: Store) -> CachedFragment | None:
        written.append(key)
        return keep_whole(key, files, store)

    monkeypatch.setattr(whole, "keep_whole", noted)
    first = _same(app, cache, python)
    assert len(written) == 2
    assert _same(app, cache, python) == first
    (app / "start.py").write_bytes(b"print('again')\n")
    assert _same(app, cache, python) != first
    assert len(written) == 2
    (file,) = house.glob("two*")
    file.unlink()
    wheel(house, "two", "1.0", {"two.py": b"another"})  # of the same name
    _same(app, cache, python)
    assert len(written) == 3
    (app / "capsule.yml").write_bytes(MANIFEST + b'executables: ["*.py"]\n')
    _same(app, cache, python)
    assert len(written) == 5


def test_a_finished_environment(app: Path, house: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    made(app, tmp_path / "wheels.tgz", None, PythonOptions(Wish(wheels=str(house), verify=False)))
    source = tmp_path / "source"
    source.mkdir()
    subprocess.run(["tar", "xzf", tmp_path / "wheels.tgz", "-C", source, "--exclude=./.capsule_*"], check=True)
    for path in source.glob(".capsule_*"):
        path.unlink()
    time.sleep(0.05)
    first = _same(source, cache)
    assert _same(source, cache) == first
    (source / "start.py").write_bytes(b"print('again')\n")
    _same(source, cache)
    module = source / "venv/lib/python3.11/site-packages/one.py"
    module.write_bytes(module.read_bytes()[::-1])
    from capsule_builder.errors import CapsuleError

    errors = []
    for each in (None, cache, cache):
        with pytest.raises(CapsuleError) as refused:
            made(source, tmp_path / "refused.tgz", each)
        errors.append(str(refused.value))
    assert errors[0] == errors[1] == errors[2]
    assert "not what its RECORD says" in errors[0]
    module.write_bytes(module.read_bytes()[::-1])
    assert _same(source, cache) != first
    time.sleep(0.05)
    _same(source, cache)
    _same(source, cache)


def test_a_venv_beside_the_source(app: Path, house: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    made(app, tmp_path / "wheels.tgz", None, PythonOptions(Wish(wheels=str(house), verify=False)))
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "xzf", tmp_path / "wheels.tgz", "-C", unpacked], check=True)
    python = PythonOptions(Wish(venv=str(unpacked / "venv"), verify=False))
    for _ in range(3):
        _same(app, cache, python)


def test_a_wheel_that_is_replaced_while_it_is_built_does_no_harm(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is opened, and hashed: that must be the same file, or the cache would take one for the other for good."""
    cache, python = tmp_path / "cache", PythonOptions(Wish(wheels=str(tmp_path / "house"), verify=False))
    (tmp_path / "house").mkdir()

    def put(content: bytes) -> None:
        (tmp_path / "new").mkdir(exist_ok=True)
        new = wheel(tmp_path / "new", "one", "1.0", {"one.py": content})
        new.rename(tmp_path / "house" / new.name)

    read_wheel = wheelhouse.read_wheel

    def replaced(*arguments: Any) -> Any:
        put(b"ONE = 2\n")
        return read_wheel(*arguments)

    put(b"ONE = 1\n")
    with monkeypatch.context() as patch:
        patch.setattr(wheelhouse, "read_wheel", replaced)
        with pytest.raises(CapsuleError, match="changed while it was read"):
            made(app, tmp_path / "out.tgz", cache, python)
    second = _same(app, cache, python)
    put(b"ONE = 1\n")
    assert _same(app, cache, python) != second
