"""Runs the services of an unpacked capsule as a host's units would, where nothing of the original can be seen.

Private mounts and a private network: the capsule lies read-only where releases do, only its state directory can be
written to, the originals and the build are hidden, and the services run as nobody. All ends with the one process.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from capsule_builder.manifest import load
from tests.environment.corpus import PYTHON, REPOSITORY
from tests.environment.host import NOBODY

_RUNNER = """
import json, subprocess, sys, time, urllib.request
orders = json.load(sys.stdin)
running = [subprocess.Popen(one["argv"], env=one["env"], cwd=one["cwd"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for one in orders["services"]]
answers = {}
try:
    for url in orders["urls"]:
        end = time.monotonic() + 40
        while time.monotonic() < end:
            try:
                answers[url] = urllib.request.urlopen(url, timeout=5).read().decode()
                break
            except OSError as error:
                answers[url] = repr(error)
                if all(process.poll() is not None for process in running):
                    break
                time.sleep(0.1)
finally:
    alive = [process.poll() is None for process in running]
    for process in running:
        process.terminate()
    outputs = []
    for process in running:
        try:
            outputs.append(process.communicate(timeout=20)[0].decode("utf-8", "replace"))
        except subprocess.TimeoutExpired:
            process.kill()
            outputs.append("had to be killed: " + process.communicate()[0].decode("utf-8", "replace"))
json.dump({"answers": answers, "alive": alive, "outputs": outputs}, sys.stdout)
"""


@dataclass(frozen=True)
class Answers:
    """What the services answered by URL, whether each still ran then, and what each printed."""

    answers: dict[str, str]
    alive: list[bool]
    outputs: list[str]


def run_capsule(capsule: Path, state: Path, urls: Sequence[str]) -> Answers:
    """Starts every service of an unpacked capsule, with ``state`` as its state directory, and asks ``urls``."""
    manifest, _ = load((capsule / "capsule.yml").read_bytes(), "capsule.yml")
    release = f"/opt/tori/releases/{'a' * 64}"
    services = []
    for service in manifest.services or (None,):
        entrypoint = (service.entrypoint if service else None) or manifest.entrypoint
        program = [f"{release}/{entrypoint}"]
        if entrypoint.endswith(".py"):
            program.insert(0, f"{release}/venv/bin/python")
        env = {**manifest.env, **(service.env if service else {})}
        env |= {"PATH": "/usr/bin:/bin", "HOME": "/opt/tori/state", "BUILD_SHA": "a" * 64}
        services.append({"argv": [*program, *(service.args if service else ())], "env": env, "cwd": release})
    mounts = [
        "mount -t tmpfs none /opt",
        "mkdir -p /opt/tori/python/3.11/bin",
        f"ln -s {shlex.quote(PYTHON)} /opt/tori/python/3.11/bin/python3.11",
        f"mkdir -p {release} /opt/tori/state",
        f"mount --bind {shlex.quote(str(capsule))} {release} && mount -o remount,bind,ro {release}",
        f"mount --bind {shlex.quote(str(state))} /opt/tori/state",
        *_hidden(str(REPOSITORY), "/srv", "/var/tmp", "/tmp"),  # any of them may lie in the last
    ]
    state.chmod(0o777)
    for path in state.rglob("*"):
        path.chmod(0o777)
    return _run(mounts, services, urls)


def run_original(mounts: Mapping[Path, str], argv: Sequence[str], cwd: str, urls: Sequence[str]) -> Answers:
    """Runs a command of the old host, where directories of it (here: there) lie in their places; as root, as it did."""
    lines = ["mount -t tmpfs none /srv"]
    for here, there in mounts.items():
        lines += [f"mkdir -p {there}", f"mount --bind {shlex.quote(str(here))} {there}"]
    env = {"PATH": "/usr/bin:/bin"}
    return _run(lines, [{"argv": list(argv), "env": env, "cwd": cwd}], urls, user=0)


def _hidden(*places: str) -> list[str]:
    return [f"mount -t tmpfs -o mode=1777 none {shlex.quote(place)}" for place in places if os.path.isdir(place)]


def _run(mounts: Sequence[str], services: object, urls: Sequence[str], user: int = NOBODY) -> Answers:
    drop = f"setpriv --reuid {user} --regid {user} --clear-groups --no-new-privs" if user else ""
    script = "\n".join(
        ["umask 022", "ip link set lo up", *mounts, f'cd / && exec {drop} env -i {shlex.quote(PYTHON)} -I -c "$1"']
    )
    # A PID namespace of its own: what a script leaves in the background ends with it.
    command = ["unshare", "-m", "-n", "-p", "-f", "--kill-child", "sh", "-euc", script, "sh", _RUNNER]
    orders = json.dumps({"services": services, "urls": list(urls)})
    done = subprocess.run(command, input=orders, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return Answers(**json.loads(done.stdout))
