"""What the content must bear out of the manifest, and what it need not but probably should."""

from __future__ import annotations

import pytest

from capsule_builder.agreement import doubts, missing_entrypoints
from capsule_builder.contents import Listed
from capsule_builder.manifest import HealthCheck, Manifest, Service

DIGEST = "a" * 64
CONTRACT = "/opt/tori/python/3.11/bin/python3.11"


def listed(*executables: str, files: tuple[str, ...] = (), links: dict[str, str] | None = None) -> list[Listed]:
    entries = [Listed(path, "executable", DIGEST) for path in executables]
    entries += [Listed(path, "file", DIGEST) for path in files]
    return entries + [Listed(path, "symlink", target) for path, target in (links or {}).items()]


@pytest.mark.parametrize(
    ("entrypoint", "links", "found"),
    [
        ("bin/run", {}, True),
        ("bin/walk", {}, False),
        ("bin", {}, False),
        ("current/run", {"current": "bin"}, True),
        ("run", {"run": "current/run", "current": "bin/"}, True),
        ("run", {"run": "bin"}, False),
        ("run", {"run": "bin/"}, False),
        ("run", {"run": "bin/run/"}, False),
        ("run", {"run": "run"}, False),
        ("run", {"run": "../bin/run"}, False),
        ("run", {"run": CONTRACT}, True),
        ("run/x", {"run": CONTRACT}, False),
        ("run", {"run": "python/", "python": CONTRACT}, False),
        ("l00", {**{f"l{n:02}": f"l{n + 1:02}" for n in range(39)}, "l39": "bin/run"}, True),
        ("l00", {**{f"l{n:02}": f"l{n + 1:02}" for n in range(40)}, "l40": "bin/run"}, False),
    ],
)
def test_an_entrypoint_is_a_file_that_links_may_lead_to(entrypoint: str, links: dict[str, str], found: bool) -> None:
    manifest = Manifest("a", "1.0.0", "bin/run", services=(Service("s", entrypoint=entrypoint),))
    problems = missing_entrypoints(manifest, links, ["bin/run", "bin/other"])
    assert [problem.message for problem in problems] == ([] if found else [f"Entrypoint not found: {entrypoint}"])


def test_the_whole_application_leaves_no_doubt() -> None:
    manifest = Manifest(
        "a",
        "1.0.0",
        "app/start.py",
        services=(Service("s", entrypoint="bin/run", health=HealthCheck(command=("bin/check", "-q"))),),
        pip_requirements="requirements.txt",
        executables=("bin/*", "!bin/x"),
    )
    files = ("app/start.py", "requirements.txt", "venv/pyvenv.cfg")
    assert doubts(manifest, {}, listed("bin/run", "bin/check", files=files)) == []


def test_each_doubt_is_told() -> None:
    manifest = Manifest(
        "a",
        "1.0.0",
        "app/start.py",
        services=(Service("s", entrypoint="bin/run", health=HealthCheck(command=("bin/check",))),),
        pip_requirements="requirements.txt",
        executables=("bin/*", "tols/*"),
    )
    found = doubts(manifest, {}, listed(files=("app/start.py", "bin/run")))
    assert [(problem.code, problem.message) for problem in found] == [
        ("venv-missing", "Python entrypoint found but no venv included"),
        ("entrypoint-not-executable", "Entrypoint is neither a Python file nor executable: bin/run"),
        ("requirements-missing", "Requirements file not found: requirements.txt"),
        ("health-missing", "Health command not found: bin/check"),
        ("executables-unmatched", "Pattern of executables names no file: tols/*"),
    ]


def test_an_entrypoint_may_be_a_program_behind_a_link_or_the_hosts_python() -> None:
    for entrypoint in ("link", "python"):
        links = {"link": "bin/run", "python": CONTRACT}
        assert doubts(Manifest("a", "1.0.0", entrypoint), links, listed("bin/run", links=links)) == []
