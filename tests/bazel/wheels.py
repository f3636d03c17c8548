"""Small wheels, made in code and the same every time, for the package ``environments`` of the workspace ``shop``."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

NATIVE = "cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64"

BANANAS = {
    "bananas/__init__.py": b"import cherry\n\n\ndef peel():\n    print('peeled, with', cherry.COLOUR, 'cherries')\n",
    "DI/entry_points.txt": b"[console_scripts]\npeel = bananas:peel\n",
}
CHERRY = {"cherry.py": b"COLOUR = 'red'\n", "DATA/data/share/cherry/stone.txt": b"hard\n"}


def wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, bytes],
    *,
    tag: str = "py3-none-any",
    metadata: str = "",
    lies: Mapping[str, bytes] | None = None,
) -> Path:
    """A wheel in ``folder``; ``DI`` and ``DATA`` at the head of a path stand for its ``.dist-info`` and ``.data``.

    ``lies`` is what RECORD takes for the content of files.
    """
    stem = f"{name}-{version}"
    places = {"DI": f"{stem}.dist-info", "DATA": f"{stem}.data"}
    python, abi, platforms = tag.split("-")
    tags = "".join(f"Tag: {python}-{abi}-{platform}\n" for platform in platforms.split("."))
    whole = {
        **files,
        "DI/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}".encode(),
        "DI/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n{tags}".encode(),
    }
    record = ""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, data in whole.items():
            head, _, rest = key.partition("/")
            place = f"{places.get(head, head)}/{rest}" if rest else key
            said = (lies or {}).get(key, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(said).digest()).decode().rstrip("=")
            record += f"{place},sha256={digest},{len(said)}\n"
            archive.writestr(_info(place), data)
        own = f"{places['DI']}/RECORD"
        archive.writestr(_info(own), f"{record}{own},,\n")
    return path


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def lock_line(path: Path, marker: str = "") -> str:
    """The line of a lock for a wheel."""
    name, version = path.name.split("-")[:2]
    return f"{name}=={version}{marker} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def fill(package: Path) -> None:
    """Writes the wheels, and the requirements that name their hashes, into the package ``environments``."""
    folder = package / "wheels"
    extra = "Provides-Extra: yellow\nRequires-Dist: dates; extra == 'yellow'\n"
    bananas = wheel(folder, "bananas", "1.0", BANANAS, metadata=f"Requires-Dist: cherry>=2\n{extra}")
    cherry = wheel(folder, "cherry", "2.1", CHERRY, tag=NATIVE)
    wheel(folder, "cherry", "3.0", {"cherry.py": b"COLOUR = 'black'\n"})
    wheel(folder, "clash_a", "1.0", {"clash.py": b"a = 1\n"})
    wheel(folder, "clash_b", "1.0", {"clash.py": b"b = 1\n"})
    wheel(folder, "future", "1.0", {"future.py": b""}, metadata="Requires-Python: >=3.12\n")
    wheel(folder, "glibc", "1.0", {"glibc.py": b""}, tag="cp311-cp311-manylinux_2_34_x86_64")
    wheel(folder, "liar", "1.0", {"liar.py": b"told = 1\n"}, lies={"liar.py": b"told = 2\n"})
    wheel(folder, "mac", "1.0", {"mac.py": b""}, tag="cp311-cp311-macosx_11_0_arm64")
    wheel(folder, "old", "1.0", {"old.py": b""}, tag="cp310-cp310-manylinux2014_x86_64")
    wheel(package / "again", "cherry", "2.1", {"cherry.py": b"COLOUR = 'green'\n"}, tag=NATIVE)
    (folder / "source-1.0.tar.gz").write_bytes(b"")
    (folder / "broken-1.0-py3-none-any.whl").write_bytes(b"not a zip")

    elsewhere = 'pywin==1.0 ; sys_platform == "win32" --hash=sha256:' + "0" * 64 + "\n"
    other_hash = lock_line(bananas).replace("sha256:", "sha256:0")[:-2] + "\n"
    for name, text in {
        "exact": lock_line(bananas) + lock_line(cherry) + elsewhere,
        "cherry": "cherry\n",
        "hash": other_hash + lock_line(cherry),
        "missing": "bananas[yellow]==1.0\ncherry<2\nelderberry\n",
        "requirements": "-c constraints.txt\n" + lock_line(bananas) + lock_line(cherry) + elsewhere,
    }.items():
        (package / f"{name}.txt").write_text(text)
