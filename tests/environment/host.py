"""A host without the originals: private mounts, a user without rights and without a home, and no environment variables.

Nothing of the real host changes: the mounts are those of one process and its children, and go when they end.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.environment.corpus import PYTHON, REPOSITORY

NOBODY = 65534
PLACE = Path("/mnt/a place with spaces and $signs", *["a-directory-with-a-rather-long-name"] * 3, "capsule")
"""Where capsules lie: more than 100 characters deep."""

# Runs commands that it reads as JSON, a few at a time, and writes what became of them as JSON.
_RUNNER = """
import concurrent.futures, json, subprocess, sys
def run(order):
    command, env, cwd = order
    try:
        done = subprocess.run(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    except OSError as error:
        return [-1, "", str(error)]
    return [done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")]
with concurrent.futures.ThreadPoolExecutor(3) as pool:
    json.dump(list(pool.map(run, json.load(sys.stdin))), sys.stdout)
"""


@dataclass(frozen=True)
class Ran:
    """How a command ended; -1 is the status of one that could not be started."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Host:
    """A host; ``capsule`` lies at :data:`PLACE`, read-only, and every other directory of the build is hidden.

    With ``original`` nothing is hidden, and that directory is read-only, so that both are run under equal conditions.
    Without ``contract`` there is no Python for capsules. ``runner`` is the Python that starts the commands.
    """

    capsule: Path | None = None
    original: Path | None = None
    contract: bool = True
    hidden: tuple[str, ...] = ()
    runner: str = PYTHON
    links: dict[str, str] = field(default_factory=dict)

    def run(
        self, commands: Iterable[Sequence[str | Path]], env: dict[str, str] | None = None, cwd: str | Path = "/"
    ) -> list[Ran]:
        """Runs commands with no environment but a PATH that finds coreutils, or ``env``."""
        variables = {"PATH": "/usr/bin:/bin"} if env is None else env
        orders = [[list(map(str, command)), variables, str(cwd)] for command in commands]
        # Root gives its rights up; somebody else has none, and becomes nobody once the mounts are there.
        drop = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups --no-new-privs"
        if os.geteuid() != 0:
            drop = f"unshare -U --map-user={NOBODY} --map-group={NOBODY}"
        script = "\n".join([*self._mounts(), f'cd / && exec {drop} env -i {shlex.quote(self.runner)} -I -c "$1"'])
        unshare = ["unshare", "-m" if os.geteuid() == 0 else "-rm"]
        done = subprocess.run(
            [*unshare, "sh", "-euc", script, "sh", _RUNNER], input=json.dumps(orders), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return [Ran(*one) for one in json.loads(done.stdout)]

    def _mounts(self) -> Iterable[str]:
        yield "umask 022"
        yield "mount -t tmpfs none /opt"
        if self.contract:
            yield "mkdir -p /opt/tori/python/3.11/bin"
            yield f"ln -s {shlex.quote(PYTHON)} /opt/tori/python/3.11/bin/python3.11"
        yield "mount -t tmpfs none /mnt"
        for link, target in self.links.items():
            yield f"mkdir -p {shlex.quote(os.path.dirname(link))}"
            yield f"ln -s {shlex.quote(target)} {shlex.quote(link)}"
        if self.original:
            yield self._read_only(self.original, self.original)
        if self.capsule:
            yield f"mkdir -p {shlex.quote(str(PLACE))}"
            yield self._read_only(self.capsule, PLACE)
            for path in (*self.hidden, str(REPOSITORY), "/var/tmp", "/tmp"):  # any of them may lie in the last
                quoted = shlex.quote(path)
                empty = f"mount -t tmpfs -o mode=1777 none {quoted}"
                yield f"if [ -d {quoted} ]; then {empty}; else mount --bind /dev/null {quoted}; fi"

    @staticmethod
    def _read_only(source: Path, target: Path) -> str:
        one, other = shlex.quote(str(source)), shlex.quote(str(target))
        return f"mount --bind {one} {other} && mount -o remount,bind,ro {other}"


assert len(str(PLACE)) > 100, PLACE
assert sys.platform == "linux"
