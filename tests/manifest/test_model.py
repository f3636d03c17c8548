"""What a valid manifest becomes."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import capsule_builder.manifest
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.manifest import (
    HealthCheck,
    Manifest,
    ManifestError,
    ManifestProblem,
    Resources,
    Sandbox,
    Service,
    check,
    load,
)

SPECIFIED = b"""\
name: tori-metacognitive
version: 2.1.0
entrypoint: alan_backend/start_true_metacognition.py
services:
  - metacognitive-core
  - websocket-bridge
env:
  PYTHONUNBUFFERED: "1"
  TORI_STATE_ROOT: "/opt/tori/state"
  MAX_TOKENS_PER_MIN: "200"
dependencies:
  python: "3.11"
  pip_requirements: requirements_nodb.txt
resources:
  cpu_quota: "80%"
  memory_max: "16G"
"""

EVERYTHING = b"""\
%YAML 1.2
---
"name": 'app_2'
version: 1.2.3-rc.1+build.5
entrypoint: bin/my-app
services:
  - name: web
    entrypoint: "app/web server.py"
    args: [--port, "8080", "", "a\\tb", "$HOME", '"quoted"', "back\\\\slash"]
    env: {PORT: "8080", "NO": 'no', EMPTY: ""}
    health: {http: "/up?deep=1", port: 8080, interval: 500ms, timeout: 2s, deadline: 2m, successes: 5}
  - name: worker-2
    health:
      command: [bin/check, --quick]
  - {name: bridge, health: {http: /}}
  - plain
env: {}
resources:
  cpu_quota: 250.5%
  memory_max: infinity
  memory_high: 33.3%
  tasks_max: 512
  io_weight: 1
sandbox: {allow: [proc, gpu], deny: [jit]}
executables: ["bin/*", "!bin/data", '*.sh', "\\\\#odd"]
...
"""


def test_the_manifest_of_the_specification_is_valid() -> None:
    assert load(SPECIFIED, "capsule.yml") == (
        Manifest(
            name="tori-metacognitive",
            version="2.1.0",
            entrypoint="alan_backend/start_true_metacognition.py",
            services=(Service("metacognitive-core"), Service("websocket-bridge")),
            env={"PYTHONUNBUFFERED": "1", "TORI_STATE_ROOT": "/opt/tori/state", "MAX_TOKENS_PER_MIN": "200"},
            python="3.11",
            pip_requirements="requirements_nodb.txt",
            resources=Resources(cpu_quota="80%", memory_max="16G"),
            executables=(),
        ),
        (),
    )


def test_every_key_reaches_the_model() -> None:
    manifest, problems = load(EVERYTHING, "capsule.yml")
    assert [problem.code for problem in problems] == ["entrypoint-not-a-path"]
    assert manifest == Manifest(
        name="app_2",
        version="1.2.3-rc.1+build.5",
        entrypoint="bin/my-app",
        services=(
            Service(
                "web",
                "app/web server.py",
                ("--port", "8080", "", "a\tb", "$HOME", '"quoted"', "back\\slash"),
                {"PORT": "8080", "NO": "no", "EMPTY": ""},
                HealthCheck(http="/up?deep=1", port=8080, interval=0.5, timeout=2.0, deadline=120.0, successes=5),
            ),
            Service("worker-2", health=HealthCheck(command=("bin/check", "--quick"))),
            Service("bridge", health=HealthCheck(http="/")),
            Service("plain"),
        ),
        resources=Resources("250.5%", "infinity", "33.3%", 512, 1),
        sandbox=Sandbox(allow=("proc", "gpu"), deny=("jit",)),
        executables=("bin/*", "!bin/data", "*.sh", "\\#odd"),
    )


def test_the_defaults_of_a_health_check_are_these() -> None:
    health = HealthCheck(http="/")
    assert (health.interval, health.timeout, health.deadline, health.successes) == (1.0, 5.0, 60.0, 3)


@pytest.mark.parametrize("line_end", [b"\r\n", b"\r", b"\n"])
def test_line_ends_change_nothing(line_end: bytes) -> None:
    assert check(SPECIFIED.replace(b"\n", line_end), "capsule.yml") == check(SPECIFIED, "capsule.yml")


def test_positions_count_characters_from_one_also_after_crlf() -> None:
    text = 'name: a # é\r\n"version": "é"\r\nentrypoint: a\r\n'
    assert [(p.line, p.column) for p in check(text.encode(), "c.yml")[1]] == [(2, 12)]


def test_the_model_cannot_be_changed_but_copied() -> None:
    manifest, _ = load(SPECIFIED, "capsule.yml")
    with pytest.raises(AttributeError):
        manifest.name = "other"  # type: ignore[misc]
    assert manifest._replace(name="other").name == "other"
    assert manifest.resources._asdict()["memory_max"] == "16G"


def test_load_raises_every_problem_as_one_refusal() -> None:
    with pytest.raises(ManifestError) as caught:
        load(b"name: A\nversion: 1.0\n", "c.yml")
    assert isinstance(caught.value, CapsuleError)
    assert all(
        isinstance(problem, ManifestProblem) and isinstance(problem, Problem) for problem in caught.value.problems
    )
    assert str(caught.value).splitlines() == [str(problem) for problem in check(b"name: A\nversion: 1.0\n", "c.yml")[1]]
    assert [problem.field for problem in caught.value.problems] == ["entrypoint", "name", "version"]


def test_warnings_alone_do_not_refuse() -> None:
    manifest, problems = load(b"name: a\nversion: 1.0.0\nentrypoint: python main.py\n", "c.yml")
    assert manifest.entrypoint == "python main.py"
    assert [problem.severity for problem in problems] == ["warning"]


def test_the_file_name_cannot_break_the_line() -> None:
    assert str(check(b"", "a\nb\x1b\udcff.yml")[1][0]).startswith("a\\nb\\x1b\\udcff.yml:1:1: error: ")


def test_importing_the_package_does_not_load_yaml() -> None:
    code = "import sys, capsule_builder.manifest; print('yaml' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_the_examples_in_the_docstrings_are_true() -> None:
    tried = 0
    for module in pkgutil.iter_modules(capsule_builder.manifest.__path__, "capsule_builder.manifest."):
        tried += doctest.testmod(importlib.import_module(module.name), raise_on_error=True).attempted
    tried += doctest.testmod(capsule_builder.manifest, raise_on_error=True).attempted
    assert tried >= 5
