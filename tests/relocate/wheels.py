"""Small wheels, made in code: every sort of file that installers treat in their own way."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.relocate.elf import library


def wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, bytes],
    *,
    sizes: bool = True,
    algorithm: str = "sha256",
    rows: str = "",
) -> Path:
    """A wheel in ``folder``; ``DI`` and ``DATA`` at the head of a path stand for its ``.dist-info`` and ``.data``.

    ``algorithm`` is that of its RECORD, to which ``rows`` are added.
    """
    stem = f"{name}-{version}"
    places = {"DI": f"{stem}.dist-info", "DATA": f"{stem}.data"}
    whole = {
        "DI/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        "DI/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **files,
    }
    record = ""
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, data in whole.items():
            head, _, rest = key.partition("/")
            place = f"{places.get(head, head)}/{rest}" if rest else key
            digest = base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).decode().rstrip("=")
            record += f"{place},{algorithm}={digest},{len(data) if sizes else ''}\n"
            archive.writestr(place, data)
        own = f"{places['DI']}/RECORD"
        archive.writestr(own, f"{record}{rows}{own},,\n")
    return path


SCRIPTS = {
    "plain": b"#!python\nprint(1)\n",
    "args": b"#!python -Es\nprint(1)\n",
    "windowed": b"#!pythonw\nprint(1)\n",
    "three": b"#!python3\nprint(1)\n",
    "crlf": b"#!python\r\nprint(1)\r\n",
    "space": b"#! python\nprint(1)\n",
    "cookie": b'#!python\n# -*- coding: latin-1 -*-\n"""d\xe9"""\nfrom __future__ import annotations\nprint(1)\n',
    "env": b"#!/usr/bin/env python3\nprint(1)\n",
    "env-s": b"#!/usr/bin/env -S python3 -u\nprint(1)\n",
    "system": b"#!/usr/bin/python3 -u\nprint(1)\n",
    "no-newline": b"#!python",
    "shell": b"#!/bin/sh\nexec python -c 1\n",
    "batch.cmd": b"@echo off\r\n",
    "program": library(runpath="$ORIGIN"),
}


def corpus(folder: Path) -> list[Path]:
    """The wheels that every installer gets."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        wheel(
            folder,
            "badscripts",
            "1.0",
            {
                "badscripts/__init__.py": b"class Thing:\n    @staticmethod\n    def main(): print('hi')\n",
                "badscripts/empty.py": b"",
                "DI/entry_points.txt": b"[console_scripts]\nbad-main = badscripts:Thing.main [extra]\n"
                b"[gui_scripts]\nbadGui = badscripts:Thing\n[other]\nx = y\n",
                **{f"DATA/scripts/{name}": data for name, data in SCRIPTS.items()},
            },
        ),
        wheel(
            folder,
            "Big_Headers",
            "2.0.post1",
            {
                "big_headers.py": b"",
                "big/headers.libs/lib.so.1": library(runpath="$ORIGIN/../headers.libs"),
                "DATA/headers/big.h": b"#pragma once\n",
                "DATA/headers/deep/er.h": b"#pragma once\n",
                "DATA/data/share/big/data.json": b"{}",
                "DATA/data/etc/big.conf": b"",
                "DATA/purelib/big_pure.py": b"x = 1\n",
                "DATA/platlib/big_plat.py": b"x = 2\n",
                "DI/licenses/LICENSE": b"yes\n",
            },
        ),
        wheel(folder, "sizeless", "1", {"sizeless.py": b"pass\n"}, sizes=False),
        wheel(
            folder,
            "ns_one",
            "1",
            {"ns/__init__.py": b"# one for all\n", "ns/one.py": b"", "ns/ré.py": b""},
        ),
        wheel(
            folder,
            "ns_two",
            "1",
            {
                "ns/__init__.py": b"# one for all\n",
                "ns/two.py": b"#!/root/of/somebody/else/python\n",
                "ns_two-nspkg.pth": b"import sys; sys.nothing = None\n",
                "ns_two_relative.pth": b"ns\n",
                "ns_two/_vendor/inner-1.dist-info/RECORD": b"not,read,\n",
                "ns_two/__pycache__/keep.nbi": b"cache",
                "sourceless.pyc": b"\0",
            },
        ),
    ]
