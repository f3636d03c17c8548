"""What of an interpreter goes into a capsule, what is refused, and that it runs where nobody built it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from capsule_builder.elf import read_linkage
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.python.interpreter import Plan, bundle
from tests.determinism import pythons


def refused(files: Mapping[str, bytes], links: Mapping[str, str] | None = None, python: str = "3.11") -> list[Problem]:
    with pytest.raises(CapsuleError) as caught:
        bundle(files, links or {}, files.__getitem__, python)
    return list(caught.value.problems)


def lay_out(place: Path, plan: Plan, files: Mapping[str, bytes]) -> None:
    """Writes a plan to a disk, with the modes that a capsule would give."""
    for path, data in plan.files.items():
        data = files[path] if data is None else data
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(data)
        (place / path).chmod(0o755 if path.startswith("bin/") else 0o644)
    for path, target in plan.links.items():
        (place / path).symlink_to(target)


def compile_c(place: Path, text: str, *options: str) -> bytes:
    (place / "a.c").write_text(text)
    subprocess.run(["gcc", "-o", "out", "a.c", *options], cwd=place, check=True)
    return (place / "out").read_bytes()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compile_c(tmp_path_factory.mktemp("program"), "int main(void) { return 0; }\n")


def small(program: bytes) -> dict[str, bytes]:
    return {"bin/python3.11": program, "lib/python3.11/os.py": b""}


# Real ones


def from_disk(python: str) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files and links of an installed Python that belong to it alone (/usr holds more than Python)."""
    program = "import json, sys; print(json.dumps([sys.base_prefix, sys.executable]))"
    done = subprocess.run([pythons.found()[python], "-I", "-c", program], check=True, capture_output=True, text=True)
    root = Path(json.loads(done.stdout)[0])
    files, links = {}, {}
    names = [f"bin/python{python}", "bin/python3", *(f"lib/libpython{python}.so{end}" for end in ("", ".1.0"))]
    found = [root / name for name in names if (root / name).exists()]
    for directory, below, inside in os.walk(root / f"lib/python{python}"):
        below[:] = [name for name in below if name not in {"test", "site-packages", "__pycache__"}]
        found += [Path(directory, name) for name in inside]
    for path in found:
        name = str(path.relative_to(root))
        if path.is_symlink():
            links[name] = str(path.readlink())
        else:
            files[name] = path.read_bytes()
    return files, links


def mend(files: dict[str, bytes], links: dict[str, str]) -> None:
    """Does what the messages say: files for links that leave, RUNPATHs by $ORIGIN (as chrpath writes them)."""
    for path, target in list(links.items()):
        if target.startswith("/"):
            files[path] = Path(target).read_bytes()
            del links[path]
    for path, data in files.items():
        linkage = read_linkage(lambda size, offset, data=data: data[offset : offset + size])
        if linkage and linkage.runpath:
            old = linkage.runpath.encode() + b"\0"
            up = "../" * (path.count("/") - 1) if path.startswith("lib/") else "../lib/"
            new = f"$ORIGIN/{up}".encode().ljust(len(old), b"\0")
            assert len(new) == len(old)
            files[path] = data.replace(old, new, 1)


@pytest.mark.parametrize("python", pythons.found())
def test_a_real_one_runs_anywhere(python: str, tmp_path: Path) -> None:
    files, links = from_disk(python)
    leaving = {path for path, target in links.items() if target.startswith("/")}
    linkage = {
        path: read_linkage(lambda size, offset, data=data: data[offset : offset + size])
        for path, data in files.items()
    }  # fmt: skip
    pinned = {path for path, found in linkage.items() if found and (found.runpath or found.rpath)}
    assert leaving | pinned, "as installed here, each is tied to its place"
    expected = {"link-escape"} & ({"link-escape"} if leaving else set())
    expected |= {"interpreter-rpath", "interpreter-libpython"} if pinned else set()
    assert {problem.code for problem in refused(files, links, python)} == expected

    mend(files, links)
    plan = bundle(files, links, files.__getitem__, python)
    place = tmp_path / "a place with spaces"
    lay_out(place, plan, files)
    program = (
        "import sys, os, json, ssl, sqlite3, ctypes, zoneinfo, decimal, hashlib, sysconfig, asyncio\n"
        "sysconfig.get_config_vars()\n"
        "print(json.dumps([sys.prefix, sys.base_prefix, sys.version_info[:2], [m.__file__ for m in"
        " list(sys.modules.values()) if getattr(m, '__file__', None)], open('/proc/self/maps').read()]))"
    )
    (tmp_path / "elsewhere").mkdir()
    for name in ("python", "python3", f"python{python}"):
        done = subprocess.run(
            [place / "bin" / name, "-I", "-c", program],
            env={},
            cwd=tmp_path / "elsewhere",
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        prefix, base_prefix, version, modules, maps = json.loads(done.stdout)
        assert (prefix, base_prefix) == (str(place), str(place))
        assert ".".join(map(str, version)) == python
        assert [module for module in modules if not module.startswith(str(place))] == []
        loaded = {line.split(maxsplit=5)[5] for line in maps.splitlines() if "libpython" in line}
        assert loaded == ({f"{place}/lib/libpython{python}.so.1.0"} if pinned else set())
    assert plan.machine == {"x86_64": "x86_64", "aarch64": "aarch64"}[os.uname().machine]
    assert plan.glibc and (2, 2) < plan.glibc <= tuple(
        map(int, os.confstr("CS_GNU_LIBC_VERSION").split()[1].split("."))
    )


@pytest.mark.parametrize("python", pythons.found())
def test_copies_in_place_of_links_give_the_same(python: str) -> None:
    files, links = from_disk(python)
    mend(files, links)
    plan = bundle(files, links, files.__getitem__, python)
    copied = dict(files)
    for path in ("bin/python", "bin/python3"):
        copied[path] = files[f"bin/python{python}"]
    library = f"lib/libpython{python}.so"
    if library in links:
        copied[library] = files[f"{library}.1.0"]
    links = {path: target for path, target in links.items() if path not in copied}
    assert bundle(copied, links, copied.__getitem__, python) == plan


# What is taken


def paths(text: str) -> list[str]:
    return text.split()


def test_what_is_of_no_use_is_dropped(program: bytes) -> None:
    dropped = paths("""
        bin/pip3 bin/idle3 bin/2to3 bin/python3.11-config bin/python3.11-gdb.py
        lib/python3.11/__pycache__/os.cpython-311.pyc lib/python3.11/old.pyc
        lib/python3.11/config-3.11-x86_64-linux-gnu/Makefile lib/python3.11/test/test_os.py
        lib/python3.11/unittest/test/test_case.py lib/python3.11/lib2to3/tests/data/bom.py
        lib/python3.11/idlelib/idle_test/htest.py lib/python3.11/ensurepip/_bundled/pip-1-py3-none-any.whl
        lib/python3.11/site-packages/pip/__init__.py lib/python3.11/dist-packages/apt/__init__.py
        lib/libpython3.11.a lib/pkgconfig/python3.pc include/python3.11/Python.h share/man/man1/python3.1
    """)
    kept = paths("""
        lib/python3.11/idlelib/config.py lib/python3.11/tkinter/__init__.py lib/python3.11/ensurepip/__init__.py
        lib/python3.11/unittest/case.py lib/python3.11/test.py lib/python3.11/encodings/ascii.py
        lib/libpython3.11.so.1.0 lib/tcl8.6/init.tcl share/terminfo/x/xterm lib/python3.11/config.py etc/ssl/cert.pem
    """)
    files = {**small(program), **dict.fromkeys(dropped + kept, b"x")}
    plan = bundle(files, {}, files.__getitem__, "3.11")
    assert plan.files == dict.fromkeys([*small(program), *kept])
    assert plan.links == {"bin/python": "python3.11", "bin/python3": "python3.11"}
    assert plan.warnings == ()


def test_links_go_with_what_they_lead_to(program: bytes) -> None:
    files = {
        **small(program),
        "lib/a.so.1": b"a",
        "bin/pip3.11": b"#!",
        "lib/python3.11/test/a.py": b"",
        "share/d/x": b"",
    }
    links = {
        "bin/python": "python3", "bin/python3": "python3.11", "bin/pip": "pip3.11", "lib/a.so": "a.so.1",
        "lib/alias": "python3.11/test", "lib/python3.11/alias.py": "test/a.py", "share/e": "d", "lib/pip": "../bin/pip",
    }  # fmt: skip
    assert bundle(files, links, files.__getitem__, "3.11").links == {
        "bin/python": "python3.11", "bin/python3": "python3.11", "lib/a.so": "a.so.1", "share/e": "d",
    }  # fmt: skip


def sysconfigdata(prefix: str) -> bytes:
    zones = "/usr/share/zoneinfo:/usr/lib/zoneinfo"
    return (
        "# system configuration generated and used by the sysconfig module\n"
        f"build_time_vars = {{'BINDIR': '{prefix}/bin', 'CFLAGS': '-I{prefix}/include -I{prefix}-not/include',\n"
        f" 'TZPATH': '{zones}',\n 'prefix': '{prefix}'}}\n"
    ).encode()


@pytest.mark.parametrize("prefix", ["/home/u/.local/share/uv/python/cpython-3.11.7-linux-x86_64-gnu", "/opt/py (1)+"])
def test_the_hosts_prefix_becomes_that_of_the_build(program: bytes, prefix: str) -> None:
    name = "lib/python3.11/_sysconfigdata__linux_x86_64-linux-gnu.py"
    details = "lib/python3.11/build-details.json"
    files = {**small(program), name: sysconfigdata(prefix), details: f'{{"base_prefix": "{prefix}"}}'.encode()}
    plan = bundle(files, {}, files.__getitem__, "3.11")
    assert plan.files[name] == sysconfigdata("/install").replace(b"/install-not", f"{prefix}-not".encode())
    assert plan.files[details] == b'{"base_prefix": "/install"}'
    assert plan.warnings == ()
    pristine = {**small(program), name: sysconfigdata("/install")}
    assert bundle(pristine, {}, pristine.__getitem__, "3.11").files[name] is None


@pytest.mark.parametrize("prefix", ["/usr", "/usr/local", "/", "/install"])
def test_a_prefix_that_every_machine_has_stays(program: bytes, prefix: str) -> None:
    files = {**small(program), "lib/python3.11/_sysconfigdata_x.py": sysconfigdata(prefix), "lib/x": prefix.encode()}
    plan = bundle(files, {}, files.__getitem__, "3.11")
    assert set(plan.files.values()) == {None}
    assert plan.warnings == ()


def test_other_files_that_hold_the_prefix_are_named(program: bytes) -> None:
    files = {
        **small(program), "lib/python3.11/_sysconfigdata_x.py": sysconfigdata("/opt/py"),
        "lib/a.so": b"\0/opt/py/lib\0", "lib/b": b"/opt/python", "lib/c": b"/opt/py", "include/d.h": b"/opt/py",
    }  # fmt: skip
    (warning,) = bundle(files, {}, files.__getitem__, "3.11").warnings
    assert warning.code == "interpreter-prefix"
    assert warning.message == "Interpreter names the directory that it was built for, in lib/a.so, lib/c"


@pytest.mark.parametrize(
    "data", [b"", b"build_time_vars = {", b"\0", b"x = 1\n", b"build_time_vars = {'prefix': f()}\n"]
)
def test_build_data_of_another_form_stays(program: bytes, data: bytes) -> None:
    files = {**small(program), "lib/python3.11/_sysconfigdata_x.py": data}
    assert set(bundle(files, {}, files.__getitem__, "3.11").files.values()) == {None}


# What is refused


def codes_and_messages(problems: list[Problem]) -> list[tuple[str, str]]:
    assert all(problem.remedy for problem in problems)
    return [(problem.code, problem.message) for problem in problems]


def test_another_python_or_none(program: bytes) -> None:
    assert codes_and_messages(refused({})) == [
        ("interpreter-missing", "Interpreter has no file bin/python3.11"),
        ("interpreter-missing", "Interpreter has no file lib/python3.11/os.py"),
    ]
    other = {"bin/python3.12": program, "lib/python3.12/os.py": b""}
    assert codes_and_messages(refused(other)) == [
        ("interpreter-missing", "Interpreter has no file bin/python3.11, but bin/python3.12"),
        ("interpreter-missing", "Interpreter has no file lib/python3.11/os.py, but lib/python3.12/os.py"),
    ]
    assert codes_and_messages(refused({**small(program), **other})) == [
        ("interpreter-mixed", "Interpreter holds several Pythons: lib/python3.11 and lib/python3.12")
    ]
    assert codes_and_messages(refused({**small(program), "pyvenv.cfg": b""})) == [
        ("interpreter-venv", "Interpreter is a virtual environment (it has pyvenv.cfg)")
    ]


def test_what_is_no_program_for_linux(program: bytes, tmp_path: Path) -> None:
    library = compile_c(tmp_path, "int f(void) { return 0; }\n", "-shared", "-fPIC")
    message = "Interpreter is not a Linux (ELF) program: bin/python3.11"
    for data in (b"#!/bin/sh\n", b"\xcf\xfa\xed\xfe" + bytes(60), b"MZ", b""):
        assert codes_and_messages(refused({**small(program), "bin/python3.11": data})) == [
            ("interpreter-program", message)
        ]
    found = codes_and_messages(refused({**small(program), "bin/python3.11": library}))
    assert found == [("interpreter-program", message)]
    odd = program[:18] + (999).to_bytes(2, "little") + program[20:]
    assert codes_and_messages(refused({**small(program), "bin/python3.11": odd})) == [
        ("interpreter-program", "Interpreter is for an unknown machine (999): bin/python3.11")
    ]


def test_links_that_leave_or_dangle(program: bytes) -> None:
    links = {"lib/a": "/etc/a", "lib/b": "../../b", "lib/c": "nothing", "lib/d": "/opt/tori/python/3.11/bin/python3.11"}
    assert codes_and_messages(refused(small(program), links)) == [
        ("link-escape", "Link leaves the interpreter: lib/a -> /etc/a"),
        ("link-escape", "Link leaves the interpreter: lib/d -> /opt/tori/python/3.11/bin/python3.11"),
        ("link-escape", "Link leaves the tree: lib/b -> ../../b"),
        ("link-dangling", "Link points to nothing in the capsule: lib/c -> nothing"),
    ]


PYTHON_LIBRARY = "int answer(void) { return 42; }\n"
PYTHON_PROGRAM = "int answer(void);\nint main(void) { return answer(); }\n"


def shared(place: Path, *options: str) -> dict[str, bytes]:
    """A stand-in for a Python with a shared libpython, linked with options."""
    (place / "lib").mkdir(exist_ok=True)
    soname = "-Wl,-soname,libpython3.11.so.1.0"
    library = compile_c(place, PYTHON_LIBRARY, "-shared", "-fPIC", soname)
    (place / "lib" / "libpython3.11.so.1.0").write_bytes(library)
    program = compile_c(place, PYTHON_PROGRAM, "lib/libpython3.11.so.1.0", *options)
    return {**small(program), "lib/libpython3.11.so.1.0": library}


@pytest.mark.parametrize("value", ["$ORIGIN/../lib", "${ORIGIN}/../lib", "$ORIGIN:$ORIGIN/../lib", "$ORIGIN/.././lib/"])
@pytest.mark.parametrize("tags", ["--enable-new-dtags", "--disable-new-dtags"])
def test_a_library_beside_it_is_found(tmp_path: Path, value: str, tags: str) -> None:
    files = shared(tmp_path, f"-Wl,-rpath,{value}", f"-Wl,{tags}")
    plan = bundle(files, {}, files.__getitem__, "3.11")
    lay_out(tmp_path / "b c", plan, files)
    assert subprocess.run([tmp_path / "b c" / "bin" / "python"], env={}).returncode == 42


@pytest.mark.parametrize("value", [
    "/opt/py/lib", "$ORIGIN/../lib:/opt/py/lib", "lib", ".", "$ORIGIN/../../../../lib", "$ORIGINAL/../lib",
    "$ORIGIN/../lib::",
])  # fmt: skip
@pytest.mark.parametrize(("tags", "kind"), [("--enable-new-dtags", "RUNPATH"), ("--disable-new-dtags", "RPATH")])
def test_a_runpath_that_leaves_is_refused(tmp_path: Path, value: str, tags: str, kind: str) -> None:
    files = shared(tmp_path, f"-Wl,-rpath,{value}", f"-Wl,{tags}")
    files["lib/python3.11/lib-dynload/_x.so"] = files["bin/python3.11"]
    found = dict(codes_and_messages(refused(files)))
    where = "bin/python3.11, lib/python3.11/lib-dynload/_x.so"
    assert found["interpreter-rpath"] == f"{kind} leaves the interpreter: {value}, in {where}"


def test_a_library_that_is_not_found_is_refused(tmp_path: Path) -> None:
    def messages(files: dict[str, bytes]) -> list[tuple[str, str]]:
        return codes_and_messages(refused(files))

    text = "Interpreter does not find libpython3.11.so.1.0 beside it: bin/python3.11 has"
    assert messages(shared(tmp_path)) == [("interpreter-libpython", f"{text} no RUNPATH")]
    elsewhere = shared(tmp_path, "-Wl,-rpath,$ORIGIN")
    assert messages(elsewhere) == [("interpreter-libpython", f"{text} the RUNPATH $ORIGIN")]
    without = shared(tmp_path, "-Wl,-rpath,$ORIGIN/../lib")
    del without["lib/libpython3.11.so.1.0"]
    assert messages(without) == [("interpreter-libpython", f"{text} the RUNPATH $ORIGIN/../lib")]


@pytest.mark.parametrize(("name", "code"), [
    ("$ORIGIN/../lib/libpython3.11.so.1.0", None), ("/opt/lib/libpython3.11.so.1.0", "interpreter-rpath"),
])  # fmt: skip
def test_a_library_needed_by_its_path(tmp_path: Path, name: str, code: str | None) -> None:
    """python-build-standalone names libpython so."""
    (tmp_path / "lib").mkdir()
    library = compile_c(tmp_path, PYTHON_LIBRARY, "-shared", "-fPIC", f"-Wl,-soname,{name}")
    (tmp_path / "lib" / "l.so").write_bytes(library)
    program = compile_c(tmp_path, PYTHON_PROGRAM, "lib/l.so")
    files = {**small(program), "lib/libpython3.11.so.1.0": library}
    if code:
        assert code in {problem.code for problem in refused(files)}
    else:
        lay_out(tmp_path / "b c", bundle(files, {}, files.__getitem__, "3.11"), files)
        assert subprocess.run([tmp_path / "b c" / "bin" / "python"], env={}).returncode == 42
