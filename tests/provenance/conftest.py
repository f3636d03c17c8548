"""A capsule with an environment of small wheels, which between them have every way to state a licence."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from capsule_builder.building.build import PythonOptions, Source, build
from capsule_builder.metadata import UNSTAMPED, BuildFacts
from capsule_builder.python.gather import Wish
from tests.capsbuild.command import write
from tests.relocate.wheels import wheel

MANIFEST = b'name: alan\nversion: 2.1.0\nentrypoint: start.py\ndependencies:\n  python: "3.11"\n'

METADATA = {
    ("web", "1.0"): 'License-Expression: MIT AND PSF-2.0\nSummary: A web\nRequires-Dist: Core.Part[fast]>=2\n'
    'Requires-Dist: tool; python_version < "3.0"\n',
    ("core_part", "2.0+local.1"): "License: BSD\nClassifier: License :: OSI Approved :: BSD License\n"
    'Provides-Extra: fast\nProvides-Extra: slow\nRequires-Dist: speed; extra == "fast"\n'
    'Requires-Dist: tool; extra == "slow"\n',
    ("speed", "3"): "Classifier: License :: OSI Approved\nClassifier: License :: OSI Approved :: MIT License\n",
    ("tool", "4.1"): "License: apache-2.0\nRequires-Dist: nowhere\n",
    ("text", "5"): f"License: {'All that is written here is written. ' * 20}\n",
    ("round", "6"): "Requires-Dist: trip\n",
    ("trip", "7"): "Requires-Dist: round\n",
}  # fmt: skip
"""What each wheel's METADATA say on top of name and version. ``round`` and ``trip`` require each other."""

Build = Callable[..., Path]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return write(tmp_path / "app", {"capsule.yml": MANIFEST, "start.py": "print('hello')\n"})


@pytest.fixture
def house(tmp_path: Path) -> Path:
    folder = tmp_path / "house"
    folder.mkdir()
    for (name, version), more in METADATA.items():
        head = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
        wheel(folder, name, version, {f"{name}.py": b"", "DI/METADATA": (head + more).encode()})
    return folder


@pytest.fixture
def built(app: Path, house: Path, tmp_path: Path) -> Build:
    """Builds the capsule, and gives where it is."""

    def run(name: str = "app.tar.gz", *, facts: BuildFacts = UNSTAMPED, level: int = 6, wheels: bool = True) -> Path:
        python = PythonOptions(Wish(wheels=os.fspath(house), verify=False)) if wheels else None
        output = os.fspath(tmp_path / name)
        return Path(build(Source(os.fspath(app)), output=output, python=python, build=facts, level=level).archive)

    return run


@pytest.fixture
def capsule(built: Build) -> Path:
    return built()
