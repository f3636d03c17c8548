from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsule_builder.errors import CapsuleError
from capsule_builder.requirements import Distribution

METADATA = b"""Metadata-Version: 2.1
Name: Ruamel.YAML
Version: 0.18.5
Requires-Python: >=3.7
Requires-Dist: clib (>=0.2.7) ; platform_python_implementation=="CPython"
Requires-Dist: ryd ; extra == 'Docs_X'
Provides-Extra: Docs_X
Provides-Extra: jinja2

Name: not this
"""
WHEEL = b"Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_17_x86_64\nRoot-Is-Purelib: false\nTag: py3-none-any\n"


def test_metadata_becomes_a_distribution() -> None:
    found = Distribution.from_metadata(METADATA, WHEEL, where="lib/ruamel_yaml-0.18.5.dist-info", sha256="ab")
    assert found == Distribution(
        name="ruamel-yaml",
        version="0.18.5",
        requires=('clib (>=0.2.7) ; platform_python_implementation=="CPython"', "ryd ; extra == 'Docs_X'"),
        extras=("docs-x", "jinja2"),
        requires_python=">=3.7",
        tags=("cp311-cp311-manylinux_2_17_x86_64", "py3-none-any"),
        direct_url=None,
        sha256="ab",
        where="lib/ruamel_yaml-0.18.5.dist-info",
    )


def test_metadata_without_extras_and_without_a_wheel() -> None:
    found = Distribution.from_metadata(b"Name: a\r\nVersion: 1\r\n", None, where="a.egg-info")
    assert found.extras is None
    assert found.tags == ()


def refused(metadata: bytes) -> str:
    with pytest.raises(CapsuleError) as caught:
        Distribution.from_metadata(metadata, None, where="x.dist-info")
    (problem,) = caught.value.problems
    assert problem.message.startswith("x.dist-info: ")
    return f"{problem.code} {problem.message}"


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (b"", "distribution-metadata x.dist-info: its METADATA is empty"),
        (b" \n", "distribution-metadata x.dist-info: its METADATA is empty"),
        (b"Name: a\n", "distribution-metadata x.dist-info: its METADATA is without Version"),
        (b"Version: 1\n", "distribution-metadata x.dist-info: its METADATA is without Name"),
        (b"\xff\xfe\x00", "distribution-metadata x.dist-info: its METADATA is without Name and Version"),
        (b"Name: a\nName: b\nVersion: 1\n", "distribution-metadata x.dist-info: its METADATA is without Name"),
        (b"Name: a b\nVersion: 1\n", "distribution-name x.dist-info: not a distribution's name: a b"),
        (
            b"Name: a\nVersion: " + b"1" * 5000,
            f"distribution-version x.dist-info: not a version: {'1' * 80}",
        ),
        (b"Name: a\nVersion: 2004d-x\n", "distribution-version x.dist-info: not a version: 2004d-x"),
    ],
)
def test_metadata_that_is_none(metadata: bytes, said: str) -> None:
    assert refused(metadata) == said


@given(st.binary(max_size=200))
def test_any_bytes_are_metadata_or_refused(data: bytes) -> None:
    for metadata in (data, METADATA[:50] + data):
        try:
            found = Distribution.from_metadata(metadata, data, where="x")
        except CapsuleError:
            continue
        assert Distribution.from_json(found.to_json()) == found


TEXTS = st.lists(st.text(max_size=9), max_size=3).map(tuple)


@given(
    st.builds(
        Distribution,
        name=st.sampled_from(["a", "A_b.c"]),
        version=st.sampled_from(["1", "1!2.0rc1+x.1"]),
        requires=TEXTS,
        extras=st.none() | st.lists(st.sampled_from(["x", "Y_z", "y-z"]), max_size=3).map(tuple),
        requires_python=st.none() | st.text(max_size=9),
        tags=TEXTS,
        direct_url=st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.booleans(), max_size=3),
        sha256=st.none() | st.just("0" * 64),
        where=st.text(max_size=9),
    )
)
def test_json_is_one_line_and_comes_back(item: Distribution) -> None:
    line = item.to_json()
    assert len(line.splitlines()) == 1
    assert Distribution.from_json(line) == item
    assert Distribution.from_json(line).to_json() == line


def test_json_is_the_same_for_the_same() -> None:
    first = Distribution("a", "1", direct_url={"b": 1, "a": 2})
    assert first.to_json() == Distribution("A", "1", direct_url={"a": 2, "b": 1}).to_json()


@pytest.mark.parametrize(
    "line",
    ["", "null", "[]", "{}", '{"name": "a"}', "[" * 100_000]
    + [json.dumps({"name": "a", "version": "1", **more}) for more in ({"x": 1}, {"tags": "py3"}, {"sha256": 1})]
    + [json.dumps({"name": "a", "version": "1", **more}) for more in ({"requires": [1]}, {"direct_url": []})],
)
def test_json_that_is_none(line: str) -> None:
    with pytest.raises(CapsuleError) as caught:
        Distribution.from_json(line)
    assert [problem.code for problem in caught.value.problems] == ["distribution-json"]
