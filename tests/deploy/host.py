"""A host to deploy to: systemd boots for real, in namespaces of its own over an overlay of the machine's root.

Nothing of the machine is touched: mounts, processes, cgroups, names and network are the host's own, and what it writes
lies in a directory of the test. Needs root and overlayfs. Where it cannot boot, the test fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
_GROUPS = Path("/sys/fs/cgroup")
_BOOT_SECONDS = 60.0
CAPSDEPLOY = "/usr/local/bin/capsdeploy"


class Host:
    """A host that runs. ``root`` is its root directory as seen from here, while it runs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._group = f"tori-test-{os.getpid()}-{secrets.token_hex(4)}"
        self._outer: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @property
    def root(self) -> Path:
        return Path(f"/proc/{self._pid}/root")

    def start(self) -> None:
        """Boots it, with all that an earlier boot has written."""
        self._directory.mkdir(parents=True, exist_ok=True)
        log = self._directory / "boot.log"
        command = [
            *("unshare", "--mount", "--pid", "--fork", "--cgroup", "--uts", "--ipc", "--net", "--kill-child=KILL"),
            *("--propagation", "private", "bash", str(Path(__file__).with_name("boot.sh"))),
            *(str(self._directory / "root"), str(self._directory / "upper"), *_shown_inside()),
        ]
        try:
            groups = self._make_groups()
            with log.open("wb") as file:
                self._outer = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=lambda: _enter(groups),  # before the namespaces, so that these groups are their roots
                )
            self._wait_for_boot()
        except BaseException as failed:
            self.stop()
            said = log.read_text(errors="replace") if log.exists() else ""
            raise HostError(f"no host to test with: {failed}\n{said}") from failed
        self._install_command()

    def _wait_for_boot(self) -> None:
        assert self._outer is not None
        ends = time.monotonic() + _BOOT_SECONDS
        state = "nothing"
        while time.monotonic() < ends:
            if self._outer.poll() is not None:
                raise HostError(f"it ended with {self._outer.returncode} while it booted")
            self._pid = self._find_systemd()
            if self._pid:
                asked = self.run("systemctl", "is-system-running", check=False)
                state = asked.stdout.strip() or asked.stderr.strip()
                if state in ("running", "degraded"):
                    return
            time.sleep(0.03)
        raise HostError(f"it did not boot in {_BOOT_SECONDS:g} s: {state}")

    def _find_systemd(self) -> int:
        assert self._outer is not None
        with contextlib.suppress(OSError, LookupError):  # it may be ending just now
            child = int(Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()[0])
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return child
        return 0

    def _install_command(self) -> None:
        """``capsdeploy`` of this checkout."""
        script = f"""\
#!{sys.executable}
import sys
sys.path.insert(0, {str(CHECKOUT)!r})
sys.dont_write_bytecode = True
from capsule_deploy.cli.capsdeploy import main
raise SystemExit(main())
"""
        place = self.root / CAPSDEPLOY[1:]
        place.write_text(script)
        place.chmod(0o755)

    def command(self, *words: str) -> list[str]:
        """The command that runs ``words`` on the host."""
        inside = ("nsenter", "-t", str(self._pid), "-m", "-p", "-C", "-u", "-i", "-n", "-r", "-w", "--")
        environment = ("env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8")
        return [*inside, *environment, *words]

    def run(self, *words: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Runs a command on the host, as root."""
        done = subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """What systemd knows of a unit."""
        said = self.run("systemctl", "show", unit, *(f"-p{name}" for name in properties)).stdout
        return dict(line.partition("=")[::2] for line in said.splitlines())

    def get(self, url: str) -> dict[str, object]:
        """The JSON that an HTTP service of the host answers."""
        answer: dict[str, object] = json.loads(self.run("curl", "-sS", "--fail", "--max-time", "5", url).stdout)
        return answer

    def reboot(self, *, power_cut: bool = False) -> None:
        """Stops everything, in good order or all at once, and boots again."""
        assert self._outer is not None
        if not power_cut:
            self.run("systemctl", "reboot", check=False)
            self._outer.wait(60)
        self.stop()
        self.start()

    def stop(self) -> None:
        """Ends it, however far it got, and takes away all that the machine had of it."""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)  # and with it every process of its namespace
        if self._outer is not None:
            if not self._pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._outer.pid, signal.SIGKILL)
            self._outer.wait(30)
        self._outer, self._pid = None, 0
        for group in _hierarchies():
            for place, _, _ in os.walk(group / self._group, topdown=False):
                _remove_group(Path(place))

    def _make_groups(self) -> list[Path]:
        groups = []
        for hierarchy in _hierarchies():
            group = hierarchy / self._group
            if (hierarchy / "cgroup.subtree_control").exists():
                for controller in (hierarchy / "cgroup.controllers").read_text().split():
                    with contextlib.suppress(OSError):
                        (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}")
            group.mkdir()
            for name in ("cpuset.cpus", "cpuset.mems"):  # a new group of version 1 has none, and takes no process
                if (group / name).exists() and (hierarchy / name).exists():
                    (group / name).write_text((hierarchy / name).read_text())
            groups.append(group)
        return groups


class HostError(Exception):
    """The host does not boot."""


def _hierarchies() -> list[Path]:
    if (_GROUPS / "cgroup.procs").exists():
        return [_GROUPS]
    return [place for place in sorted(_GROUPS.iterdir()) if not place.is_symlink() and place.is_mount()]


def _enter(groups: Sequence[Path]) -> None:
    for group in groups:
        (group / "cgroup.procs").write_text(str(os.getpid()))


def _remove_group(group: Path) -> None:
    for _ in range(100):  # the last of its processes may not be gone yet
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)
        else:
            return


def _shown_inside() -> list[str]:
    """The checkout and the Python that runs this, which may lie where the host has a /tmp of its own."""
    places = dict.fromkeys(os.path.realpath(place) for place in (CHECKOUT, sys.prefix))
    return [place for place in places if not any(place.startswith(f"{other}/") for other in places)]


@contextlib.contextmanager
def booted(directory: Path) -> Iterator[Host]:
    """A host that runs, and is gone afterwards."""
    host = Host(directory)
    try:
        host.start()
        yield host
    finally:
        host.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with booted(tmp_path / "host") as running:
        yield running


@pytest.fixture(scope="module")
def shared_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One for all tests of a module, for those that leave it as it was."""
    with booted(tmp_path_factory.mktemp("shared") / "host") as running:
        yield running
