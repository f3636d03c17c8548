"""A release's units: what is in them, and that nothing else can be."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck as Check
from hypothesis import given, settings
from hypothesis import strategies as st

from capsule_builder.errors import CapsuleError
from capsule_builder.manifest import Manifest, Resources, Sandbox, Service, load
from capsule_builder.manifest.sandbox import ALLOWED, DENIED
from capsule_deploy import systemd, units
from capsule_deploy.layout import Layout
from capsule_deploy.releases import Release
from tests.deploy.laid_out import lay_out

MANIFEST = """\
name: my-app
version: 1.2.3
entrypoint: app/main.py
services:
  - core
  - name: bridge
    entrypoint: bin/bridge
    args: ["--port", "80", "a b", "$HOME", ";"]
    env: {LEVEL: "x y"}
    health: {http: /up}
  - name: worker
    health: {command: [bin/check, -q], timeout: 1500ms}
env: {LEVEL: info, TEXT: 'say "hi" to $USER'}
resources: {cpu_quota: "80%", memory_max: "16G", tasks_max: 64}
sandbox: {allow: [proc]}
"""
FILES = {
    "app/main.py": "print(1)\n",
    "bin/bridge": "#!/bin/sh\n",
    "bin/check": "#!/bin/sh\n",
    "venv/bin/python -> python3.11": "",
    "venv/bin/python3.11 -> /opt/tori/python/3.11/bin/python3.11": "",
}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    return Layout(str(tmp_path))


@pytest.fixture
def release(layout: Layout) -> Release:
    return lay_out(layout, MANIFEST, FILES)


def test_the_units_are_these(layout: Layout, release: Release) -> None:
    files = units.render(release, release.manifest())
    golden = Path(__file__).with_name("units.golden").read_text()
    text = "".join(f"=== {name}\n{text}" for name, text in files.items() if text != units.template())
    assert text.replace(release.id, "<id>").replace(release.short, "<short>") == golden
    assert [name.replace(release.short, "X") for name, text in files.items() if text == units.template()] == [
        "tori-bridge@X.service",
        "tori-worker@X.service",
        "tori-worker.check@X.service",
    ]


def test_writing_them_again_changes_nothing_and_removing_leaves_nothing(layout: Layout, release: Release) -> None:
    before = sorted(Path(layout.units).rglob("*"))
    assert units.write(layout, release)
    stray = Path(layout.units, f"tori-gone@{release.short}.service.d")
    assert not units.write(layout, release)
    stray.mkdir()
    (stray / units.DROP_IN).write_text("of a service that is no longer")
    (stray / f".{units.DROP_IN}.0123.partial").write_text("")
    assert units.write(layout, release)
    assert not stray.exists()
    other = Path(layout.units, "tori-my-app-0123456789ab.slice")
    other.write_text("[Slice]\n")
    assert units.remove(layout, release.id)
    assert not units.remove(layout, release.id)
    other.unlink()
    assert sorted(Path(layout.units).rglob("*")) == before


CONTROL = st.text(st.characters(codec="utf-8"), max_size=30)


@settings(max_examples=300, deadline=None, suppress_health_check=[Check.function_scoped_fixture])
@given(CONTROL, CONTROL, CONTROL)
def test_no_value_of_a_manifest_adds_a_line(layout: Layout, value: str, argument: str, entrypoint: str) -> None:
    """Not even values that the manifest's own rules would not let through."""
    release = _release(layout)
    manifest = Manifest("a", "1.0.0", "x.py", (Service("w", args=(argument,)),), {"V": value}, python="3.11")
    odd = manifest._replace(entrypoint=f"{entrypoint}.py")
    tame = manifest._replace(env={"V": "x"}, services=(Service("w", args=("x",)),))
    for hostile in (manifest, odd):
        try:
            files = units.render(release, hostile)
        except (CapsuleError, ValueError):
            continue
        expected = units.render(release, tame)
        assert _settings(files) == _settings(expected)


@pytest.mark.parametrize("field", ["cpu_quota", "memory_max", "memory_high"])
@pytest.mark.parametrize("value", ["1G\nUser=root", "80% \\", "$(x)", "%n", ""])
def test_no_limit_adds_a_line(layout: Layout, field: str, value: str) -> None:
    manifest = Manifest("a", "1.0.0", "x.py", python="3.11", resources=Resources(**{field: value}))
    with pytest.raises(CapsuleError):
        units.render(_release(layout), manifest)


@pytest.mark.parametrize("change", [{"version": "1\nUser=root"}, {"name": "b"}])
def test_no_name_adds_a_line(layout: Layout, change: dict[str, str]) -> None:
    manifest = Manifest("a", "1.0.0", "x.py", python="3.11")._replace(**change)
    with pytest.raises(CapsuleError):
        units.render(_release(layout), manifest)


def _release(layout: Layout) -> Release:
    manifest = "name: a\nversion: 1.0.0\nentrypoint: x.py\ndependencies: {python: '3.11'}\n"
    try:
        return lay_out(layout, manifest, {"x.py": ""})
    except FileExistsError:
        from capsule_deploy.releases import installed

        return installed(layout)[0]


def _settings(files: dict[str, str]) -> list[tuple[str, list[str]]]:
    return [(name, [line.partition("=")[0] for line in text.split("\n")]) for name, text in files.items()]


def score(layout: Layout, release: Release) -> float:
    """The exposure that systemd's own analyser finds, from 0 (none) to 10."""
    Path(layout.units, units.TEMPLATE).write_text(units.template())
    units.write(layout, release)
    return systemd.exposure(layout.root, f"tori@{release.short}.service")


@pytest.mark.parametrize(
    ("sandbox", "most"),
    [("{}", 1.5), *((f"{{allow: [{word}]}}", 2.0) for word in ALLOWED), ("{deny: [jit, network]}", 0.6)],
)
def test_the_exposure_is_low(layout: Layout, sandbox: str, most: float) -> None:
    manifest = f"name: a\nversion: 1.0.0\nentrypoint: x\nsandbox: {sandbox}\n"
    release = lay_out(layout, manifest, {"x": "#!/bin/sh\n"})
    assert score(layout, release) <= most


@pytest.mark.parametrize("words", [*((word,) for word in ALLOWED), ALLOWED])
def test_systemd_takes_every_line(layout: Layout, words: tuple[str, ...]) -> None:
    manifest = MANIFEST.replace("allow: [proc]", f"allow: [{', '.join(words)}], deny: [{', '.join(DENIED)}]")
    release = lay_out(layout, manifest, FILES)
    units.write(layout, release)
    Path(layout.units, units.TEMPLATE).write_text(units.template())
    named = [
        str(Path(layout.units, name))
        for name in units.render(release, release.manifest())
        if not name.endswith(".conf")
    ]
    done = subprocess.run(
        [
            "systemd-analyze",
            "verify",
            "--man=no",
            "--recursive-errors=no",
            *named,
            str(Path(layout.units, f"tori@{release.short}.service")),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    complaints = [line for line in done.stderr.splitlines() if str(layout.units) in line or "Unknown" in line]
    assert complaints == []


def test_a_program_that_cannot_be_started_is_refused(layout: Layout) -> None:
    release = lay_out(layout, "name: a\nversion: 1.0.0\nentrypoint: x.py\n", {"x.py": "print()"})
    with pytest.raises(CapsuleError, match=r"Cannot be started: x\.py"):
        units.render(release, release.manifest())


def test_the_sandbox_is_as_declared(layout: Layout, release: Release) -> None:
    manifest = load(MANIFEST.encode(), "c")[0]._replace(sandbox=Sandbox(allow=("netlink", "gpu"), deny=("jit",)))
    text = units.render(release, manifest)[f"tori@{release.short}.service.d/50-capsule.conf"]
    assert "# sandbox.allow: gpu, netlink\n" in text
    assert "PrivateDevices=no\n" in text
    assert "MemoryDenyWriteExecute=yes\n" in text


def test_what_killed_commands_left_among_the_units_is_swept(layout: Layout, release: Release) -> None:
    place = Path(layout.units)
    units.write(layout, release)
    (place / f"tori@{release.short}.service.d/mine.conf").write_text("[Service]\n")
    sound = sorted(place.rglob("*"))
    half = ".tori-a-0123456789ab.slice.0123456789abcdef.partial"
    for left in (place / half, place / f"tori@{release.short}.service.d/.50-capsule.conf.0123456789abcdef.partial"):
        left.write_text("[Sli")
    (place / "tori@0123456789ab.service.d").mkdir()
    units.sweep(layout)
    assert sorted(place.rglob("*")) == sound


def test_what_is_being_written_and_what_others_put_there_is_not_swept(layout: Layout) -> None:
    place = Path(layout.units)
    other = place / "tori@0123456789ab.service.d"
    other.mkdir()
    (other / "mine.conf").write_text("[Service]\n")
    (place / ".other.0123456789abcdef.partial").write_text("")
    (place / "link.d").mkdir()
    (place / "tori@ba9876543210.service.d").symlink_to("link.d")
    with open(place / ".tori-a-0123456789ab.slice.0123456789abcdef.partial", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        there = sorted(place.rglob("*"))
        units.sweep(layout)
        assert sorted(place.rglob("*")) == there
