"""Killed in the middle of a change: the host runs one release or the other, and says the same everywhere.

``strace`` kills the command as it enters a system call: each call that changes a name or waits for the disk, and each
start of a program (systemctl), in turn. Then ``capsdeploy recover``, or a reboot without warning, has to find:

- I2 ``active`` names a release that is there;
- I3 it is the old one or the new one, and ``previous`` is as well;
- I4 what runs is what ``active`` says, alone.

Of the calls that come often, ordinary runs take some; ``CAPSULE_ALL_KILLS=1`` takes all of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.capsules import demo, install, prepare
from tests.deploy.host import Host

URL = "http://127.0.0.1:8080/"
CALLS = {"rename": 2, "symlink": 1, "unlink": 1, "ftruncate": 1, "fsync": 8, "vfork": 8}
EVERY = bool(os.environ.get("CAPSULE_ALL_KILLS"))
MOST = 200


@pytest.fixture(scope="module")
def releases(shared_host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, str, str]]:
    """A host that runs the first of two releases."""
    prepare(shared_host)
    directory = tmp_path_factory.mktemp("capsules")
    first, second = (install(shared_host, quick(version), directory) for version in ("1.0.0", "2.0.0"))
    shared_host.run("capsdeploy", "activate", first, "--watch", "0")
    yield shared_host, first, second


def quick(version: str) -> dict[str, str]:
    files = demo(version)
    return {**files, "capsule.yml": files["capsule.yml"].replace("successes: 2", "successes: 1")}


def killed(host: Host, call: str, number: int, *command: str) -> bool:
    """Whether the command was killed at that call; it has ended otherwise."""
    strace = (
        "strace",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:signal=KILL:when={number}",
    )
    done = host.run(*strace, *command, check=False)
    assert done.returncode in (0, -9, 137), done.stderr
    return done.returncode != 0


def links(host: Host) -> dict[str, str]:
    apps = host.root / "opt/tori/apps/demo"
    return {name: (apps / name).readlink().name for name in ("active", "previous") if (apps / name).is_symlink()}


def check(host: Host, ids: set[str], before: dict[str, str]) -> None:
    """Everything that holds after a recovery."""
    found = links(host)
    assert found["active"] in ids
    assert found.get("previous", found["active"]) in ids
    assert found == before or found["active"] != before["active"]  # all of the old, or the new
    assert (host.root / "opt/tori/releases" / found["active"]).is_dir()
    assert not (host.root / "opt/tori/apps/demo/txn").exists()
    running = host.run(
        "systemctl", "list-units", "--no-legend", "--plain", "--state=active,activating", "tori@*"
    ).stdout
    assert [line.split()[0] for line in running.splitlines()] == [f"tori@{found['active'][:12]}.service"]
    answer = host.run("curl", "-sS", "--retry", "30", "--retry-connrefused", "--retry-delay", "1", URL).stdout
    assert json.loads(answer)["build_sha"] == found["active"]
    history = (host.root / "opt/tori/apps/demo/history").read_text().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in history)


@pytest.mark.parametrize("action", ["activate", "rollback"])
@pytest.mark.parametrize("call", CALLS)
def test_recover_mends_what_a_kill_leaves(releases: tuple[Host, str, str], call: str, action: str) -> None:
    host, first, second = releases
    kills = 0
    for number in range(1, MOST, 1 if EVERY else CALLS[call]):
        bring_to(host, first, second)
        before = links(host)
        command = ("activate", second, "--watch", "0") if action == "activate" else ("rollback", "demo")
        if not killed(host, call, number, "capsdeploy", *command):
            break
        kills += 1
        assert links(host)["active"] in (first, second)
        said = host.run("capsdeploy", "recover")
        assert "✅" in said.stdout
        check(host, {first, second}, before)
    else:
        raise AssertionError(f"more than {MOST} times {call}")
    assert kills
    print(f"{action}: killed at {kills} of its calls of {call}")


@pytest.mark.parametrize(
    ("call", "error", "action"),
    [(call, error, "activate") for call in ("rename", "symlink", "fsync", "openat") for error in ("ENOSPC", "EIO")]
    + [("rename", "EIO", "rollback"), ("fsync", "ENOSPC", "rollback"), ("write", "ENOSPC", "rollback")],
)
def test_a_disk_that_takes_no_more_leaves_one_release_or_the_other(
    releases: tuple[Host, str, str], call: str, error: str, action: str
) -> None:
    """Of ``openat``, those that would make a file."""
    host, first, second = releases
    step = 1 if EVERY else CALLS.get(call, 4) if action == "activate" else 4
    numbers = writing_calls(host, first, second) if call == "openat" else range(1, MOST, step)
    command = ("activate", second, "--watch", "0") if action == "activate" else ("rollback", "demo")
    failures = 0
    for number in numbers:
        bring_to(host, first, second)
        before = links(host)
        log = "/run/strace.log"
        strace = ("strace", "-qq", "-o", log, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={number}")
        done = host.run(*strace, "capsdeploy", *command, check=False)
        if "(INJECTED)" not in (host.root / log[1:]).read_text(errors="replace"):
            break
        failures += 1
        assert "Traceback" not in done.stderr
        assert done.returncode in (0, 1, 4, 6, 9, 10), done.stderr
        host.run("capsdeploy", "recover")
        check(host, {first, second}, before)
    assert failures
    print(f"{error}: of {failures} calls of {call}")


def writing_calls(host: Host, first: str, second: str) -> list[int]:
    """The numbers of those calls of ``openat`` that would make a file, from the first change of the journal on."""
    bring_to(host, first, second)
    log = host.root / "run/strace.log"
    strace = ("strace", "-qq", "-o", "/run/strace.log", "-e", "trace=openat")
    host.run(*strace, "capsdeploy", "activate", second, "--watch", "0")
    lines = log.read_text(errors="replace").splitlines()
    begin = next(number for number, line in enumerate(lines, start=1) if "/apps/demo/.txn." in line)
    wanted = [number for number, line in enumerate(lines, start=1) if "O_CREAT" in line]
    return [number for number in wanted if number >= begin]


@pytest.mark.parametrize("number", range(1, 7))
def test_a_boot_mends_what_a_power_cut_leaves(releases: tuple[Host, str, str], number: int) -> None:
    host, first, second = releases
    bring_to(host, first, second)
    before = links(host)
    assert killed(host, "rename", number, "capsdeploy", "activate", second, "--watch", "0")
    host.run("sync")
    host.reboot(power_cut=True)
    check(host, {first, second}, before)


def test_commands_that_run_at_once_leave_one_release_running(releases: tuple[Host, str, str]) -> None:
    """Activations of one application, a rollback, a recovery, a collection: each waits, is refused, or has its turn."""
    host, first, second = releases
    bring_to(host, first, second)
    (host.root / "etc/tori/policy.yml").write_text("unsigned: true\nminimum_age: 0s\n")
    for number in range(2):
        begun = [
            f"activate {second} --watch 0", "gc --keep 0 --wait", f"activate {first} --watch 0", "recover",
            "rollback demo", "gc --keep 0", "status", "verify --all",
        ]  # fmt: skip
        lines = [
            f"(sleep 0.{number}; capsdeploy {words} >/dev/null 2>>/run/said; echo $? >>/run/ended) &" for words in begun
        ]
        host.run("bash", "-c", "rm -f /run/ended /run/said\n" + "\n".join(lines) + "\nwait")
        ended = [int(line) for line in (host.root / "run/ended").read_text().split()]
        assert len(ended) == len(begun)
        assert set(ended) <= {0, 7, 9}, (host.root / "run/said").read_text()  # 9: `status`, while one takes over
        assert "Traceback" not in (host.root / "run/said").read_text()
        check(host, {first, second}, {"active": "", "previous": ""})
        assert {entry.name for entry in (host.root / "opt/tori/releases").iterdir()} == {first, second}
    (host.root / "etc/tori/policy.yml").write_text("unsigned: true\n")


INTERRUPT = """\
import os, signal, subprocess, sys, time
command = subprocess.Popen(sys.argv[2:], start_new_session=True)
for pause in sys.argv[1].split():
    time.sleep(float(pause))
    try:
        os.killpg(command.pid, signal.SIGINT)
    except ProcessLookupError:
        pass
sys.exit(command.wait() % 256)
"""


def test_ctrl_c_at_any_moment_leaves_one_release_running(releases: tuple[Host, str, str]) -> None:
    """A terminal tells every process of the command; and who is impatient presses it again."""
    host, first, second = releases
    (host.root / "root/interrupt.py").write_text(INTERRUPT)
    ended = []
    for pauses in ("0.7 0.1", "1.0 0.2 0.2", "1.4 0.05 0.3", "2.0 0.1"):
        bring_to(host, first, second)
        command = ("python3", "/root/interrupt.py", pauses, "capsdeploy", "activate", second, "--watch", "0.2")
        done = host.run(*command, check=False)
        assert done.returncode in (0, 130, 254), done.stderr  # the last: as the process was ending
        assert "Traceback" not in done.stderr
        assert "does not run again" not in done.stderr
        ended.append(done.returncode)
        check(host, {first, second}, {"active": first, "previous": second})  # with no `recover`
    assert 130 in ended


def bring_to(host: Host, first: str, second: str) -> None:
    """Has the first release run, and the second be what ran before."""
    if links(host) != {"active": first, "previous": second}:
        for capsule_id in (second, first):
            host.run("capsdeploy", "activate", capsule_id, "--watch", "0")


def test_what_is_collected_meanwhile_is_never_what_is_activated(
    releases: tuple[Host, str, str], tmp_path: Path
) -> None:
    host, first, second = releases
    bring_to(host, first, second)
    policy = host.root / "etc/tori/policy.yml"
    policy.write_text("unsigned: true\nminimum_age: 0s\n")
    ends = set()
    for number in range(6):
        third = install(host, quick("3.0.0"), tmp_path)
        activating = f"capsdeploy activate {third} --watch 0 >/dev/null 2>&1; echo $? >/run/ended"
        host.run("bash", "-c", f"capsdeploy gc --keep 0 --wait & sleep 0.{number}; {activating}; wait")
        ended = int((host.root / "run/ended").read_text())
        ends.add(ended)
        active = links(host)["active"]
        assert ended in (0, 1, 2, 4, 8)
        assert active == (third if ended == 0 else first)
        assert (host.root / "opt/tori/releases" / active).is_dir()
        answer = host.run("curl", "-sS", "--retry", "30", "--retry-connrefused", "--retry-delay", "1", URL).stdout
        assert json.loads(answer)["build_sha"] == active
        install(host, quick("1.0.0"), tmp_path)
        install(host, quick("2.0.0"), tmp_path)
        for capsule_id in (second, first):
            host.run("capsdeploy", "activate", capsule_id, "--watch", "0")
    policy.write_text("unsigned: true\n")
    print(f"ended with {sorted(ends)}")


def test_a_second_command_recovers_by_itself(releases: tuple[Host, str, str]) -> None:
    host, first, second = releases
    bring_to(host, first, second)
    assert killed(host, "rename", 3, "capsdeploy", "activate", second, "--watch", "0")
    host.run("capsdeploy", "activate", second, "--watch", "0")
    assert links(host) == {"active": second, "previous": first}
    check(host, {first, second}, {"active": second, "previous": first})


def test_a_deactivation_that_was_killed_is_finished(releases: tuple[Host, str, str], tmp_path: Path) -> None:
    host, first, second = releases
    for number in range(1, 20):
        bring_to(host, first, second)
        if not killed(host, "rename", number, "capsdeploy", "deactivate", "demo"):
            break
        host.run("capsdeploy", "recover")
        running = host.run("systemctl", "list-units", "--no-legend", "tori@*").stdout.strip()
        if "active" in links(host):
            check(host, {first, second}, {"active": first, "previous": second})
        else:
            assert running == ""
            assert links(host) == {"previous": first}
    assert number > 2
