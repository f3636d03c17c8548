"""Every tricky case, by the table and by the installers that people trust."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from capsule_builder.requirements import Report, verify
from tests.requirements.cases import CASES, Case
from tests.requirements.house import build, hashed, pip_accepts, read, uv_accepts, write


def files(case: Case) -> dict[str, bytes]:
    texts = case.files if not isinstance(case.files, str) else {"requirements.txt": case.files}
    known = {item.name: hashed(item).sha256 or "" for item in case.there}
    return {
        name: text if isinstance(text, bytes) else re.sub(r"SHA\((\w+)\)", lambda m: known[m[1]], text).encode()
        for name, text in texts.items()
    }


def judged(case: Case) -> Report:
    there = [hashed(item) if case.hashes else item for item in case.there]
    return verify(there, read(files(case)), case.target)


def named(cases: list[Case]) -> list[object]:
    return [pytest.param(case, id=case.name.replace(" ", "-")) for case in cases]


def test_no_two_cases_have_one_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 100


@pytest.mark.parametrize("case", named(CASES))
def test_case(case: Case) -> None:
    report = judged(case)
    assert sorted(f"{found.code} {' -> '.join(found.path)}" for found in report.failures) == sorted(case.fails)
    assert sorted(note.code for note in report.notes) == sorted(case.notes)
    assert report.passengers == case.passengers
    assert report.ok is not bool(case.fails)
    assert report.checked == len(case.there)


JUDGES = {"uv": uv_accepts, "pip": pip_accepts}
JUDGED = [
    pytest.param(case, judge, id=f"{judge}-{case.name.replace(' ', '-')}") for case in CASES for judge in case.judges
]


@pytest.mark.parametrize(("case", "judge"), JUDGED)
def test_installers_agree(case: Case, judge: str, tmp_path: Path, cache: Path) -> None:
    build(tmp_path / "house", case.there)
    write(tmp_path, files(case))
    accepts, told = JUDGES[judge](tmp_path / "house", tmp_path / "requirements.txt", case.target, cache)
    agrees = accepts is not bool(case.fails)
    assert agrees is not bool(case.differs), told
