"""The real environment: one lock, its wheels on this disk, an application, and the commands that build its capsule."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.determinism import pythons

REPOSITORY = Path(__file__).resolve().parents[2]
LOCK = REPOSITORY / "requirements" / "environment.txt"
WHEELS = REPOSITORY / ".dev" / "environment_wheels"
LARGE_WHEELS = REPOSITORY / ".dev" / "wheels"
TOOLS = REPOSITORY / ".dev" / "venv" / "bin"
PYTHON = pythons.found()["3.11"]
"""The interpreter of the environments, and the one that the hosts of the tests have."""

LIBRARY = "venv/lib/python3.11"
SITE = f"{LIBRARY}/site-packages"

MANIFEST = """\
name: flagship
version: 1.0.0
entrypoint: serve.py
dependencies:
  python: "3.11"
  pip_requirements: requirements.txt
"""
SERVE = "import flask, numpy, sys\nprint(sys.prefix, sys.base_prefix, flask.__name__, int(numpy.arange(4).sum()))\n"


# Who waits would wait for days; and to fake every stat makes everything slow.
_CLOCKS_LEFT_ALONE = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}


@functools.cache
def _faketime() -> str:
    """The library that fakes the time. Its command would share a clock among processes, which takes far longer."""
    ask = ["faketime", "-f", "+0d", "sh", "-c", 'echo "$LD_PRELOAD"']
    return subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip()


@dataclass(frozen=True)
class Situation:
    """What must not matter to whoever makes an environment or a capsule: the umask, the day, the seed of hashes."""

    umask: int = 0o022
    days: int = 0
    seed: str = "0"
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *command: str | Path, cwd: Path | None = None) -> str:
        """Runs a command that must succeed, with nothing else of this process's environment; gives what it printed."""
        variables = {
            "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": self.seed, "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_NO_CONFIG": "1", "UV_OFFLINE": "1", **self.environment,
        }  # fmt: skip
        if self.days:
            variables |= {"LD_PRELOAD": _faketime(), "FAKETIME": f"{self.days:+}d", **_CLOCKS_LEFT_ALONE}
        done = subprocess.run(
            list(map(str, command)), env=variables, cwd=cwd, umask=self.umask, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout


PLAIN = Situation()
OTHER = Situation(0o077, 2, "4242", {"TZ": "Asia/Tokyo", "LC_ALL": "C"})
OTHER_TODAY = dataclasses.replace(OTHER, days=0)
"""For what reads many files, which a faked clock slows down."""


def application(place: Path) -> Path:
    """Writes the application, without an environment."""
    place.mkdir(parents=True)
    (place / "capsule.yml").write_text(MANIFEST)
    (place / "serve.py").write_text(SERVE)
    shutil.copyfile(LOCK, place / "requirements.txt")
    return place


def capsbuild(*arguments: str | Path, situation: Situation = PLAIN) -> dict[str, Any]:
    """Builds a capsule, with no warning, and gives what ``--json`` says of it."""
    command = [sys.executable, "-m", "capsule_builder.cli.capsbuild", *arguments]
    fast = ["--compression-level", "1"]
    said: dict[str, Any] = json.loads(situation.run(*command, *fast, "--json", "--quiet", cwd=REPOSITORY))
    assert said["warnings"] == []
    return said


def unpack(archive: Path, place: Path) -> Path:
    """Unpacks a capsule with tar, and lets coreutils check it."""
    place.mkdir(parents=True)
    subprocess.run(["tar", "xzf", archive, "-C", place], check=True)
    subprocess.run(["sha256sum", "--strict", "--quiet", "-c", ".capsule_contents"], cwd=place, check=True)
    return place


def files_of(venv: Path) -> set[str]:
    """Every path below an environment that is no directory, links too, relative to it."""
    return {
        os.path.relpath(os.path.join(directory, name), venv)
        for directory, below, names in os.walk(venv)
        for name in [*names, *(name for name in below if os.path.islink(os.path.join(directory, name)))]
    }


def link_tree(source: Path, target: Path) -> Path:
    """A copy that shares its files: to be read alone."""
    return Path(shutil.copytree(source, target, symlinks=True, copy_function=os.link))


@contextmanager
def open_place() -> Iterator[Path]:
    """A new directory that every user may enter, as pytest's own are not."""
    place = Path(tempfile.mkdtemp(prefix="environment-"))
    try:
        place.chmod(0o755)
        yield place
    finally:
        shutil.rmtree(place)
