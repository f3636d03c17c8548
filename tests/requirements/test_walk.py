from __future__ import annotations

from capsule_builder.requirements.walk import Walk
from tests.requirements.house import HERE, dist, read


def test_every_requirement_is_told_once_and_the_nearest_first() -> None:
    there = {
        "a": dist("a", "1", "b[x]", "c", extras=["y"]),
        "b": dist("b", "1", "c", "a[y]", "d; extra == 'x'", "e; extra == 'z'", extras=["x", "z"]),
        "c": dist("c", "1", "b[x,z]; python_version > '3'", "a"),
    }
    walk = Walk(read({"requirements.txt": b"c\na\na[y]"}), HERE, lambda edge: there.get(edge.name))
    assert [(" -> ".join(edge.path), found is not None) for edge, found in walk.edges()] == [
        ("c", True),
        ("a", True),
        ("a[y]", True),
        ("c -> b[x,z]", True),
        ("c -> a", True),
        ("a -> b[x]", True),
        ("a -> c", True),
        ("c -> b[x,z] -> c", True),
        ("c -> b[x,z] -> a[y]", True),
        ("c -> b[x,z] -> d", False),
        ("c -> b[x,z] -> e", False),
    ]
    assert walk.notes == ()
