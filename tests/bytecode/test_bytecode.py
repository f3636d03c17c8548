"""Bytecode is a function of the source, its name and the Python; and it is the code that Python would have made."""

from __future__ import annotations

import marshal
import pickle
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsule_builder.errors import CapsuleError
from capsule_builder.python.bytecode import Compiler, find_compiler, pyc_path
from capsule_builder.python.marshal_form import TooDeep, UnknownForm, canonical
from tests.bytecode import sources
from tests.determinism import pythons

INSIDE = Path(__file__).with_name("inside.py")
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
every_python = pytest.mark.parametrize("python", pythons.found())


def inside(python: str, given: object, seed: int = 0) -> list:
    """What ``inside.py`` answers in a Python, with the hash seed given."""
    command = [pythons.found()[python], "-S", "-B", str(INSIDE)]
    environment = {"PYTHONHASHSEED": str(seed)}
    done = subprocess.run(command, input=pickle.dumps(given), stdout=subprocess.PIPE, env=environment, check=True)
    return pickle.loads(done.stdout)


def compiled(python: str, files: Iterable[tuple[str, bytes]]) -> dict[str, bytes | None]:
    with find_compiler(python, pythons.found()[python]) as compiler:
        return dict(compiler.compile(files))


@every_python
def test_same_bytes_whatever_the_order_and_the_company(python: str) -> None:
    files = sources.all_of(25)
    together = compiled(python, files)
    assert None not in together.values()
    assert compiled(python, reversed(files)) == together
    for path, source in files[:12]:
        assert compiled(python, [(path, source)]) == {path: together[path]}


@every_python
def test_same_bytes_whatever_the_hash_seed_and_the_process(python: str) -> None:
    files = sources.all_of(25)
    expected = [pyc and pyc[16:] for pyc in compiled(python, files).values()]
    for seed in (1, 4000):
        assert [canonical(data, python) for data in inside(python, files, seed)] == expected
    backwards = inside(python, files[::-1], 5)[::-1]
    assert [canonical(data, python) for data in backwards] == expected


@every_python
def test_it_loads_to_what_a_plain_compile_gives(python: str) -> None:
    files = sources.all_of(25)
    pycs = compiled(python, files)
    answers = inside(python, [(path, source, pycs[path]) for path, source in files])
    assert [path for (path, _), same in zip(files, answers, strict=True) if not same] == []


@every_python
def test_the_comparison_sees_a_difference(python: str) -> None:
    pyc = compiled(python, [("a.py", b"x = 0.0, {1, 2}")])["a.py"]
    others = [b"x = -0.0, {1, 2}", b"x = 0, {1, 2}", b"x = 0.0, {1, 3}", b"x  = 0.0, {1, 2}", b"x = 0.0, {True, 2}"]
    assert inside(python, [("a.py", b"x = 0.0, {1, 2}", pyc), *(("a.py", other, pyc) for other in others)]) == [
        True, *[False] * len(others)
    ]  # fmt: skip


def test_it_is_its_own_form_and_that_of_a_copy() -> None:
    """A copy that went through marshal shares and interns otherwise."""
    code = compile(sources.EVERYTHING, "a.py", "exec", dont_inherit=True, optimize=0)
    plain = marshal.dumps(code)
    copy = marshal.dumps(marshal.loads(plain))
    assert copy != plain
    form = canonical(plain, HERE)
    assert canonical(copy, HERE) == form
    assert canonical(form, HERE) == form
    assert canonical(marshal.dumps(marshal.loads(form)), HERE) == form


def test_it_shares_what_is_equal_and_so_is_not_longer() -> None:
    """Of two hundred functions with one constant tuple and one docstring, each stands there once."""
    source = "".join(f"def f{number}():\n    'said often'\n    return (1.5, 'told often')\n" for number in range(200))
    plain = marshal.dumps(compile(source, "a.py", "exec"))
    form = canonical(plain, HERE)
    assert form.count(b"said often") == form.count(b"told often") == 1
    assert len(form) <= len(plain)


def test_names_are_interned_and_texts_are_not() -> None:
    """As marshal does it, but for texts that something else in the process happened to intern."""
    source = "größe = 'with space', 'name_like', 'größe', 'größer', 'é' * 3000, 'x' * 300, '-' * 300"
    for intern in ("with space", "größer"):
        sys.intern(intern)
    form = canonical(marshal.dumps(compile(source, "a.py", "exec")), HERE)

    def letter(text: str) -> str:
        return chr(form[form.index(text.encode()) - (2 if text.isascii() and len(text) < 256 else 5)] & 0x7F)

    assert [letter(text) for text in ("with space", "name_like", "größer", "größe\xe9"[:5], "x" * 300, "-" * 300)] == [
        "z", "Z", "u", "t", "A", "a",
    ]  # fmt: skip


@every_python
def test_python_takes_it_and_does_not_look_at_the_source(python: str, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    files = {"package/__init__.py": b"VALUE = 'first'\ndef where(): return where.__code__.co_filename\n"}
    files["package/module.py"] = b"from package import VALUE\n"
    for path, pyc in compiled(python, files.items()).items():
        place = tmp_path / pyc_path(path, f"cpython-{python.replace('.', '')}")
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(pyc or b"")
        (tmp_path / path).write_bytes(b"VALUE = 'changed'\n")
    program = "import package.module as m, package as p; print(m.VALUE, p.where(), p.__cached__)"
    command = [pythons.found()[python], "-S", "-B", "-c", program]
    environment = {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, cwd="/")
    init = tmp_path / "package" / "__init__.py"
    cached = tmp_path / "package" / "__pycache__" / f"__init__.cpython-{python.replace('.', '')}.pyc"
    assert done.stdout.split() == ["first", str(init), str(cached)]


@every_python
def test_no_path_of_the_build_is_in_it(python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for pyc in compiled(python, sources.all_of(20)).values():
        assert pyc
        for place in (tmp_path, sources.REAL_TREE.parents[1], Path(pythons.found()[python]).parents[1] / "lib"):
            assert str(place).encode() not in pyc


@every_python
def test_what_does_not_compile_is_passed_over(python: str) -> None:
    files = [*sources.BROKEN.items(), ("good.py", b"x = 1\n")]
    pycs = compiled(python, files)
    assert [path for path, pyc in pycs.items() if pyc] == ["good.py"]
    assert list(pycs) == [path for path, _ in files]


def test_sources_are_taken_one_at_a_time_and_a_caller_may_stop() -> None:
    taken: list[str] = []

    def files() -> Iterable[tuple[str, bytes]]:
        for number in range(100):
            taken.append(f"{number}.py")
            yield f"{number}.py", f"x = {number} + 1000".encode()

    with find_compiler(HERE, sys.executable) as compiler:
        for path, _ in compiler.compile(files()):
            if path == "3.py":
                break
        assert taken == ["0.py", "1.py", "2.py", "3.py", "4.py"]
        assert list(compiler.compile([("a.py", b"x = 1")])) == list(compiled(HERE, [("a.py", b"x = 1")]).items())


@pytest.mark.parametrize(("path", "expected"), [
    ("foo/__init__.py", "foo/__pycache__/__init__.cpython-311.pyc"),
    ("six.py", "__pycache__/six.cpython-311.pyc"),
    ("a.b/c.d.py", "a.b/__pycache__/c.d.cpython-311.pyc"),
])  # fmt: skip
def test_where_it_lies(path: str, expected: str) -> None:
    assert pyc_path(path, "cpython-311") == expected


# Which Python compiles


def refused(python: str, executable: str | None) -> list[str]:
    with pytest.raises(CapsuleError) as caught:
        find_compiler(python, executable)
    assert {problem.code for problem in caught.value.problems} == {"bytecode-interpreter"}
    assert all(problem.remedy for problem in caught.value.problems)
    return [problem.message for problem in caught.value.problems]


def claims(place: Path, *lines: str, then: str = "exit 3") -> str:
    """A program that says this of itself: no such Python is here."""
    place.write_text("#!/bin/sh\n" + "".join(f"echo {line!r}\n" for line in lines) + then + "\n")
    place.chmod(0o755)
    return str(place)


def test_what_cannot_compile_is_refused(tmp_path: Path) -> None:
    other = "3.10" if HERE != "3.10" else "3.11"
    python = sys.executable
    release = platform.python_version()
    assert refused(other, python) == [f"Not Python {other} but {release}: {python}"]
    with pytest.raises(CapsuleError, match=f"Not Python {HERE}.99 but {release}: "):
        find_compiler(HERE, python, f"{HERE}.99")
    with find_compiler(HERE, python, release):
        pass
    assert refused(HERE, "/bin/true") == ["Not a Python that runs: /bin/true"]
    assert refused(HERE, "/usr/bin/yes") == ["Not a Python that runs: /usr/bin/yes"]
    assert refused(HERE, "/nowhere/python") == ["Cannot start /nowhere/python: No such file or directory"]
    assert refused(HERE, str(tmp_path)) == [f"Cannot start {tmp_path}: Permission denied"]
    assert refused("3.9", None) == ["No bytecode can be made for Python 3.9: 3.10 to 3.14 are known"]
    assert refused("3.99", python) == ["No bytecode can be made for Python 3.99: 3.10 to 3.14 are known"]
    fake = tmp_path / "python"
    said = claims(fake, "pypy", "3.11.2", "pypy311", "", "f00d0d0a")
    assert refused("3.11", said) == [f"Not CPython but pypy: {fake}"]
    said = claims(fake, "cpython", "3.13.0", "cpython-313", "t", "f00d0d0a")
    assert refused("3.13", said) == [f"Python 3.13 is free-threaded: {fake}"]
    said = claims(fake, "cpython", "3.11.2", "cpython-311", "d", "f00d0d0a")
    assert refused("3.11", said) == [f"Python 3.11 is a debug build: {fake}"]
    said = claims(fake, "cpython", "3.11.2", "graal", "", "f00d0d0a")
    assert refused("3.11", said) == [f"Python 3.11 is of the kind graal: {fake}"]


def test_the_running_python_is_taken_or_one_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with find_compiler(HERE, None) as compiler:
        assert compiler.tag == f"cpython-{HERE.replace('.', '')}"
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    assert refused(HERE, None) == [f"No Python {HERE} to compile with: there is no python{HERE} on PATH"]
    bad, good = tmp_path / "bad", tmp_path / "good"
    for directory in (bad, good):
        directory.mkdir()
    (bad / f"python{HERE}").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", f"{bad}:/nowhere")
    assert refused(HERE, None) == [f"Not a Python that runs: {bad}/python{HERE}"]
    (good / f"python{HERE}").symlink_to(pythons.found()[HERE])
    monkeypatch.setenv("PATH", f"{bad}:{good}")
    with find_compiler(HERE, None) as compiler:
        assert list(compiler.compile([("a.py", b"x = 1")])) == list(compiled(HERE, [("a.py", b"x = 1")]).items())


@pytest.mark.parametrize(("then", "how"), [("exit 3", "with status 3"), ("kill -9 $$", "by signal 9")])
@pytest.mark.parametrize("size", [10, 10_000_000])
def test_a_python_that_dies_names_the_file(tmp_path: Path, then: str, how: str, size: int) -> None:
    fake = claims(tmp_path / "python", "cpython", "3.11.2", "cpython-311", "", "a70d0d0a", then=f"read x; {then}")
    message = f"{fake} ended {how} while it compiled lib/a.py"
    with Compiler(fake, "3.11") as compiler, pytest.raises(CapsuleError, match=message):
        list(compiler.compile([("lib/a.py", b"\n" * size)]))


def test_a_python_that_writes_something_else_is_refused(tmp_path: Path) -> None:
    answer = r"head -c 17 >/dev/null; printf '\011\0\0\0\0\0\0\0hashhash?'; cat >/dev/null"
    fake = claims(tmp_path / "python", "cpython", "3.11.2", "cpython-311", "", "a70d0d0a", then=answer)
    with Compiler(fake, "3.11") as compiler, pytest.raises(CapsuleError, match="unknown kind of bytecode"):
        list(compiler.compile([("a", b"")]))


# The form


PLAIN = marshal.dumps(compile("def f(a, b='c d'):\n    return a in {1, 'x', (2.5, b'y')}\n", "a.py", "exec"))


@given(
    st.integers(0, len(PLAIN)),
    st.lists(st.tuples(st.integers(0, len(PLAIN) - 1), st.binary(min_size=1, max_size=5)), max_size=4),
)
def test_broken_data_is_refused_and_nothing_worse(length: int, hurts: list[tuple[int, bytes]]) -> None:
    data = bytearray(PLAIN[:length])
    for at, junk in hurts:
        data[at : at + len(junk)] = junk
    try:
        form = canonical(bytes(data), HERE)
    except (UnknownForm, TooDeep):
        return
    assert canonical(form, HERE) == form


@pytest.mark.parametrize("value", [[1], {1: 2}, {1}, 1, (1,), None])
def test_what_is_no_code_has_no_form(value: object) -> None:
    with pytest.raises(UnknownForm):
        canonical(marshal.dumps(value), HERE)
