"""Real capsules to look into: an application, real wheels, and one wheel of two versions."""

from __future__ import annotations

import base64
import hashlib
import shutil
import zipfile
from pathlib import Path

from tests.capsbuild.command import ROOT, capsbuild, write

WHEELS = ROOT / ".dev" / "environment_wheels"
REAL = ("click", "mdurl", "pyyaml")
HOSTILE = "static/</script><script>document.title='taken'</script><!--"
SITE = "venv/lib/python3.11/site-packages"
MANIFEST = 'name: alan\nversion: {version}\nentrypoint: main.py\ndependencies: {{python: "3.11"}}\n{more}'
APPLICATION: dict[str, bytes | str] = {
    "main.py": "print('hello')\n",
    "data/big [1].bin ": bytes(range(256)) * 5000,
    "tests/test_main.py": "x = 1\n" * 100,
    "lib/stubs.pyi": "x: int\n",
    "tool": "echo hello\n",
    HOSTILE: "hostile\n",
    "static/<img src=x onerror=alert(1)>": "hostile too\n",
}


def demo_wheel(folder: Path, version: str) -> None:
    """A wheel of ``demo-lib``, whose packages are called otherwise; the later version has one file more, one less."""
    info = f"demo_lib-{version}.dist-info"
    files = {
        "demonstration/__init__.py": f"version = {version!r}\n",
        "demonstration/same.py": "same = True\n",
        "demonstration/same.pyi": "same: bool\n",
        "demonstration/tests/test_same.py": "assert True\n",
        f"demonstration/only{version[0]}.py": "only = True\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: Demo_Lib\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    with zipfile.ZipFile(folder / f"demo_lib-{version}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            rows.append(f"{name},sha256={digest},{len(text)}\n")
            wheel.writestr(name, text)
        wheel.writestr(f"{info}/RECORD", "".join([*rows, f"{info}/RECORD,,\n"]))


def build(
    place: Path,
    *,
    version: str = "2.1.0",
    more: str = "",
    demo: str = "1.0",
    changed: dict[str, bytes | str] | None = None,
) -> Path:
    """A capsule made in ``place``, a directory that is not there yet; the application's files may be ``changed``."""
    manifest: dict[str, bytes | str] = {"capsule.yml": MANIFEST.format(version=version, more=more)}
    app = write(place / "app", manifest | APPLICATION | (changed or {}))
    wheels = place / "wheels"
    wheels.mkdir()
    for name in REAL:
        [wheel] = WHEELS.glob(f"{name}-*.whl")
        shutil.copy(wheel, wheels)
    demo_wheel(wheels, demo)
    (place / "requirements.txt").write_text("\n".join([*REAL, "demo-lib"]))
    output = place / "alan.tar.gz"
    environment = ["--wheels", wheels, "--requirements", place / "requirements.txt"]
    ran = capsbuild("--from-dir", app, *environment, "--output", output, "--quiet")
    assert ran.status == 0, ran.err
    return output
