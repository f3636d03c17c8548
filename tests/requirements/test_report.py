from __future__ import annotations

import json

from capsule_builder.requirements import Requirements, Target, verify
from tests.requirements.house import HERE, dist, read

FILES = {"app/all.txt": b"-c limits.txt\n\na==1\nz>=0\n", "app/limits.txt": b"b<2\n"}
TOO_NEW = "needs glibc 2.34, and the target is manylinux_2_28_x86_64"
NEWER = "Use --platform manylinux_2_34_x86_64 if every host has glibc 2.34 or later, or get a wheel for an older one."
THERE = [
    dist("a", "1", "b[x]>=1", extras=[]),
    dist("b", "2", "c<2; extra == 'x'", extras=["x"]),
    dist("c", "2.0", tag="cp311-cp311-manylinux_2_34_x86_64"),
    dist("pip", "23", python="<3"),
    dist("z", "3"),
]


def test_the_report_for_people() -> None:
    assert verify(THERE, read(FILES, "app/all.txt"), HERE).text() == [
        "b 2 does not satisfy the constraint b<2 of app/limits.txt:1 (a -> b[x], app/all.txt:3)",
        "  Lock a version that does, or change the constraint.",
        "c 2.0 does not satisfy c<2 (a -> b[x] -> c, app/all.txt:3)",
        "  Lock a version of c that does, or change what requires it.",
        f"c 2.0 does not run on the target: it {TOO_NEW} (a -> b[x] -> c, app/all.txt:3)",
        f"  {NEWER}",
        "pip 23 needs Python <3, and the target is Python 3.11 (pip)",
        "  Lock a version that supports Python 3.11.",
        "note: app/all.txt:4: z>=0 names no exact version",
        "note: required by nothing: pip",
        "5 distributions: 4 requirements not met",
    ]


def test_the_report_for_programs() -> None:
    document = verify(THERE, read(FILES, "app/all.txt"), HERE).document()
    assert json.loads(json.dumps(document)) == document
    assert {**document, "failures": document["failures"][1:2]} == {  # type: ignore[index]
        "format": 1,
        "ok": False,
        "checked": 5,
        "failures": [
            {
                "code": "requirement-version",
                "message": "c 2.0 does not satisfy c<2",
                "path": ["a", "b[x]", "c"],
                "file": "app/all.txt",
                "line": 3,
                "remedy": "Lock a version of c that does, or change what requires it.",
            }
        ],
        "notes": [
            {"code": "requirement-unpinned", "message": "z>=0 names no exact version", "file": "app/all.txt", "line": 4}
        ],
        "passengers": ["pip"],
    }


def test_problems_name_the_way_and_the_line() -> None:
    report = verify(THERE, read(FILES, "app/all.txt"), HERE)
    problem = report.problems()[1]
    assert problem.code == "requirement-version"
    assert "a -> b[x] -> c" in problem.message
    assert "app/all.txt:3" in problem.message


def test_nothing_asked_and_nothing_there() -> None:
    report = verify([], Requirements(), Target())
    assert report.ok
    assert report.text() == ["0 distributions: all requirements are met"]


def test_a_password_is_not_repeated() -> None:
    files = {"requirements.txt": b"a @ https://user:secret@example.com/a-1-py3-none-any.whl"}
    there = [dist("a", "1", direct_url={"url": "https://user:secret@example.org/a-1-py3-none-any.whl"})]
    for items in ([], there):
        report = verify(items, read(files), HERE)
        assert not report.ok
        assert "example." in report.text()[0]
        assert "secret" not in json.dumps([report.document(), report.text()])
