"""How the services of a release run on a host: what they get, what they may, what bounds them."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.capsules import PYTHON, SERVER, demo, install, prepare
from tests.deploy.host import Host

URL = "http://127.0.0.1:8080/"

TELL = """\
#!/usr/bin/env python3
import json, os, sys, time
print(json.dumps({"arguments": sys.argv[1:], "environment": dict(os.environ), "at": os.getcwd()}), flush=True)
time.sleep(1000)
"""

TRY = """\
#!/usr/bin/env python3
import json, os, socket, sys, time

def outcome(doing):
    try:
        return doing() or "done"
    except OSError as failed:
        return failed.strerror

def write(path):
    with open(path, "w") as file:
        file.write("x")

def bind():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 80))

root = os.path.dirname(os.path.abspath(__file__))
print(json.dumps({
    "release": outcome(lambda: write(root + "/new")),
    "host": outcome(lambda: write("/etc/new")),
    "state": outcome(lambda: write(os.environ["TORI_STATE_ROOT"] + "/new")),
    "home": outcome(lambda: write(os.environ["HOME"] + "/new")),
    "tmp": outcome(lambda: write("/tmp/new")),
    "others": sorted(os.listdir("/opt/tori/state")),
    "roots": outcome(lambda: os.listdir("/root") and None),
    "device": os.path.exists("/dev/probe"),
    "cpuinfo": os.path.exists("/proc/cpuinfo"),
    "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdecimal() and int(name) == 1),
    "port": outcome(bind),
    "netlink": outcome(lambda: socket.socket(16, socket.SOCK_RAW).close()),
    "priority": outcome(lambda: os.nice(1) and None),
    "shared": outcome(lambda: write("/dev/shm/tori-probe") or os.unlink("/dev/shm/tori-probe")),
    "uid": os.getuid(),
}), flush=True)
time.sleep(1000)
"""


@pytest.fixture(scope="module")
def ready(shared_host: Host) -> Iterator[Host]:
    prepare(shared_host)
    yield shared_host


@pytest.fixture(autouse=True)
def nothing_runs(ready: Host) -> Iterator[None]:
    yield
    for app in (ready.root / "opt/tori/apps").iterdir():
        ready.run("capsdeploy", "deactivate", app.name)


def told(host: Host, capsule_id: str, unit: str = "") -> dict[str, object]:
    """The JSON that a service has printed."""
    unit = unit or f"tori@{capsule_id[:12]}.service"
    for _ in range(100):
        lines = host.run("journalctl", "-o", "cat", "-u", unit).stdout.splitlines()
        found = [line for line in lines if line.startswith("{")]
        if found:
            answer: dict[str, object] = json.loads(found[-1])
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{unit} says nothing:\n{host.run('journalctl', '-u', unit).stdout}")


def test_every_word_and_variable_arrives_as_the_manifest_has_it(ready: Host, tmp_path: Path) -> None:
    odd = [
        "",
        "a b",
        "$HOME ${X} $$",
        "\"'",
        "C:\\new\\table",
        "tab\there",
        "é😀",
        ";",
        "-x=\\x41\\n",
        "#",
        "{}",
        "*",
        "@x",
    ]
    chosen = random.Random(6)
    letters = "aZ09 \t'\"$`\\{}[]()<>|&;#~*?!@=:,.-_/\u00e9\u200d\U0001f600"
    odd += ["".join(chosen.choices(letters, k=chosen.randrange(1, 12))).rstrip("\\") for _ in range(200)]
    manifest = f"""\
name: words
version: 1.0.0
entrypoint: bin/tell it
services: [{{name: teller, args: {json.dumps(odd, ensure_ascii=False)}}}]
env: {json.dumps({f"ODD_{number}": text for number, text in enumerate(odd)}, ensure_ascii=False)}
"""
    capsule_id = install(ready, {"capsule.yml": manifest, "bin/tell it": TELL}, tmp_path)
    ready.run("capsdeploy", "activate", capsule_id[:8], "--watch", "0")
    said = told(ready, capsule_id)
    environment = said["environment"]
    assert isinstance(environment, dict)
    assert said["arguments"] == odd
    assert [environment[f"ODD_{number}"] for number in range(len(odd))] == odd
    assert environment["BUILD_SHA"] == capsule_id
    assert environment["TORI_STATE_ROOT"] == environment["HOME"] == "/opt/tori/state"
    assert environment["USER"] == "tori-words"
    assert said["at"] == f"/opt/tori/releases/{capsule_id}"


def test_a_service_writes_its_state_and_nothing_else(ready: Host, tmp_path: Path) -> None:
    ready.run("mknod", "-m", "666", "/dev/probe", "c", "1", "3")
    manifest = "name: walls\nversion: 1.0.0\nentrypoint: try\n"
    capsule_id = install(ready, {"capsule.yml": manifest, "try": TRY}, tmp_path)
    ready.run("capsdeploy", "activate", capsule_id[:8], "--watch", "0")
    said = told(ready, capsule_id)
    assert {name: said[name] for name in ("release", "host", "state", "home", "tmp")} == {
        "release": "Read-only file system",
        "host": "Read-only file system",
        "state": "done",
        "home": "done",
        "tmp": "done",
    }
    assert said["others"] == ["new"]
    assert said["roots"] == "Permission denied"
    assert (said["device"], said["cpuinfo"], said["processes"]) == (False, False, [])
    assert said["port"] == "Permission denied"
    assert said["netlink"] == "Address family not supported by protocol"
    assert said["priority"] == "Operation not permitted"
    assert said["shared"] == "done"
    assert (ready.root / "opt/tori/state/walls/new").stat().st_uid == said["uid"] != 0
    assert not (ready.root / "tmp/new").exists()


def test_each_relaxation_opens_its_wall_and_is_shown(ready: Host, tmp_path: Path) -> None:
    allowed = "[low-ports, netlink, proc, scheduling]"
    manifest = f"name: open\nversion: 1.0.0\nentrypoint: try\nsandbox: {{allow: {allowed}}}\n"
    capsule_id = install(ready, {"capsule.yml": manifest, "try": TRY}, tmp_path)
    ready.run("capsdeploy", "activate", capsule_id[:8], "--watch", "0")
    said = told(ready, capsule_id)
    assert (said["port"], said["netlink"], said["cpuinfo"], said["priority"]) == ("done", "done", True, "done")
    assert said["release"] == "Read-only file system"
    assert "allows low-ports, netlink, proc, scheduling" in ready.run("capsdeploy", "status", "open").stdout
    assert "sandbox.allow: low-ports" in ready.run("systemctl", "cat", f"tori@{capsule_id[:12]}").stdout


def test_the_account_is_the_same_for_every_release(ready: Host, tmp_path: Path) -> None:
    owners = []
    for version in ("1.0.0", "1.0.1"):
        manifest = f"name: stable\nversion: {version}\nentrypoint: try\n"
        capsule_id = install(ready, {"capsule.yml": manifest, "try": TRY}, tmp_path)
        ready.run("capsdeploy", "activate", capsule_id[:8], "--watch", "0")
        owners.append(told(ready, capsule_id)["uid"])
    assert owners[0] == owners[1]


def test_the_limits_bound_the_whole_release(ready: Host, tmp_path: Path) -> None:
    capsule_id = install(ready, demo("1.1.0"), tmp_path)
    ready.run("capsdeploy", "activate", capsule_id[:8], "--watch", "0")
    status = json.loads(ready.run("capsdeploy", "status", "demo", "--json").stdout)["applications"][0]
    assert status["limits"] == {"cpu": 0.8, "memory": 256 << 20, "tasks": 64}
    before = ready.get(URL)["pid"]
    ready.run("curl", "-sS", "--max-time", "20", f"{URL}grow", check=False)
    unit = f"tori@{capsule_id[:12]}.service"
    for _ in range(100):  # it comes up again by itself
        shown = ready.show(unit, "NRestarts", "ActiveState")
        if shown == {"NRestarts": "1", "ActiveState": "active"}:
            break
        time.sleep(0.1)
    said = ready.run("journalctl", "-u", unit, "-o", "cat").stdout
    assert "status=9/KILL" in said or "oom-kill" in said
    assert shown == {"NRestarts": "1", "ActiveState": "active"}
    assert before != int(ready.show(unit, "MainPID")["MainPID"])


def test_limits_that_the_kernel_does_not_hold_stop_an_activation(ready: Host, tmp_path: Path) -> None:
    capsule_id = install(ready, demo("1.2.0"), tmp_path)
    override = ready.root / f"etc/systemd/system/tori-demo-{capsule_id[:12]}.slice.d"
    override.mkdir()
    (override / "90-other.conf").write_text("[Slice]\nCPUQuota=\n")
    refused = ready.run("capsdeploy", "activate", capsule_id[:8], check=False)
    assert refused.returncode == 10
    assert "does not hold the limits" in refused.stderr
    assert "cpu_quota 80%" in refused.stderr


SEVERAL = f"""\
name: several
version: {{version}}
entrypoint: server.py
services:
  - name: web
    health: {{{{http: /, port: 8080, interval: 100ms, successes: 1}}}}
  - name: admin
    env: {{{{PORT: "8081"}}}}
    health: {{{{http: /, port: 8081, interval: 100ms, successes: 1}}}}
  - name: worker
    env: {{{{PORT: "8082"}}}}
    health: {{{{command: [check, "{{status}}"], interval: 100ms, successes: 2, deadline: 2s}}}}
dependencies: {{{{python: "{PYTHON}"}}}}
"""
CHECK = """\
#!/bin/sh
echo "checked as $(id -un) with $BUILD_SHA at $(pwd)"
exit "$1"
"""


def test_several_services_start_and_stop_together(ready: Host, tmp_path: Path) -> None:
    files = {"server.py": SERVER, "check": CHECK}
    good = install(ready, {"capsule.yml": SEVERAL.format(version="1.0.0", status=0), **files}, tmp_path)
    bad = install(ready, {"capsule.yml": SEVERAL.format(version="2.0.0", status=3), **files}, tmp_path)
    ready.run("capsdeploy", "activate", good[:8], "--watch", "0")
    units = [f"tori@{good[:12]}", f"tori-admin@{good[:12]}", f"tori-worker@{good[:12]}"]
    assert ready.run("systemctl", "is-active", *units).stdout.split() == ["active"] * 3
    assert [ready.get(f"http://127.0.0.1:{port}/")["build_sha"] for port in (8080, 8081, 8082)] == [good] * 3
    said = ready.run("journalctl", "-o", "cat", "-u", f"tori-worker.check@{good[:12]}").stdout
    assert f"checked as tori-several with {good} at /opt/tori/releases/{good}" in said
    group = f"/tori.slice/tori-several.slice/tori-several-{good[:12]}.slice/"
    assert all(ready.show(f"{unit}.service", "ControlGroup")["ControlGroup"].startswith(group) for unit in units)

    refused = ready.run("capsdeploy", "activate", bad[:8], "--watch", "0", check=False)
    assert refused.returncode == 9
    assert "the check fails" in refused.stderr
    assert "exited with status 3" in refused.stderr
    assert ready.run("systemctl", "is-active", *units).stdout.split() == ["active"] * 3

    ready.run("systemctl", "stop", units[0])
    assert ready.run("systemctl", "is-active", *units, check=False).stdout.split() == ["inactive"] * 3
    ready.run("systemctl", "start", units[0])  # returns when the first is up
    for _ in range(100):
        states = ready.run("systemctl", "is-active", *units, check=False).stdout.split()
        if states == ["active"] * 3:
            break
        time.sleep(0.1)
    assert states == ["active"] * 3


@pytest.mark.parametrize(
    ("behaviour", "watch", "said"),
    [
        ("ends", "0", "exited with status 1"),
        ("unhealthy", "0", "500 from http://127.0.0.1:8080/"),
        ("dies", "5", "exited with status 3"),
        ("sickens", "5", "500 from http://127.0.0.1:8080/"),
    ],
)
def test_a_release_that_fails_leaves_what_ran_before_running(
    ready: Host, tmp_path: Path, behaviour: str, watch: str, said: str
) -> None:
    good = install(ready, demo("1.3.0"), tmp_path)
    bad = install(ready, demo("1.4.0", behaviour), tmp_path)
    ready.run("capsdeploy", "activate", good[:8], "--watch", "0")
    previous = (ready.root / "opt/tori/apps/demo/previous").is_symlink()
    refused = ready.run("capsdeploy", "activate", bad[:8], "--watch", watch, check=False)
    assert refused.returncode == 9
    assert said in refused.stderr
    assert ready.get(URL)["build_sha"] == good
    apps = ready.root / "opt/tori/apps/demo"
    assert (apps / "active").readlink().name == good
    assert (apps / "previous").is_symlink() == previous
    assert not (apps / "txn").exists()
    assert json.loads((apps / "history").read_text().splitlines()[-1])["result"] == "returned"
    assert ready.run("systemctl", "list-units", "--all", "--no-legend", f"tori*@{bad[:12]}*").stdout.strip() == ""


def test_a_first_release_that_fails_leaves_nothing(ready: Host, tmp_path: Path) -> None:
    files = {name: text.replace("name: demo", "name: first") for name, text in demo("1.0.0", "ends").items()}
    bad = install(ready, files, tmp_path)
    refused = ready.run("capsdeploy", "activate", bad[:8], "--json", check=False)
    assert refused.returncode == 9
    assert json.loads(refused.stdout)["errors"][0]["code"] == "unhealthy"
    assert sorted(entry.name for entry in (ready.root / "opt/tori/apps/first").iterdir()) == ["history", "lock"]
    assert ready.run("capsdeploy", "rollback", "first", check=False).returncode == 8


PRIVATE = """\
name: private
version: {version}
entrypoint: serve
services:
  - name: web
    health: {{http: /up, interval: 100ms, successes: 2}}
sandbox: {{deny: [network]}}
"""
SERVE = """\
#!/usr/bin/env python3
import http.server, os, socket, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()

assert os.environ["LISTEN_FDS"] == "1"
listener = socket.socket(fileno=3)
http.server.HTTPServer.address_family = socket.AF_UNIX
server = http.server.HTTPServer("", Handler, bind_and_activate=False)
server.socket = listener
server.server_name, server.server_port = "private", 0
Handler.address_string = lambda self: "somebody"
print("VERSION begins at", time.monotonic(), flush=True)
while True:
    try:
        server.handle_request()
    except BlockingIOError:
        time.sleep(0.01)
"""


def test_a_release_with_private_sockets_starts_beside_the_old_one(ready: Host, tmp_path: Path) -> None:
    ids = [
        install(ready, {"capsule.yml": PRIVATE.format(version=version), "serve": SERVE}, tmp_path)
        for version in ("1.0.0", "1.0.1")
    ]
    ready.run("capsdeploy", "activate", ids[0][:8], "--watch", "0")
    done = json.loads(ready.run("capsdeploy", "activate", ids[1][:8], "--watch", "0.5", "--json").stdout)
    assert done["mode"] == "beside"
    began = float(
        ready.show(f"tori@{ids[1][:12]}.service", "ActiveEnterTimestampMonotonic")["ActiveEnterTimestampMonotonic"]
    )
    ended = ready.run("journalctl", "-o", "json", "-u", f"tori@{ids[0][:12]}").stdout.splitlines()
    stopped = next(line for line in map(json.loads, ended) if line["MESSAGE"].startswith("Stopped "))
    assert float(stopped["__MONOTONIC_TIMESTAMP"]) - began > 500_000  # it had been observed for that long
    assert (ready.root / f"run/tori/{ids[1][:12]}/web.sock").is_socket()
    assert not (ready.root / f"run/tori/{ids[0][:12]}/web.sock").exists()


def test_what_listens_on_a_port_is_replaced_though_its_manifest_names_none(ready: Host, tmp_path: Path) -> None:
    ids = []
    for version in ("1.0.0", "1.0.1"):
        manifest = f'name: silent\nversion: {version}\nentrypoint: server.py\ndependencies: {{python: "{PYTHON}"}}\n'
        ids.append(install(ready, {"capsule.yml": manifest, "server.py": SERVER}, tmp_path))
    ready.run("capsdeploy", "activate", ids[0][:8], "--watch", "0")
    done = json.loads(ready.run("capsdeploy", "activate", ids[1][:8], "--watch", "0", "--json").stdout)
    assert done["mode"] == "replace"
    assert ready.get(URL)["build_sha"] == ids[1]


def test_an_instance_that_is_no_release_says_so(ready: Host) -> None:
    ready.run("systemctl", "start", "tori@000000000000.service", check=False)
    for _ in range(100):
        if ready.show("tori@000000000000.service", "ActiveState")["ActiveState"] == "failed":
            break
        time.sleep(0.05)
    shown = ready.show("tori@000000000000.service", "ActiveState", "ExecMainStatus", "NRestarts")
    assert shown == {"ActiveState": "failed", "ExecMainStatus": "78", "NRestarts": "0"}
    said = ready.run("journalctl", "-o", "cat", "-u", "tori@000000000000").stdout
    assert "tori@000000000000.service: there is no such release" in said


def test_a_damaged_release_does_not_run(ready: Host, tmp_path: Path) -> None:
    capsule_id = install(ready, demo("1.5.0"), tmp_path)
    server = ready.root / f"opt/tori/releases/{capsule_id}/server.py"
    data = server.read_bytes()
    server.chmod(0o644)
    server.write_bytes(data.replace(b"200", b"201", 1))
    server.chmod(0o444)
    refused = ready.run("capsdeploy", "activate", capsule_id[:8], check=False)
    assert refused.returncode == 4
    assert ready.run("systemctl", "is-active", f"tori@{capsule_id[:12]}", check=False).stdout.strip() == "inactive"


def test_what_is_too_exposed_for_the_host_does_not_run(ready: Host, tmp_path: Path) -> None:
    policy = ready.root / "etc/tori/policy.yml"
    before = policy.read_text()
    policy.write_text(f"{before}exposure: 0.5\n")
    capsule_id = install(ready, demo("1.6.0"), tmp_path)
    refused = ready.run("capsdeploy", "activate", capsule_id[:8], check=False)
    policy.write_text(before)
    assert refused.returncode == 5
    assert "would be exposed by" in refused.stderr


def test_two_changes_of_one_application_do_not_meet(ready: Host, tmp_path: Path) -> None:
    capsule_id = install(ready, demo("1.7.0"), tmp_path)
    (ready.root / "opt/tori/apps/demo").mkdir(exist_ok=True)
    busy = "exec 9>/opt/tori/apps/demo/lock; flock 9; capsdeploy activate " + capsule_id[:8]
    assert ready.run("bash", "-c", busy, check=False).returncode == 7


def test_activating_the_active_release_again_starts_what_has_stopped(ready: Host, tmp_path: Path) -> None:
    capsule_id = install(ready, demo("1.8.0"), tmp_path)
    ready.run("capsdeploy", "activate", capsule_id[:8], "--watch", "0")
    assert json.loads(ready.run("capsdeploy", "activate", capsule_id[:8], "--json").stdout)["changed"] is False
    ready.run("systemctl", "stop", f"tori@{capsule_id[:12]}")
    assert ready.run("capsdeploy", "status", "demo", check=False).returncode == 9
    ready.run("capsdeploy", "activate", capsule_id[:8])
    assert ready.get(URL)["build_sha"] == capsule_id


PLAIN = """\
name: {name}
version: {version}
entrypoint: run
services: [{{name: run, health: {{command: [check], interval: 100ms, successes: 1}}}}]
"""
SLEEP = {"run": "#!/bin/sh\nexec sleep 1000\n", "check": "#!/bin/sh\nexit 0\n"}


def plain(host: Host, place: Path, name: str, version: str = "1.0.0") -> str:
    return install(host, {"capsule.yml": PLAIN.format(name=name, version=version), **SLEEP}, place)


def test_an_application_whose_name_begins_as_another_with_an_id_is_another(ready: Host, tmp_path: Path) -> None:
    """The slice of ``one-0123456789ab`` is called as that of a release of ``one`` would be."""
    longest = "one-0123456789ab-abcdefghi"  # what an account can be called
    names = ("one-0123456789ab", longest, "one")
    ids = {name: plain(ready, tmp_path, name) for name in names}
    for name in names:
        ready.run("capsdeploy", "activate", ids[name], "--watch", "0")
    units = [f"tori@{ids[name][:12]}" for name in names]
    assert ready.run("systemctl", "is-active", *units).stdout.split() == ["active"] * 3
    ready.run("capsdeploy", "recover")
    ready.run("capsdeploy", "deactivate", "one")
    assert ready.run("systemctl", "is-active", *units, check=False).stdout.split() == ["active", "active", "inactive"]


def test_what_an_operator_does_with_systemctl(ready: Host, tmp_path: Path) -> None:
    first, second = (plain(ready, tmp_path, "manual", version) for version in ("1.0.0", "1.0.1"))
    one, other = f"tori@{first[:12]}.service", f"tori@{second[:12]}.service"
    ready.run("capsdeploy", "activate", first, "--watch", "0")
    ready.run("systemctl", "restart", one)
    assert ready.run("capsdeploy", "status", "manual").returncode == 0

    ready.run("systemctl", "start", other)  # though it is not active
    status = json.loads(ready.run("capsdeploy", "status", "manual", "--json").stdout)["applications"][0]
    assert status["others"] == [second[:12]]
    assert f"Runs though it is not active: {other}" in ready.run("capsdeploy", "status", "manual").stdout
    ready.run("capsdeploy", "recover")
    assert ready.run("systemctl", "is-active", one, other, check=False).stdout.split() == ["active", "inactive"]

    ready.run("systemctl", "mask", other)
    refused = ready.run("capsdeploy", "activate", second, "--json", check=False)
    assert (refused.returncode, json.loads(refused.stdout)["errors"][0]["code"]) == (10, "unit-masked")
    ready.run("systemctl", "unmask", other)
    ready.run("capsdeploy", "activate", second, "--watch", "0")


def test_who_else_answers_at_the_port_is_not_the_service(ready: Host, tmp_path: Path) -> None:
    """A service that waits for its port is not healthy because somebody else is."""
    manifest = PLAIN.replace("{{command: [check]", "{{http: /, port: 8080, deadline: 1s").format(
        name="late", version="1.0.0"
    )
    capsule_id = install(ready, {"capsule.yml": manifest, **SLEEP}, tmp_path)
    serve = "import http.server; http.server.test(http.server.SimpleHTTPRequestHandler, port=8080, bind='127.0.0.1')"
    ready.run("systemd-run", "--unit=foreign", "python3", "-c", serve)
    ready.run("curl", "-sS", "--retry", "30", "--retry-connrefused", "--retry-delay", "1", URL)
    try:
        refused = ready.run("capsdeploy", "activate", capsule_id, "--watch", "0", check=False)
    finally:
        ready.run("systemctl", "stop", "foreign")
    assert refused.returncode == 9
    assert "somebody else answers at port 8080" in refused.stderr


def test_a_service_that_forks_is_told_to_stay(ready: Host, tmp_path: Path) -> None:
    files = {"capsule.yml": "name: forks\nversion: 1.0.0\nentrypoint: run\n", "run": "#!/bin/sh\nsleep 1000 &\n"}
    capsule_id = install(ready, files, tmp_path)
    journalctl = ready.root / "usr/bin/journalctl"
    journalctl.rename(journalctl.with_name("journalctl.away"))  # what failed is told without its words as well
    try:
        refused = ready.run("capsdeploy", "activate", capsule_id, "--watch", "0", check=False)
        assert refused.returncode == 9
        assert "stay in the foreground" in refused.stderr
        assert ready.run("capsdeploy", "logs", capsule_id, check=False).returncode == 10
    finally:
        journalctl.with_name("journalctl.away").rename(journalctl)
    assert ready.run("systemctl", "list-units", "--no-legend", f"tori*@{capsule_id[:12]}*").stdout == ""


LOSE_ETC = """\
cp -a /etc/tori /root/tori
rm -rf /etc/tori /etc/systemd/system/tori* /etc/systemd/system/*.wants/tori* /etc/sysusers.d/tori*
sed -i /tori-/d /etc/passwd /etc/group /etc/shadow /etc/gshadow
systemctl daemon-reload
"""
PUT_BACK = """\
cp -a --no-preserve=links /opt/tori /opt/backup
systemctl stop 'tori*@*'
mv /opt/tori /opt/lost && mv /opt/backup /opt/tori && rm -rf /opt/lost
"""


def test_what_is_lost_comes_back_as_the_guide_says(ready: Host, tmp_path: Path) -> None:
    capsule_id = plain(ready, tmp_path, "lost")
    unit = f"tori@{capsule_id[:12]}.service"
    ready.run("capsdeploy", "activate", capsule_id, "--watch", "0")
    main = ready.show(unit, "MainPID")

    ready.run("bash", "-ec", LOSE_ETC)
    ready.run("capsdeploy", "host", "init")
    ready.run("bash", "-ec", "cp -a /root/tori/. /etc/tori/ && rm -r /root/tori")
    assert ready.show(unit, "MainPID") == main
    ready.run("systemctl", "restart", unit)
    ready.run("capsdeploy", "doctor")

    main = ready.show(unit, "MainPID")
    ready.run("rm", "-r", "/opt/tori/apps/lost")
    ready.run("capsdeploy", "activate", capsule_id, "--watch", "0")
    assert ready.show(unit, "MainPID") == main

    ready.run("bash", "-ec", PUT_BACK)
    ready.run("capsdeploy", "recover")
    ready.run("capsdeploy", "status", "lost")
    ready.run("capsdeploy", "verify", capsule_id)
    ready.run("capsdeploy", "gc")
    ready.run("capsdeploy", "doctor")


def test_whoever_is_not_root_is_told_so(ready: Host, tmp_path: Path) -> None:
    capsule_id = plain(ready, tmp_path, "rooted")
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "capsdeploy")
    for words in (("pin", capsule_id), ("gc",), ("activate", capsule_id), ("host", "init")):
        refused = ready.run(*nobody, *words, check=False)
        assert (refused.returncode, refused.stderr.splitlines()[-1]) == (1, "  Call it as root.")
    assert ready.run(*nobody, "list").returncode == 0
    assert ready.run(*nobody, "status").returncode == 0


def test_the_logs_of_a_release_are_those_of_all_of_its_services(ready: Host, tmp_path: Path) -> None:
    capsule_id = install(ready, demo("1.9.0"), tmp_path)
    ready.run("capsdeploy", "activate", capsule_id[:8], "--watch", "0")
    assert f"begins as {capsule_id}" in ready.run("capsdeploy", "logs", capsule_id[:8]).stdout
    assert ready.run("capsdeploy", "logs", "demo", "--lines", "1").stdout.count("\n") == 1
    assert ready.run("capsdeploy", "logs", "nothing", check=False).returncode == 8
