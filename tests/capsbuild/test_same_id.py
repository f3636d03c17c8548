"""The ID and the bytes depend on the content alone; and what is unpacked is what was put in."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from capsule_builder.building.build import Source, build
from capsule_builder.paths import path_problem
from tests.capsbuild.command import MANIFEST, capsbuild, write

FILES: dict[str, bytes | str] = {
    "capsule.yml": MANIFEST,
    "alan_backend/start.py": b"print('hello')\n",
    "b/script": b"#!/bin/sh\n",
    "b/data": bytes(range(256)) * 5000,
    "b-": b"between b and b/",
    "é": b"",
}


def make(root: Path, order: list[str], mode: int, time: int) -> Path:
    """The same content, made in another order, with other modes and times."""
    for name in order:
        write(root, {name: FILES[name]})
        (root / name).chmod(mode)
        os.utime(root / name, (time, time))
    (root / "link").symlink_to("b/data")
    (root / "empty").mkdir(mode=0o700)
    os.utime(root / "b", (time, time))
    return root


def test_neither_order_nor_modes_nor_times_nor_umask_nor_place_nor_cores_matter(tmp_path: Path) -> None:
    results = set()
    for number, (mode, time, umask) in enumerate([(0o644, 0, 0o022), (0o600, 1 << 31, 0o077), (0o777, 10**9, 0)]):
        order = sorted(FILES)
        random.Random(number).shuffle(order)
        app = make(tmp_path / ("place" * (number + 1)), order, mode, time)
        env = {"TZ": f"UTC{number}", "PYTHONHASHSEED": str(number), "LC_ALL": ["C", "C.UTF-8", "POSIX"][number]}
        output = tmp_path / f"{number}.tar.gz"
        ran = capsbuild(
            "--from-dir", app, "--output", output, "--jobs", str(number + 1), "--json", umask=umask, env=env
        )
        assert ran.status == 0
        results.add((json.loads(ran.out)["id"], output.read_bytes()))
    assert len(results) == 1


def test_a_hard_link_and_a_copy_are_the_same(tmp_path: Path) -> None:
    app = write(tmp_path / "app", {**FILES, "c": b"same", "d": b"same"})
    first = capsbuild("--from-dir", app, "--output", tmp_path / "1", "--json")
    (app / "d").unlink()
    os.link(app / "c", app / "d")
    second = capsbuild("--from-dir", app, "--output", tmp_path / "2", "--json")
    assert json.loads(first.out)["id"] == json.loads(second.out)["id"]


def test_any_change_of_content_changes_the_id(tmp_path: Path) -> None:
    app = write(tmp_path / "app", FILES)
    seen = [json.loads(capsbuild("--from-dir", app, "--output", tmp_path / "x", "--json").out)["id"]]

    def again() -> None:
        seen.append(json.loads(capsbuild("--from-dir", app, "--output", tmp_path / "x", "--json").out)["id"])

    (app / "empty").mkdir()
    again()
    (app / "empty").rename(app / "empty2")
    again()
    (app / "l").symlink_to("b")
    again()
    (app / "l").unlink()
    (app / "l").symlink_to("b/")
    again()
    (app / "b/data").write_bytes(b"x")
    again()
    (app / "b/script").write_bytes(b"!#")
    again()
    write(app, {"capsule.yml": MANIFEST + b"executables: [b/data]\n"})
    again()
    assert len(set(seen)) == len(seen)


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join).filter(lambda path: path_problem(path) is None)
CONTENTS = st.one_of(st.binary(max_size=2000), st.sampled_from([b"#!/bin/sh\n", bytes(512), bytes(70_000)]))


@given(st.dictionaries(PATHS, st.one_of(CONTENTS, st.none()), max_size=12), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_unpacked_it_is_what_was_put_in_and_has_the_same_id(
    described: dict[str, bytes | None], rng: random.Random
) -> None:
    """None is an empty directory. Every tenth entry or so becomes a link to another one."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "tree"
        write(root, {"capsule.yml": MANIFEST, "alan_backend/start.py": "", ".capsuleignore": "!*\n"})
        (root / ".capsuleignore").write_text("!*\n/.capsuleignore\n")
        for path, content in described.items():
            try:
                if content is None:
                    (root / path).mkdir(parents=True)
                else:
                    write(root, {path: content})
            except OSError:  # a file where a directory should be, or the other way round, or a name too long
                continue
            if rng.random() < 0.1:
                (root / f"link to {len(os.listdir(root))}").symlink_to(path)
        first = build(Source(str(root)), output=f"{name}/1")
        unpacked = Path(name) / "unpacked"
        unpacked.mkdir()
        subprocess.run(["tar", "xzf", f"{name}/1", "--exclude=./.capsule_*", "-C", unpacked], check=True)
        proof = ["sha256sum", "--strict", "--quiet", "-c", ".capsule_contents"]
        subprocess.run(proof, cwd=unpacked, check=True, env={"PATH": os.environ["PATH"], "LC_ALL": "C"})
        for generated in (".capsule_contents", ".capsule_index", ".capsule_metadata.json"):
            (unpacked / generated).unlink()
        shutil.copy(root / ".capsuleignore", unpacked)
        second = build(Source(str(unpacked)), output=f"{name}/2", jobs=2)
        assert second.id == first.id
        assert Path(f"{name}/1").read_bytes() == Path(f"{name}/2").read_bytes()
        (unpacked / ".capsuleignore").unlink()
        (root / ".capsuleignore").unlink()
        difference = subprocess.run(
            ["diff", "-r", "--no-dereference", root, unpacked], capture_output=True, check=False
        )
        assert (difference.returncode, difference.stdout) == (0, b"")
