"""Tiny real wheels, and what real installers say about them."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import uv

from capsule_builder.requirements import Distribution, Requirements, Target, read_requirements

HERE = Target("3.11", "manylinux_2_28_x86_64")


def dist(
    name: str,
    version: str,
    *requires: str,
    extras: Iterable[str] | None = None,
    python: str | None = None,
    tag: str = "py3-none-any",
    direct_url: Mapping[str, object] | None = None,
) -> Distribution:
    extras = tuple(extras) if extras is not None else None
    where = f"{name.replace('-', '_')}-{version}-{tag}.whl"
    return Distribution(name, version, requires, extras, python, (tag,), direct_url, None, where)


def wheel(item: Distribution) -> bytes:
    """The bytes of a wheel that has the metadata of ``item``; the same for the same item."""
    lines = ["Metadata-Version: 2.1", f"Name: {item.name}", f"Version: {item.version}"]
    lines += [f"Requires-Dist: {text}" for text in item.requires]
    lines += [f"Provides-Extra: {text}" for text in item.extras or ()]
    lines += [f"Requires-Python: {item.requires_python}"] if item.requires_python else []
    about = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n" + "".join(f"Tag: {t}\n" for t in item.tags)
    folder = f"{item.name.replace('-', '_')}-{item.version}.dist-info"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in (("METADATA", "\n".join(lines) + "\n"), ("WHEEL", about), ("RECORD", "")):
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}"), text)
    return out.getvalue()


def hashed(item: Distribution) -> Distribution:
    return replace(item, sha256=hashlib.sha256(wheel(item)).hexdigest())


def build(house: Path, items: Iterable[Distribution]) -> None:
    house.mkdir(parents=True)
    for item in items:
        (house / item.where).write_bytes(wheel(item))


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def read(files: Mapping[str, bytes], path: str = "requirements.txt") -> Requirements:
    return read_requirements(path, lambda name: _get(files, name))


def _get(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        raise FileNotFoundError(name)
    return files[name]


def uv_accepts(house: Path, requirements: Path, target: Target, cache: Path) -> tuple[bool, str]:
    """Whether uv would install the requirements from the house alone, for ``target``."""
    libc = target.platform.removesuffix("_x86_64")
    return _run(
        f"{uv.find_uv_bin()} pip install --dry-run --no-config --offline --no-index --prerelease allow --no-build",
        f"--cache-dir {cache} --python {sys.executable}",
        f"--python-version {target.python} --python-platform x86_64-{libc}",
        f"--target {house / 'empty'} --find-links {house} -r {requirements.name}",
        folder=requirements.parent,
    )


def pip_accepts(house: Path, requirements: Path, target: Target, cache: Path) -> tuple[bool, str]:
    """Whether pip would install them; it answers for the interpreter that runs it alone."""
    return _run(
        f"{sys.executable} -m pip --isolated --disable-pip-version-check install --dry-run --no-index --pre",
        f"--no-cache-dir --target {house / 'empty'} --find-links {house} -r {requirements.name}",
        folder=requirements.parent,
    )


def _run(*options: str, folder: Path) -> tuple[bool, str]:
    command = " ".join(options).split()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    ran = subprocess.run(
        command, cwd=folder, env={**clean, "PIP_CONFIG_FILE": os.devnull}, capture_output=True, text=True, check=False
    )
    return ran.returncode == 0, ran.stdout + ran.stderr
