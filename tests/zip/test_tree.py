"""A ZIP is the tree that it was made from: the same entries, the same rules, the same refusals."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsule_builder.entries import Deflated, File, Symlink
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import path_problem
from capsule_builder.patterns import Patterns
from capsule_builder.sources import directory
from capsule_builder.sources.tree import Tree
from capsule_builder.sources.ziptree import ZipTree, scan_zip
from tests.capsbuild.command import write
from tests.zip.forge import Entry, forge

FILES: dict[str, bytes | str] = {
    "capsule.yml": "name: alan\n",
    "alan_backend/start.py": "print('hello')\n",
    "alan_backend/__pycache__/start.pyc": "left out",
    "b/script": "#!/bin/sh\n",
    "b/data": bytes(range(256)) * 5000,
    "b-": "between b and b/",
    "é/ü": "",
    "secret": "left out",
    "logs/today": "left out",
    "logs/kept": "",
    ".capsuleignore": "secret\n/logs/*\n!/logs/kept\n",
    "b/.capsuleignore": "nothing\n",
}


def tree_of(root: Path) -> Path:
    write(root, FILES)
    (root / "b/script").chmod(0o755)
    (root / "b-").chmod(0o755)
    (root / "empty/below").mkdir(parents=True)
    (root / "hollow/__pycache__").mkdir(parents=True)
    (root / "link").symlink_to("b/data")
    (root / "b/up").symlink_to("../alan_backend")
    return root


Flat = list[tuple[str, ...]]


def flat(tree: Tree, **options: Callable[[str], bool]) -> tuple[Flat, list[Problem]]:
    """The entries in the order in which they come, with digests; and the warnings."""
    warnings: list[Problem] = []
    out: Flat = []
    for entry in tree.entries(b"manifest", Patterns([]), warnings, **options):
        if isinstance(entry, File):
            digest = hashlib.sha256(b"".join(entry.content.chunks())).hexdigest()
            out.append((entry.path, "executable" if entry.executable else "file", digest))
        else:
            out.append((entry.path, "link", entry.target) if isinstance(entry, Symlink) else (entry.path, "empty"))
    return out, warnings


def facts(tree: Tree) -> tuple[object, ...]:
    return sorted(tree.files), tree.links, sorted(tree.empty), tree.size, tree.manifest_there, tree.has_venv


def run(*command: str | Path, cwd: Path) -> None:
    subprocess.run(command, cwd=cwd, check=True)


def windows(source: Path, target: Path, system: int = 0, separator: str = "\\") -> None:
    """As Compress-Archive writes it: made on FAT, no modes, backslashes; links are followed."""
    entries = []
    for folder, _, files in os.walk(source, followlinks=True):
        here = Path(folder).relative_to(source)
        names = [str(here / name) for name in files]
        entries += [Entry(name.replace("/", separator).encode(), (source / name).read_bytes(), system=system, mode=0,
                          flags=1 << 11) for name in names]  # fmt: skip
        if not os.listdir(folder):
            entries.append(Entry(str(here).replace("/", separator).encode() + separator.encode(), b"", 0, system=system,
                                 mode=0))  # fmt: skip
    target.write_bytes(forge(*entries))


WITH_LINKS = {
    "zip -y": lambda source, target: run("zip", "-qry", target, ".", cwd=source),
    "bsdtar": lambda source, target: run("bsdtar", "--format", "zip", "-cf", target, ".", cwd=source),
}
FOLLOWED = {
    "zip": lambda source, target: run("zip", "-qr", target, ".", cwd=source),
    "zip -0": lambda source, target: run("zip", "-qr0", target, ".", cwd=source),
    "Compress-Archive": windows,
    "Explorer": lambda source, target: windows(source, target, system=11, separator="/"),
}
UNFOLLOWED_DIRECTORIES = {
    "make_archive": lambda source, target: shutil.make_archive(str(target.with_suffix("")), "zip", source),
}


@pytest.mark.parametrize("program", [*WITH_LINKS, *FOLLOWED, *UNFOLLOWED_DIRECTORIES])
def test_a_zip_is_the_directory_that_it_was_made_from(program: str, tmp_path: Path) -> None:
    source = tree_of(tmp_path / "source")
    if program not in WITH_LINKS:  # make_archive leaves out links to directories, the others copy what they lead to
        (source / "link").unlink()
        (source / "b/up").unlink()
    make = {**WITH_LINKS, **FOLLOWED, **UNFOLLOWED_DIRECTORIES}[program]
    make(source, tmp_path / "x.zip")
    before = (tmp_path / "x.zip").stat()
    expected, problems = directory.scan(str(source))
    tree, found = scan_zip(str(tmp_path / "x.zip"))
    with tree:
        assert (facts(tree), found) == (facts(expected), problems)
        entries, warnings = flat(tree)
        assert entries == flat(expected)[0]
        assert warnings == (flat(expected)[1] if "W" not in program and program in {*WITH_LINKS, "zip", "zip -0",
                            "make_archive"} else [])  # fmt: skip
    after = (tmp_path / "x.zip").stat()
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)
    assert {path for path, *_ in entries} >= {"empty/below", "logs/kept", "é/ü"}
    assert not {"secret", "logs/today", "hollow", "b/.capsuleignore"} & {path for path, *_ in entries}


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
PATHS = st.lists(st.one_of(NAMES, st.sampled_from(["a", "b", ".git", "venv", "x.pyc"])), min_size=1, max_size=4)
PATTERNS = st.lists(
    st.sampled_from(["a", "/b", "a/b", "*", "!a", "!.git", "venv", "/venv/*", "b/", "**/a"]), max_size=3
)


@given(
    st.dictionaries(PATHS.map("/".join), st.one_of(st.binary(max_size=50), st.none()), max_size=10),
    st.dictionaries(st.sampled_from(["", "a/", "a/b/", "venv/", "venv/a/"]), PATTERNS, max_size=3),
    st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_any_tree_and_its_zip_are_the_same(
    described: dict[str, bytes | None], rules: dict[str, list[str]], venv: bool
) -> None:
    """None is an empty directory. Names that no capsule can hold are refused by both, or left out by both."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "tree"
        root.mkdir()
        if venv:
            write(root, {"venv/pyvenv.cfg": ""})
        texts = {f"{base}.capsuleignore": "\n".join(lines).encode() for base, lines in rules.items()}
        for path, content in {**texts, **described}.items():
            if "\\" in path or path.split("/")[0].endswith(":") or {".", ".."} & set(path.split("/")):
                continue
            try:
                (root / path).mkdir(parents=True) if content is None else write(root, {path: content})
            except OSError:  # a file where a directory should be, or the other way round
                continue
        run("bsdtar", "--format", "zip", "-cf", f"{name}/x.zip", ".", cwd=root)
        expected, problems = directory.scan(str(root))
        tree, found = scan_zip(f"{name}/x.zip")
        with tree:
            assert (facts(tree), found) == (facts(expected), problems)
            everything = [str(path.relative_to(root)) + "/" * path.is_dir() for path in root.rglob("*")]
            assert [tree.ignored(path) for path in everything] == [expected.ignored(path) for path in everything]
            if not any(path_problem(path) for path in tree.files):
                assert flat(tree)[0] == flat(expected)[0]


# Refusals that both have


def refused(root: Path, tmp_path: Path, make: str = "zip -y") -> list[str]:
    """The messages of what is refused, which are the same for the directory and its ZIP."""
    WITH_LINKS[make](root, tmp_path / "x.zip")
    tree, found = scan_zip(str(tmp_path / "x.zip"))
    tree.close()
    assert [str(problem) for problem in found] == [str(problem) for problem in directory.scan(str(root))[1]]
    return [problem.message for problem in found]


def test_names_links_and_ignore_files_are_judged_as_in_a_directory(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"a\nb/c": "", "-": "", ".capsule_x": "", "u/.capsuleignore": b"\0", "x": ""})
    for link, target in {"l": "/etc/passwd", "m": "nothing", "n": "../x", "d/.capsuleignore": "../x", "o": "x"}.items():
        (root / link).parent.mkdir(exist_ok=True)
        (root / link).symlink_to(target)
    (root / "e/.capsuleignore/f").mkdir(parents=True)
    assert refused(root, tmp_path, "bsdtar") == [  # zip takes - for standard input
        "Link leaves the tree: l -> /etc/passwd",
        "Link leaves the tree: n -> ../x",
        "Link points to nothing in the capsule: m -> nothing",
        "Name cannot be checked by sha256sum: -",
        r"Name holds a control character (U+000A): a\nb",
        "Name is reserved for the capsule's own files: .capsule_x",
        "Not a regular file, but a directory: e/.capsuleignore",
        "Not a regular file, but a link: d/.capsuleignore",
        "Not a text file in UTF-8: u/.capsuleignore",
    ]


def test_damage_is_found_when_the_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(forge(Entry(), Entry(b"b", both={"crc": 1}), Entry(b"c")))
    tree, problems = scan_zip(str(tmp_path / "x.zip"))
    assert not problems
    with tree, pytest.raises(CapsuleError) as found:
        flat(tree)
    assert [problem.code for problem in found.value.problems] == ["zip-crc"]


# Virtual environments

VENV_FILES: dict[str, bytes | str] = {
    "venv/pyvenv.cfg": "home = /usr/bin\n",
    "venv/lib/a/__pycache__/a.pyc": "",
    "venv/lib/.git/x": "",
    "venv/lib/a\nb": "",
    "venv/lib/.capsuleignore": "*\n",
    "venv/secret": "",
    "other/venv/x.pyc": "",
    "other/venv/pyvenv.cfg": "",
}


def venv_of(root: Path, rules: str) -> Path:
    write(root, {**VENV_FILES, ".capsuleignore": rules})
    (root / "venv/empty").mkdir()
    (root / "venv/bin").mkdir()
    (root / "venv/bin/python").symlink_to("/usr/bin/python3")
    (root / "venv/gone").symlink_to("nowhere")
    (root / "python").symlink_to("venv/bin/python")
    return root


@pytest.mark.parametrize("rules", ["secret\n*.pyc\n/venv/*\nvenv/lib/\n", ""])
def test_below_a_virtual_environment_no_rule_applies_and_nothing_is_judged(tmp_path: Path, rules: str) -> None:
    root = venv_of(tmp_path / "root", rules)
    assert refused(root, tmp_path) == []
    tree, _ = scan_zip(str(tmp_path / "x.zip"))
    with tree:
        assert sorted(tree.files) == sorted({*VENV_FILES} - {"other/venv/x.pyc"})
        assert tree.links == {
            "venv/bin/python": "/usr/bin/python3", "venv/gone": "nowhere", "python": "venv/bin/python"
        }  # fmt: skip
        assert (tree.empty, tree.has_venv) == (["venv/empty"], True)
        for kept in (tree, directory.scan(str(root))[0]):
            assert not kept.ignored("venv/lib/x.pyc") and kept.ignored("other/x.pyc")


@pytest.mark.parametrize("rules", ["venv\n", "/venv/\n", "v*\n"])
def test_a_virtual_environment_can_be_left_out_as_a_whole(tmp_path: Path, rules: str) -> None:
    root = venv_of(tmp_path / "root", rules)
    (root / "python").unlink()
    assert refused(root, tmp_path) == []
    tree, _ = scan_zip(str(tmp_path / "x.zip"))
    with tree:
        assert not tree.has_venv and not any(path.startswith("venv/") for path in tree.paths())


def test_without_pyvenv_cfg_it_is_a_directory_like_any_other(tmp_path: Path) -> None:
    root = venv_of(tmp_path / "root", "")
    (root / "venv/pyvenv.cfg").unlink()
    (root / "venv/pyvenv.cfg").symlink_to("secret")
    assert refused(root, tmp_path) == [
        "Link leaves the tree: venv/bin/python -> /usr/bin/python3",
        "Link points to nothing in the capsule: venv/gone -> nowhere",
    ]


# Reading on one's own


def test_files_can_be_opened_in_any_order_and_left_out_of_the_entries(tmp_path: Path) -> None:
    root = tree_of(tmp_path / "root")
    WITH_LINKS["zip -y"](root, tmp_path / "x.zip")
    tree, _ = scan_zip(str(tmp_path / "x.zip"))
    with tree:
        for source in (tree, directory.scan(str(root))[0]):
            for path in sorted(source.files, reverse=True):
                with source.opened(path) as content:
                    assert content.program == (path == "b/script")
                    assert content.executable_bit == bool((root / path).stat().st_mode & stat.S_IXUSR)
                    assert b"".join(content.chunks()) == (root / path).read_bytes()
            left = [path for path, *_ in flat(source, leave_out=lambda path: path.startswith("b/"))[0]]
            assert left == ["alan_backend/start.py", "b-", "capsule.yml", "empty/below", "link", "logs/kept", "é/ü"]
        with tree.opened("b/data") as content:
            assert isinstance(content, Deflated)


# --strip-components, and the manifest


def scanned(tmp_path: Path, count: int, *entries: Entry) -> tuple[ZipTree, list[Problem]]:
    (tmp_path / "x.zip").write_bytes(forge(*entries))
    return scan_zip(str(tmp_path / "x.zip"), count)


def test_leading_parts_are_taken_off_as_tar_does_it(tmp_path: Path) -> None:
    names = [b"top/", b"top/capsule.yml", b"top/b/c/d", b"top/e/", b"f", b"g/h/i", b"top/.capsuleignore"]
    entries = [Entry(name, b"", 0, mode=0) for name in names]
    for count, files, empty in (
        (0, ["f", "g/h/i", "top/b/c/d", "top/capsule.yml"], ["top/e"]),
        (1, ["b/c/d", "h/i"], ["e"]),
        (2, ["c/d", "i"], []),
        (3, ["d"], []),
    ):
        tree, problems = scanned(tmp_path, count, *entries)
        with tree:
            assert (sorted(tree.files), tree.empty, problems) == (files, empty, [])
            assert tree.manifest_there == (count == 1)
    with pytest.raises(CapsuleError) as nothing:
        scanned(tmp_path, 4, *entries)
    assert nothing.value.problems[0].code == "strip-nothing"


def test_what_falls_on_one_place_is_refused(tmp_path: Path) -> None:
    tree, problems = scanned(tmp_path, 1, Entry(b"a/x"), Entry(b"b/x"), Entry(b"a/y"), Entry(b"b/y/z"), Entry(b"a/d/e"))
    tree.close()
    assert [(p.code, p.message) for p in problems] == [
        ("strip-conflict", "Two entries for x: a/x and b/x"),
        ("strip-conflict", "Two entries for y: a/y and b/y/z"),
    ]


def test_the_manifest_is_read_from_the_zip_or_found_one_directory_below(tmp_path: Path) -> None:
    tree, _ = scanned(tmp_path, 0, Entry(b"capsule.yml", b"name: a\n"), Entry(b"d/x"))
    with tree:
        assert (tree.manifest(), tree.only_top) == (b"name: a\n", None)
    tree, _ = scanned(tmp_path, 0, Entry(b"top/capsule.yml"), Entry(b"top/x"))
    with tree, pytest.raises(CapsuleError) as missing:
        tree.manifest()
    assert tree.only_top == "top"
    assert str(missing.value) == (
        f"Manifest not found: capsule.yml in {tmp_path}/x.zip\n"
        "  Everything lies below top/: build with --strip-components 1."
    )
    tree, _ = scanned(tmp_path, 0, Entry(b"a/x"), Entry(b"b/x"))
    tree.close()
    assert tree.only_top is None


def test_a_manifest_that_is_a_link_is_refused_and_one_that_is_too_long_is_cut(tmp_path: Path) -> None:
    tree, _ = scanned(tmp_path, 0, Entry(b"capsule.yml", b"x", 0, mode=0o120777))
    with tree, pytest.raises(CapsuleError) as link:
        tree.manifest()
    assert link.value.problems[0].code == "file-special"
    tree, _ = scanned(tmp_path, 0, Entry(b"capsule.yml", os.urandom(9 << 20), 0))
    with tree:
        assert 2 << 20 < len(tree.manifest()) <= 4 << 20
