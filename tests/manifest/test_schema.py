"""The schema for editors and the validator say the same, wherever a schema can say it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from capsule_builder.manifest import (
    check,
    executable_patterns,
    health,
    model,
    names,
    quantities,
    resources,
    sandbox,
    unit_text,
    versions,
)
from capsule_builder.manifest.schema import schema_text
from capsule_builder.manifest.sections import SECTION_KEYS
from tests.manifest.test_model import EVERYTHING, SPECIFIED

SCHEMA = json.loads(schema_text())
BASE = {"name": "my-app", "version": "1.0.0", "entrypoint": "app/main.py"}


def ecma_pattern(_: Any, pattern: str, value: object, __: Any) -> Iterator[jsonschema.ValidationError]:
    """``pattern`` as JSON Schema means it: ECMA's ``$`` is the very end, Python's also stands before a last newline."""
    if isinstance(value, str) and not re.search(re.sub(r"\$", r"\\Z", without_classes(pattern)), value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


def without_classes(pattern: str) -> str:
    """The pattern with ``$`` inside ``[ ]`` escaped, so that only the anchors are left."""
    return re.sub(r"\[[^\]]*\]", lambda match: match.group().replace("$", "\\x24"), pattern)


Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": ecma_pattern})


def schema_accepts(manifest: object) -> bool:
    return Validator(SCHEMA).is_valid(manifest)


def as_yaml(manifest: object) -> bytes:
    """JSON is YAML, but for the pairs of surrogates that JSON makes of what lies beyond U+FFFF."""
    pairs = re.compile(r"(?:\\ud[89ab]..\\ud[c-f]..)+")
    return pairs.sub(lambda match: json.loads(f'"{match.group()}"'), json.dumps(manifest)).encode()


def validator_accepts(manifest: object) -> bool:
    return check(as_yaml(manifest), "c.yml")[0] is not None


def with_value(path: str, value: object) -> dict[str, Any]:
    """A valid manifest with one value put in; the path may begin with a service or its health check."""
    manifest: dict[str, Any] = copy.deepcopy(BASE)
    target: Any = manifest
    *parents, key = path.split(".")
    for parent in parents:
        if parent == "service":
            target = manifest.setdefault("services", [{"name": "web"}])[0]
        else:
            target = target.setdefault(parent, {})
    target[key] = value
    return manifest


GOOD: dict[str, list[object]] = {
    "name": ["a", "my-app", "app_2", "a" * 26],
    "version": ["0.0.0", "1.2.3-rc.1", "1.2.3+build.01", "1.0.0-0a.x-y"],
    "entrypoint": ["main.py", "a/b/c", "my app.py", "...", ".hidden", "a/.capsule_x", "é.py", "a" * 255],
    "services": [[], ["web"], ["web", {"name": "worker"}], ["8080"]],
    "env": [{}, {"A": ""}, {"_A1": "b\tc"}, {"A": "$HOME \\ \"'"}, {"LDX": "1"}, {"BUILD_SHA256": "1"}, {"A": "é😀"}],
    "dependencies": [{}],
    "dependencies.python": ["3.0", "3.9", "3.10", "3.14"],
    "dependencies.pip_requirements": ["requirements.txt", "deps/locked.txt"],
    "resources": [{}],
    "resources.cpu_quota": ["80%", "250%", "12.5%", "0.5%", "999999%", "1.25%"],
    "resources.memory_max": ["16G", "1.5G", "512M", "2000000", "50%", "33.33%", "100%", "infinity", "15E"],
    "resources.memory_high": ["12G", "infinity"],
    "resources.tasks_max": [1, 512, 4194304],
    "resources.io_weight": [1, 10000],
    "sandbox": [{}],
    "sandbox.allow": [[], ["gpu", "low-ports", "netlink", "proc", "scheduling"]],
    "sandbox.deny": [[], ["jit", "network"]],
    "executables": [[], ["bin/*"], ["!a", "a/"], ["a b", "\\#x"]],
    "service.entrypoint": ["worker.py"],
    "service.args": [[], ["--port", "80"], [""]],
    "service.env": [{}, {"A": "b"}],
    "service.health": [{"http": "/"}, {"command": ["a"]}, {"http": "/a?b=c&d", "port": 65535}],
}

BAD: dict[str, list[object]] = {
    "name": ["", "A", "1a", "a.b", "a--b", "a-", "_a", "a b", "é", "a" * 27, "a\n", 1, None, True, [], {}],
    "version": [
        "",
        "1",
        "1.0",
        "1.0.0.0",
        "01.0.0",
        "v1.0.0",
        "1.0.0-",
        "1.0.0-01",
        "1.0.0 ",
        "1.0.0\n",
        f"1.0.0-{'a' * 123}",
        1.0,
        None,
    ],
    "entrypoint": [
        *("", "/a", "a/", "./a", "a/.", "../a", "a/../b", "..", ".", "a//b", "a\\b", "a%i", "a\nb", "a\n", "a\tb"),
        *(".capsule_metadata.json", ".capsule_x/y", "a" * 256, "C:/a", None, 1, ["a"]),
    ],
    "services": [None, "web", {"web": {}}, [1], [None], ["Web"], ["a_b"], ["a--b"], ["-a"], ["a" * 33], [{}], [["a"]]],
    "env": [
        *(None, [], "A=b", {"A": 1}, {"A": None}, {"A": True}, {"A": ["b"]}, {"A": {"b": "c"}}, {"a": "b"}, {"": "b"}),
        *({"1A": "b"}, {"A-B": "b"}, {"A": "b\nc"}, {"A": "b\n"}, {"A": "%h"}, {"A": "b\\"}, {"A": "\x00"}),
        *({"LD_PRELOAD": "a"}, {"LD_": "a"}, {"LISTEN_FDS": "1"}, {"PYTHONPATH": "a"}, {"PYTHONHOME": "a"}),
        *({"BASH_ENV": "a"}, {"NOTIFY_SOCKET": "a"}, {"BUILD_SHA": "a"}, {"A": "\u2028"}, {"A\n": "b"}),
    ],
    "dependencies": [None, [], {"pip": "a"}],
    "dependencies.python": ["", "3", "3.11.4", ">=3.11", "2.7", "3.01", "3.11\n", 3.11, 3, None],
    "dependencies.pip_requirements": ["/a", "../a", "", None],
    "resources": [None, [], {"cpu": "80%"}],
    "resources.cpu_quota": ["80", "0%", "080%", "-1%", "1.234%", "80 %", "1000000%", "80%\n", "0.0%", 80, 0.8, None],
    "resources.memory_max": [
        "16g",
        "16GB",
        "16Gi",
        "0",
        "-1",
        "0%",
        "101%",
        "max",
        "",
        ".5G",
        "1.5",
        "16G\n",
        16,
        None,
    ],
    "resources.memory_high": ["lots", 1.5],
    "resources.tasks_max": [0, -1, 4194305, 1.5, "512", "50%", None, True],
    "resources.io_weight": [0, 10001, "100", None],
    "sandbox": [None, [], {"permit": ["gpu"]}],
    "sandbox.allow": [None, "gpu", ["GPU"], [""], ["network"], [1], {}],
    "sandbox.deny": [None, "jit", ["proc"], [None]],
    "executables": [None, "bin/*", {}, [""], ["  "], ["#a"], ["a\nb"], [1], [None]],
    "service.entrypoint": ["/a", None],
    "service.args": [None, "a b", [1], ["%h"], ["a\n"], ["a\\"], [["a"]]],
    "service.env": [None, {"a": "b"}],
    "service.health": [
        *(None, {}, [], {"port": 80}, {"http": "/", "command": ["a"]}, {"command": ["a"], "port": 80}, {"tcp": 80}),
        *({"http": ""}, {"http": "up"}, {"http": "/a b"}, {"http": "/%41"}, {"http": "http://localhost/"}, {"http": 1}),
        *({"http": "/", "port": 0}, {"http": "/", "port": 65536}, {"http": "/", "port": "80"}, {"http": "/\n"}),
        *({"command": []}, {"command": "a"}, {"command": ["/bin/true"]}, {"command": ["a", 1]}, {"command": [""]}),
        *({"http": "/", "interval": value} for value in (1, "1", "0s", "1h", "1.5s", "01s", "s", "1s\n", "1000000s")),
        *({"http": "/", "successes": value} for value in (0, 101, "3", 1.5)),
    ],
    "unknown": [1],
    "service.unknown": [1],
    "service.name": [None, "A", ""],
}

# Where a schema ends: what needs arithmetic, a comparison of two places, or gitignore's own grammar.
ONLY_THE_VALIDATOR = [
    with_value("services", ["web", {"name": "web"}]),
    with_value("resources.memory_max", "512K"),
    with_value("resources.memory_max", "16E"),
    with_value("service.health", {"http": "/", "deadline": "2s"}),
    with_value("service.health", {"http": "/", "timeout": "61m"}),
    with_value("entrypoint", "é" * 200),
    with_value("executables", ["[a"]),
]


def cases(table: dict[str, list[object]]) -> list[Any]:
    return [
        pytest.param(with_value(path, value), id=f"{path}={json.dumps(value)[:50]}")
        for path, values in table.items()
        for value in values
    ]


@pytest.mark.parametrize("manifest", cases(GOOD))
def test_both_accept(manifest: dict[str, Any]) -> None:
    assert [p for p in check(as_yaml(manifest), "c.yml")[1] if p.severity == "error"] == []
    assert schema_accepts(manifest)


@pytest.mark.parametrize("manifest", cases(BAD))
def test_both_refuse(manifest: dict[str, Any]) -> None:
    assert not validator_accepts(manifest)
    assert not schema_accepts(manifest)


@pytest.mark.parametrize("key", BASE)
def test_both_want_the_required_keys(key: str) -> None:
    manifest = {name: value for name, value in BASE.items() if name != key}
    assert not validator_accepts(manifest)
    assert not schema_accepts(manifest)


@pytest.mark.parametrize("manifest", ONLY_THE_VALIDATOR, ids=lambda manifest: json.dumps(manifest)[60:100])
def test_only_the_validator_refuses_what_a_schema_cannot_say(manifest: dict[str, Any]) -> None:
    assert not validator_accepts(manifest)
    assert schema_accepts(manifest)


@pytest.mark.parametrize("data", [SPECIFIED, EVERYTHING], ids=["specified", "everything"])
def test_both_accept_real_manifests(data: bytes) -> None:
    assert check(data, "c.yml")[0] is not None
    assert schema_accepts(yaml.safe_load(data.replace(b"%YAML 1.2\n", b"")))


VALUES = [(path, value) for table in (GOOD, BAD) for path, values in table.items() for value in values]
TEXT_KEYS = [path for path, values in GOOD.items() if all(isinstance(value, str) for value in values)]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(VALUES), max_size=4))
def test_both_agree_on_mixtures(chosen: list[tuple[str, object]]) -> None:
    manifest = copy.deepcopy(BASE)
    for path, value in chosen:
        if "." not in path or path.split(".")[0] not in manifest:
            manifest |= {key: new for key, new in with_value(path, value).items() if key == path or key not in manifest}
    assert validator_accepts(manifest) == schema_accepts(manifest)


@settings(max_examples=1000, deadline=None)
@given(
    st.sampled_from([path for path in TEXT_KEYS if not path.startswith("resources.memory")]),
    st.text("aAbB09.-_+/%\\: \n\té\u2028#~", max_size=12),
)
def test_both_agree_on_any_text(path: str, text: str) -> None:
    manifest = with_value(path, text)
    assert validator_accepts(manifest) == schema_accepts(manifest)


@settings(max_examples=500, deadline=None)
@given(st.text("A_b0aLD=%\\\n\té", max_size=6), st.text("aB0 %\\\n\té\x7f\u2028'\"$", max_size=6))
def test_both_agree_on_any_variable(name: str, value: str) -> None:
    manifest = with_value("env", {name: value})
    assert validator_accepts(manifest) == schema_accepts(manifest)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]


def test_both_know_the_same_keys() -> None:
    top, defs = SCHEMA["properties"], SCHEMA["$defs"]
    assert {
        "the manifest": tuple(top),
        "a service": tuple(defs["service"]["properties"]),
        "health": tuple(defs["health"]["properties"]),
        "dependencies": tuple(top["dependencies"]["properties"]),
        "resources": tuple(top["resources"]["properties"]),
        "sandbox": tuple(top["sandbox"]["properties"]),
    } == SECTION_KEYS


def test_both_have_the_same_patterns_and_limits() -> None:
    top, defs = SCHEMA["properties"], SCHEMA["$defs"]
    limits = top["resources"]["properties"]
    asked = defs["health"]["properties"]
    assert top["name"]["pattern"] == f"^{names.NAME_PATTERN}$"
    assert top["name"]["maxLength"] == names.NAME_LENGTH
    assert defs["serviceName"]["pattern"] == f"^{names.SERVICE_NAME_PATTERN}$"
    assert defs["serviceName"]["maxLength"] == names.SERVICE_NAME_LENGTH
    assert defs["env"]["propertyNames"]["pattern"] == f"^{names.VARIABLE_PATTERN}$"
    assert top["version"]["pattern"] == f"^{versions.VERSION_PATTERN}$"
    assert top["version"]["maxLength"] == versions.VERSION_LENGTH
    assert top["dependencies"]["properties"]["python"]["pattern"] == f"^{versions.PYTHON_PATTERN}$"
    assert limits["cpu_quota"]["pattern"] == f"^{quantities.CPU_QUOTA_PATTERN}$"
    assert defs["memory"]["pattern"] == f"^{quantities.MEMORY_PATTERN}$"
    assert defs["duration"]["pattern"] == f"^{quantities.DURATION_PATTERN}$"
    assert limits["tasks_max"]["maximum"] == resources.MOST_TASKS
    assert limits["io_weight"]["maximum"] == resources.MOST_IO_WEIGHT
    assert asked["http"]["pattern"] == f"^{unit_text.HTTP_PATH_PATTERN}$"
    assert asked["http"]["maxLength"] == unit_text.HTTP_PATH_LENGTH
    assert asked["port"]["maximum"] == health.MOST_PORT
    assert asked["successes"]["maximum"] == health.MOST_SUCCESSES
    assert defs["path"]["maxLength"] == unit_text.PATH_LENGTH
    assert top["sandbox"]["properties"]["allow"]["items"]["enum"] == list(sandbox.ALLOWED)
    assert top["sandbox"]["properties"]["deny"]["items"]["enum"] == list(sandbox.DENIED)
    assert top["executables"]["items"]["pattern"] == f"^{executable_patterns.EXECUTABLE_PATTERN}$"


def test_the_schema_names_the_defaults_of_the_model() -> None:
    asked = SCHEMA["$defs"]["health"]["properties"]
    for key in ("interval", "timeout", "deadline"):
        assert quantities.seconds(asked[key]["default"]) == getattr(model.HealthCheck(), key)
    assert asked["successes"]["default"] == model.HealthCheck().successes


def test_every_key_is_described() -> None:
    def undescribed(schema: dict[str, Any], path: str) -> Iterator[str]:
        for key, value in schema.get("properties", {}).items():
            if not value.get("description"):
                yield f"{path}.{key}"
            yield from undescribed(value, f"{path}.{key}")

    missing = [*undescribed(SCHEMA, ""), *(m for n, d in SCHEMA["$defs"].items() for m in undescribed(d, n))]
    assert missing == []


@pytest.mark.parametrize("key", ["interval", "timeout", "deadline"])
def test_examples_in_the_schema_are_valid(key: str) -> None:
    for example in SCHEMA["$defs"]["duration"]["examples"]:
        health_check = {"http": "/", "deadline": "10m", key: example} | ({"successes": 1} if key == "deadline" else {})
        assert validator_accepts(with_value("service.health", health_check))
