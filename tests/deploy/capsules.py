"""Small capsules to deploy: built, brought to the host and installed as real ones are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.deploy.host import CHECKOUT, Host

PYTHON = subprocess.run(
    ["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
    capture_output=True,
    text=True,
    check=True,
).stdout.strip()
"""The version of the host's own Python."""

SERVER = '''\
"""Answers with what it is: BEHAVIOUR says how it goes on."""

import http.server
import json
import os
import sys
import threading
import time

BEHAVIOUR = "WELL"
LOADED = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            os._exit(7)
        if self.path == "/grow":
            LOADED.append(bytearray(b"x") * (512 << 20))
        healthy = BEHAVIOUR != "unhealthy" and (BEHAVIOUR != "sickens" or time.monotonic() - began < 0.5)
        text = json.dumps({"build_sha": os.environ["BUILD_SHA"], "uid": os.getuid(), "pid": os.getpid()}).encode()
        self.send_response(200 if healthy else 500)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


began = time.monotonic()
print("begins as", os.environ["BUILD_SHA"], flush=True)
with open(os.environ["TORI_STATE_ROOT"] + "/starts", "a") as file:
    file.write(os.environ["BUILD_SHA"] + "\\n")
if BEHAVIOUR == "ends":
    sys.exit("cannot go on")
if BEHAVIOUR == "dies":
    threading.Timer(0.5, os._exit, [3]).start()
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
'''

MANIFEST = """\
name: demo
version: {version}
entrypoint: server.py
services:
  - name: web
    health: {{http: /, port: 8080, interval: 100ms, timeout: 2s, deadline: 3s, successes: 2}}
dependencies: {{python: "{python}"}}
resources: {{cpu_quota: "80%", memory_max: "256M", tasks_max: 64}}
"""


def demo(version: str, behaviour: str = "well") -> dict[str, str]:
    """The files of the demonstration, in a version that behaves in some way."""
    return {
        "capsule.yml": MANIFEST.format(version=version, python=PYTHON),
        "server.py": SERVER.replace("WELL", behaviour),
    }


def prepare(host: Host) -> None:
    """A host that takes what the tests build."""
    host.run("capsdeploy", "host", "init")
    (host.root / "etc/tori/policy.yml").write_text("unsigned: true\n")


def install(host: Host, files: Mapping[str, str], directory: Path) -> str:
    """Builds a capsule, and installs it on the host; gives its ID."""
    source = directory / f"source-{len(list(directory.iterdir()))}"
    for name, text in files.items():
        place = source / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    archive = directory / f"{source.name}.tar.gz"
    command = [sys.executable, "-m", "capsule_builder.cli.capsbuild", "--from-dir", str(source), "--no-cache", "--json"]
    command += ["--manifest", str(source / "capsule.yml"), "--output", str(archive)]
    built = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, timeout=120)
    assert built.returncode == 0, built.stderr
    (host.root / "root" / archive.name).write_bytes(archive.read_bytes())
    host.run("capsdeploy", "install", f"/root/{archive.name}")
    capsule_id: str = json.loads(built.stdout)["id"]
    return capsule_id
