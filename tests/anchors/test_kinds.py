"""Each kind of anchor is found where it stands, and its harmless relations are not."""

from __future__ import annotations

import os
import py_compile
import subprocess
from pathlib import Path

import pytest

from capsule_builder.anchors.search import Tree
from tests.relocate.elf import library

VENV = {"pyvenv.cfg": b"include-system-site-packages = false\n"}
SITE = "lib/python3.11/site-packages"
Content = bytes | str
"""A file's bytes, or a link's target."""


def plant(root: Path, files: dict[str, Content]) -> Path:
    for path, content in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            place.symlink_to(content)
        else:
            place.write_bytes(content)
    return root


def found(root: Path) -> list[tuple[str, str, str]]:
    """Kind, place and excerpt of every anchor; each stands where it says."""
    tree = Tree(str(root))
    anchors = list(tree.anchors())
    assert not tree.problems
    for anchor in anchors:
        assert anchor.remedy
        if anchor.kind != "symlink":
            start = anchor.excerpt.rstrip("…").replace("\\\\", "\\").encode()
            assert (root / anchor.path).read_bytes()[anchor.offset :].startswith(start)
    return [(anchor.kind, f"{anchor.path}:{anchor.offset}", anchor.excerpt) for anchor in anchors]


LONG = b"/srv/" + b"deep/" * 40 + b"venv"
FIXTURES: dict[str, tuple[dict[str, Content], list[tuple[str, str, str]]]] = {
    "shebang": (
        {
            **VENV,
            "bin/a": b"#!/srv/app/venv/bin/python3.11 -E\nprint()\n",
            "bin/b": b'#! "/srv/a b/bin/python"\n',
            "bin/c": b"#!/usr/bin/python3\n",
            "bin/d": b"#!/usr/bin/env python3\n",
            "bin/e": b"#!/bin/sh\n",
            "share/f": b"#!/usr/bin/python3\n",
            "share/g": b"#!/home/me/bin/ruby",
            "share/h": b"#!python\n",
            "share/i": b"text #!/srv/x/bin/python\n",
        },
        [
            ("shebang", "bin/a:2", "/srv/app/venv/bin/python3.11 -E"),
            ("shebang", "bin/b:4", '/srv/a b/bin/python"'),
            ("shebang", "bin/c:2", "/usr/bin/python3"),
            ("shebang", "share/g:2", "/home/me/bin/ruby"),
        ],
    ),
    "trampoline": (
        {
            **VENV,
            "bin/a": b"#!/bin/sh\n'''exec' " + LONG + b"/bin/python \"$0\" \"$@\"\n' '''\nprint()\n",
            "bin/b": b"#!/bin/sh\n# coding: latin-1\n'''exec' '/srv/a b/bin/python' \"$0\" \"$@\"\n' '''\n",
            "bin/c": b"#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''\n",
        },
        [
            ("trampoline", "bin/a:19", (LONG + b"/bin/python").decode()[:120] + "…"),
            ("trampoline", "bin/b:38", '/srv/a b/bin/python\' "$0" "$@"'),
        ],
    ),
    "pyvenv-key": (
        {
            "venv/pyvenv.cfg": b"home = /usr/bin\nversion = 3.11.2\nexecutable=/usr/bin/python3.11\n"
            b"command = /usr/bin/python -m venv /srv/app/venv\nBase-Prefix = /usr\nprompt = a\n",
            "other.cfg": b"home = /usr/bin\n",
        },
        [
            ("pyvenv-key", "venv/pyvenv.cfg:7", "/usr/bin"),
            ("pyvenv-key", "venv/pyvenv.cfg:44", "/usr/bin/python3.11"),
            ("pyvenv-key", "venv/pyvenv.cfg:74", "/usr/bin/python -m venv /srv/app/venv"),
            ("pyvenv-key", "venv/pyvenv.cfg:126", "/usr"),
        ],
    ),
    "activate": (
        {
            **{f"e/{path}": data for path, data in VENV.items()},
            "e/bin/activate": b'# at /srv/app/e\nVIRTUAL_ENV="/srv/app/e"\n',
            "e/bin/activate.fish": b"set -gx VIRTUAL_ENV '/srv/app/e'\n",
            "e/bin/activate.nu": b"VIRTUAL_ENV=$(dirname x)\n",
            "bin/activate": b"VIRTUAL_ENV=/srv/other/e\n",
        },
        [
            ("activate", "e/bin/activate:5", "/srv/app/e"),
            ("activate", "e/bin/activate:29", "/srv/app/e"),
            ("activate", "e/bin/activate.fish:21", "/srv/app/e"),
        ],
    ),
    "direct-url": (
        {
            f"{SITE}/a-1.dist-info/direct_url.json": b'{"dir_info": {}, "url": "file:///home/me/a"}',
            f"{SITE}/b-1.dist-info/direct_url.json": b'{"url": "https://example.org/b.whl", "archive_info": {}}',
        },
        [("direct-url", f"{SITE}/a-1.dist-info/direct_url.json:25", "file:///home/me/a")],
    ),
    "uv-cache": (
        {f"{SITE}/a-1.dist-info/uv_cache.json": b'{"timestamp": 1}', f"{SITE}/a/uv_cache.json": b"{}"},
        [("uv-cache", f"{SITE}/a-1.dist-info/uv_cache.json:0", '{"timestamp": 1}')],
    ),
    "pth": (
        {
            f"{SITE}/a.pth": b"# me\n\nns\n/home/me/src\nimport x; x.y('/home/me')\n../../../../out\n",
            "share/b.pth": b"/home/me/model\n",
        },
        [("pth", f"{SITE}/a.pth:9", "/home/me/src"), ("pth", f"{SITE}/a.pth:48", "../../../../out")],
    ),
    "egg-link": ({f"{SITE}/a.egg-link": b"/home/me/a\n."}, [("egg-link", f"{SITE}/a.egg-link:0", "/home/me/a")]),
    "editable-finder": (
        {
            f"{SITE}/__editable___a_1_finder.py": b"MAPPING: dict[str, str] = {'a': '/home/me/a', 'b': \"/home/me/b\"}",
            f"{SITE}/__editable__.a-1.pth": b"import __editable___a_1_finder; __editable___a_1_finder.install()\n",
        },
        [
            ("editable-finder", f"{SITE}/__editable___a_1_finder.py:33", "/home/me/a"),
            ("editable-finder", f"{SITE}/__editable___a_1_finder.py:52", "/home/me/b"),
        ],
    ),
    "symlink": (
        {
            "a": "/etc/passwd",
            "b/c": "../../x",
            "b/d": "../a",
            "bin/python3.11": "/opt/tori/python/3.11/bin/python3.11",
            "bin/python3.12": "/opt/tori/python/3.11/bin/python3.12",
        },
        [
            ("symlink", "a:0", "/etc/passwd"),
            ("symlink", "b/c:0", "../../x"),
            ("symlink", "bin/python3.12:0", "/opt/tori/python/3.11/bin/python3.12"),
        ],
    ),
    "rpath": (
        {
            "a.so": library(rpath="/opt/x/lib:$ORIGIN"),
            "b.so": library(runpath="/opt/y/lib"),
            "c.so": library(runpath="$ORIGIN/../c.libs"),
            "lib/c.so": library(runpath="$ORIGIN/../c.libs"),
            "d.so": b"\x7fELF, no more",
        },
        [
            ("rpath", f"a.so:{64 + 112 + 48 + 1}", "/opt/x/lib:$ORIGIN"),
            ("rpath", f"b.so:{64 + 112 + 48 + 1}", "/opt/y/lib"),
            ("rpath", f"c.so:{64 + 112 + 48 + 1}", "$ORIGIN/../c.libs"),
        ],
    ),
    "sysconfig": (
        {
            "lib/python3.11/_sysconfigdata__linux_x86_64-linux-gnu.py": b"build_time_vars = {'CC': 'gcc',\n"
            b" 'exec_prefix': '/root/python',\n 'prefix': '/root/python'}\n",
            "lib/python3.11/config-3.11/Makefile": b"all:\nprefix=\t/root/python\n",
            "lib/pkgconfig/python3.pc": b"prefix=/root/python\nlibdir=${prefix}/lib\n",
            "lib/pkgconfig/other.pc": b"prefix=/root/python\n",
            "lib/python3.12/_sysconfigdata_x.py": b"build_time_vars = {'prefix': '/install'}\n",
            "lib/python3.14/build-details.json": b'{"base_prefix": "/root/python"}',
        },
        [
            ("sysconfig", "lib/pkgconfig/python3.pc:7", "/root/python"),
            ("sysconfig", "lib/python3.11/_sysconfigdata__linux_x86_64-linux-gnu.py:49", "/root/python"),
            ("sysconfig", "lib/python3.11/_sysconfigdata__linux_x86_64-linux-gnu.py:76", "/root/python"),
            ("sysconfig", "lib/python3.11/config-3.11/Makefile:13", "/root/python"),
            ("sysconfig", "lib/python3.14/build-details.json:17", "/root/python"),
        ],
    ),
    "places by an environment's own account": (
        {
            **VENV,
            "bin/activate": b"VIRTUAL_ENV=/srv/app/e\n",
            "share/kernel.json": b'["\\/srv\\/app\\/e\\/bin\\/python", "/srv/app/e2", "/data/srv/app/e"]',
            "share/data.bin": bytes(3 << 20) + b"/srv/app/e\0",
        },
        [
            ("activate", "bin/activate:12", "/srv/app/e"),
            ("binary-prefix", "share/data.bin:3145728", "/srv/app/e"),
            ("text-prefix", "share/kernel.json:2", r"\\/srv\\/app\\/e"),
        ],
    ),
    "nothing": ({"a.py": b"x = '/usr/lib'\n", "b": b"", "c/d.json": b"{}"}, []),
}


@pytest.mark.parametrize("kind", FIXTURES)
def test_each_kind_is_found_where_it_stands(kind: str, tmp_path: Path) -> None:
    files, expected = FIXTURES[kind]
    assert found(plant(tmp_path / "t", files)) == expected


def test_the_place_of_the_tree_itself_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to("real")
    real, alias = str(tmp_path / "real"), str(tmp_path / "alias")
    plant(tmp_path / "real", {"a.txt": f"see {alias}/x and {real}/x and {real}2".encode()})
    offset = len(f"see {alias}/x and ")
    assert found(Path(alias)) == [("text-prefix", "a.txt:4", alias), ("text-prefix", f"a.txt:{offset}", real)]
    assert found(Path(real)) == [("text-prefix", f"a.txt:{offset}", real)]


def test_bytecode_is_told_by_the_name_that_it_holds(tmp_path: Path) -> None:
    source = (
        plant(tmp_path / "t", {"pkg/mod.py": b"def f():\n    return '/etc/other/module.py'[1:]\n"}) / "pkg" / "mod.py"
    )
    absolute = "/srv/build/pkg/mod.py"
    long = f"/srv/{'deep/' * 60}pkg/mod.py"
    cache = tmp_path / "t" / "pkg" / "__pycache__"
    py_compile.compile(str(source), str(cache / "mod.cpython-311.pyc"), dfile=absolute)
    py_compile.compile(str(source), str(cache / "mod.cpython-311.opt-1.pyc"), dfile=long)
    py_compile.compile(str(source), str(cache / "mod.cpython-310.pyc"), dfile="pkg/mod.py")
    actual = found(tmp_path / "t")
    assert [(kind, place.partition(":")[0].rpartition("/")[2], text) for kind, place, text in actual] == [
        ("pyc", "mod.cpython-311.opt-1.pyc", f"{long[:120]}…"),
        ("pyc", "mod.cpython-311.pyc", absolute),
    ]


def test_a_deep_tree_is_gone_through(tmp_path: Path) -> None:
    depth = 1_100  # more than Python's limit of recursion
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        here, above = os.open("d", os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.symlink("/etc/passwd", "link", dir_fd=here)
    os.close(here)
    try:
        assert found(tmp_path) == [("symlink", f"{'d/' * depth}link:0", "/etc/passwd")]
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


def test_what_cannot_be_read_does_not_hide_the_rest(tmp_path: Path) -> None:
    plant(tmp_path, {"a": "/etc/passwd", "b.py": b"", "c": "/etc/group"})
    tree = Tree(str(tmp_path))
    anchors = tree.anchors()
    assert next(anchors).path == "a"
    (tmp_path / "b.py").unlink()
    assert [anchor.path for anchor in anchors] == ["c"]
    assert [problem.code for problem in tree.problems] == ["file-vanished"]
