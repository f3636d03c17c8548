"""Sound capsules whose content is made to confuse: they are looked into like others, in good time."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.capsbuild.command import capsbuild
from tests.inspection.capsules import SITE
from tests.reader.forge import Forge, One, small, with_entries

INFO = f"{SITE}/demo-1.0.dist-info"


def inspected(archive: bytes, place: Path) -> dict[str, Any]:
    place.write_bytes(archive)
    for command in (
        ["inspect", place],
        ["report", place, "--html", place.with_suffix(".html")],
        ["diff", place, place],
    ):
        ran = capsbuild(*command)
        assert (ran.status, ran.err) == (0, "")
    document: dict[str, Any] = json.loads(capsbuild("inspect", place, "--json").out)
    return document


def environment(record: bytes, *more: One) -> bytes:
    return with_entries(
        One("venv/pyvenv.cfg", "file", b"version = 3.11\n"),
        One(f"{INFO}/METADATA", "file", b"Name: \x1b[31mother\nVersion: \xff\n"),
        One(f"{INFO}/RECORD", "file", record),
        One(f"{SITE}/demo/one.py", "file", b"1\n"),
        One(f"{SITE}/nobody/two.py", "file", b"2\n"),
        *more,
    )


@pytest.mark.parametrize(
    "record",
    [
        b"", b"\xff\xfe", b'"', b"a,b,c,d\n", b"demo/one.py,sha256=x,1\n", b"\n" * 100_000,
        b"../../../../../../etc/passwd,,\n/etc/passwd,,\n,,\n", "\u202e\0,,\n".encode(),
    ],
)  # fmt: skip
def test_a_record_that_says_nothing_leaves_it_to_names(tmp_path: Path, record: bytes) -> None:
    document = inspected(environment(record), tmp_path / "a")
    assert [(each["name"], each["version"], each["files"]) for each in document["distributions"]] == [
        ("demo", "1.0", 3)
    ]
    assert ("package", "nobody") in {(each["kind"], each["name"]) for each in document["others"]}


def test_a_record_that_claims_the_application_does_not_get_it(tmp_path: Path) -> None:
    record = b"../../../../start.sh,,\n../../../../capsule.yml,,\nnobody/two.py,,\n../../../pyvenv.cfg,,\n"
    document = inspected(environment(record), tmp_path / "a")
    owners = {each["path"]: each["owner"] for each in document["largest_files"]}
    assert owners["start.sh"] == owners["capsule.yml"] == "application"
    assert owners[f"{SITE}/nobody/two.py"] == "demo 1.0"


def test_what_is_in_two_layers_is_counted_in_both_and_compared_once(tmp_path: Path) -> None:
    again = One("data/table.txt", "file", b"one\ntwo\n" * 50)
    archive = Forge([("app", small()), ("again", [again, One("data2", "file", b"x")])]).build()
    document = inspected(archive, tmp_path / "a")
    assert sum(each["files"] for each in document["others"]) == 5
    assert [each["path"] for each in document["largest_files"]].count("data/table.txt") == 2
    sums = [(layer["files"], layer["total_size"]) for layer in document["layers"]]
    assert sums[1] == (2, 401)
    (tmp_path / "b").write_bytes(with_entries(One("data2", "file", b"x")))
    ran = capsbuild("diff", tmp_path / "a", tmp_path / "b", "--json")
    assert (ran.status, json.loads(ran.out)["reasons"]) == (0, [])


def test_layers_of_one_name_are_shown_as_one(tmp_path: Path) -> None:
    """Names are for people, and need not differ."""
    layers = [("app", small()), ("x", [One("x1", "file", b"1")]), ("x", [One("x2", "file", b"2")])]
    inspected(Forge(layers).build(), tmp_path / "a")
    page = (tmp_path / "a.html").read_text()
    (text,) = re.findall(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.S)
    data = json.loads(text)
    assert data["layers"] == ["app", "x", "x"]
    assert {data["layers"][entry[4]] for entry in data["entries"] if entry[0].startswith("x")} == {"x"}


def test_deep_directories_take_no_more_time_than_others(tmp_path: Path) -> None:
    deep = [One("/".join([f"{number:03}", *["d"] * 2040]), "file", b"x" * (500 + number)) for number in range(300)]
    begun = time.monotonic()
    document = inspected(with_entries(*deep), tmp_path / "a")
    assert time.monotonic() - begun < 60
    paths = [each["path"] for each in document["largest_directories"]]
    assert paths[0] == "/".join(["299", *["d"] * 2039])
    assert len(paths) == 10


def test_the_whole_is_told_when_everything_lies_in_one_directory(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(with_entries(One("z/x", "file", b"1" * 9), One("z-a/x", "file", b"1" * 5)))
    document = json.loads(capsbuild("inspect", tmp_path / "a", "--json").out)
    found = {each["path"]: (each["files"], each["total_size"]) for each in document["largest_directories"]}
    assert found == {"data": (1, 400), "z": (1, 9), "z-a": (1, 5)}
