"""A bundled interpreter as a layer, and for which platforms it is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from capsule_builder.elf import read_linkage
from capsule_builder.entries import File
from capsule_builder.errors import CapsuleError
from capsule_builder.patterns import Patterns
from capsule_builder.python.bundled import Bundled
from capsule_builder.python.bytecode import find_compiler
from capsule_builder.requirements import Target
from capsule_builder.sources.plain import scan_plain
from tests.determinism import pythons
from tests.interpreter.test_interpreter import compile_c


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("bundled")
    (place / "bin").mkdir()
    (place / "lib/python3.11").mkdir(parents=True)
    (place / "lib/python3.11/os.py").touch()
    program = compile_c(
        tmp_path_factory.mktemp("program"), '#include <stdio.h>\nint main(void) { return puts("here"); }\n'
    )
    (place / "bin/python3.11").write_bytes(program)
    return place


def glibc_of(root: Path) -> int:
    data = (root / "bin/python3.11").read_bytes()
    linkage = read_linkage(lambda size, offset: data[offset : offset + size])
    assert linkage and linkage.glibc
    return linkage.glibc[1]


def bundled(root: Path, platform: str) -> Bundled:
    return Bundled(scan_plain(str(root), "interpreter"), Target("3.11", platform))


def test_it_is_taken_for_its_machine_and_for_a_glibc_that_is_new_enough(root: Path) -> None:
    for platform in (f"manylinux_2_{glibc_of(root)}_x86_64", "linux_x86_64"):
        entries = list(bundled(root, platform).entries(Patterns([])))
        assert [entry.path for entry in entries] == [
            "python/bin/python",
            "python/bin/python3",
            "python/bin/python3.11",
            "python/lib/python3.11/os.py",
        ]


def test_another_platform_is_refused(root: Path) -> None:
    newest = glibc_of(root)
    for platform, misfit in (
        ("linux_aarch64", "is for x86_64"),
        (f"manylinux_2_{newest - 1}_x86_64", f"needs glibc 2.{newest}"),
        ("musllinux_1_2_x86_64", "needs glibc"),
    ):
        with pytest.raises(CapsuleError) as caught:
            bundled(root, platform)
        (problem,) = caught.value.problems
        assert problem.code == "interpreter-platform"
        assert problem.message == f"The interpreter {misfit}, and the platform is {platform}"


def test_with_bytecode_its_library_is_compiled_by_name_alone(root: Path, tmp_path: Path) -> None:
    here = pythons.found()["3.11"]
    with find_compiler("3.11", here) as compiler:
        entries = {entry.path: entry for entry in bundled(root, "linux_x86_64").entries(Patterns([]), compiler)}
    code = entries["python/lib/python3.11/__pycache__/os.cpython-311.pyc"]
    assert isinstance(code, File) and not code.executable
    (tmp_path / "os.pyc").write_bytes(b"".join(code.content.chunks()))
    show = "import marshal, sys; print(marshal.loads(open(sys.argv[1], 'rb').read()[16:]).co_filename)"
    said = subprocess.run([here, "-c", show, tmp_path / "os.pyc"], check=True, capture_output=True, text=True)
    assert said.stdout == "lib/python3.11/os.py\n"
