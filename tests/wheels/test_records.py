"""What RECORDs say more than once, or too often."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from capsule_builder.errors import CapsuleError
from capsule_builder.python import record
from tests.relocate.wheels import wheel
from tests.wheels.doors import INSTALLERS, SITE, install, through_venv, through_wheels

NAMED_TWICE = {
    "bytecode that pip compiles too": {
        f"__pycache__/demo.cpython-{sys.version_info.major}{sys.version_info.minor}.pyc": b"not bytecode",
    },
    "one program of two kinds": {
        "DI/entry_points.txt": b"[console_scripts]\ndemo = demo:main\n[gui_scripts]\ndemo = demo:main\n",
    },
    "what installers write": {
        "DI/INSTALLER": b"somebody\n",
        "DI/REQUESTED": b"!",
        "DI/direct_url.json": b'{"url": "https://example.org/demo-1.whl", "archive_info": {}}',
    },
}


@pytest.mark.parametrize("case", NAMED_TWICE)
@pytest.mark.parametrize("installer", INSTALLERS)
def test_what_is_named_twice_and_made_anew_is_taken(case: str, installer: str, tmp_path: Path) -> None:
    built = wheel(tmp_path, "demo", "1", {"demo.py": b"def main(): pass\n", **NAMED_TWICE[case]})
    files = through_wheels(built)
    assert isinstance(files, dict) and f"{SITE}/demo.py" in files
    assert through_venv(installer, built) == files


@pytest.mark.parametrize("installer", INSTALLERS)
def test_rows_that_agree_are_one(installer: str, tmp_path: Path) -> None:
    plain = through_wheels(wheel(tmp_path, "demo", "1", {"demo.py": b""}))
    empty = "demo.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    twice = wheel(tmp_path, "demo", "1", {"demo.py": b""}, rows=f"{empty},0\n{empty},\n")
    assert through_wheels(twice) == plain
    assert through_venv(installer, twice) == plain


def test_rows_that_differ_are_refused(tmp_path: Path) -> None:
    built = wheel(tmp_path, "demo", "1", {"demo.py": b""}, rows=f"demo.py,sha256={'A' * 43},0\n")
    assert through_wheels(built) == ["record-duplicate"]
    assert through_venv("pip", built) == ["record-duplicate"]


def test_a_wheel_has_no_more_rows_than_files(tmp_path: Path) -> None:
    rows = "".join(f"a{number},,\n" for number in range(2000))
    assert through_wheels(wheel(tmp_path, "demo", "1", {"demo.py": b""}, rows=rows)) == ["record-syntax"]
    few = through_wheels(wheel(tmp_path, "demo", "1", {"demo.py": b""}, rows=rows[: rows.index("a900,")]))
    assert few == ["record-missing"] * 900


def test_the_rows_of_an_environment_are_limited() -> None:
    data = b"".join(b"a%d,,\n" % number for number in range(20))
    assert len(record.parse(data, "demo", 20)) == 20
    with pytest.raises(CapsuleError, match=r"^demo: RECORD has more than 19 rows"):
        record.parse(data, "demo", 19)


def test_a_thousand_wrong_rows_are_enough() -> None:
    with pytest.raises(CapsuleError) as error:
        record.parse(b"wrong\n" * 2_000_000, "demo")
    assert len(error.value.problems) == 1000


def test_millions_of_rows_cost_neither_time_nor_memory(tmp_path: Path) -> None:
    """6 MB in the wheel, and once 2.2 GB in memory."""
    built = wheel(tmp_path, "demo", "1", {}, rows="".join(f"a{number},,\n" for number in range(3_000_000)))
    program = (
        "from pathlib import Path; import sys; from tests.wheels.doors import through_wheels;"
        "print(through_wheels(Path(sys.argv[1])))"
    )
    limit = 600 << 20
    done = subprocess.run(
        [sys.executable, "-c", program, str(built)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("['record-syntax']\n", "")


def test_what_is_wrong_after_wrong_rows_is_told_too() -> None:
    with pytest.raises(CapsuleError) as error:
        record.parse(b'a,md5=x,\nb,,\n"c', "demo")
    assert [problem.code for problem in error.value.problems] == ["record-syntax"] * 2


def test_the_harness_installs_with_both(tmp_path: Path) -> None:
    """Or it would compare nothing."""
    built = wheel(tmp_path, "demo", "1", {"demo.py": b""})
    for installer in INSTALLERS:
        install(tmp_path / installer, [built], installer)
        (said,) = (tmp_path / installer).glob("lib/*/site-packages/demo-1.dist-info/INSTALLER")
        assert said.read_text().strip() == installer
