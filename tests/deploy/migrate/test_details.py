"""What becomes of single things: directives, options, arguments, variables, files of the directory."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from capsule_builder.manifest import Manifest, load
from capsule_deploy.migrate.migration import Migration, NothingError, migrate
from tests.capsbuild.command import write

CFG = "home = /usr/bin\nversion = 3.12.1\n"
PROGRAM = "#!/bin/sh\necho hello\n"
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + bytes(44)


class Host:
    """An old host in the making: ``/srv/app`` is the application."""

    def __init__(self, root: Path) -> None:
        self.root = root
        write(root, {"srv/app/server": ELF, "srv/app/main.py": "print(1)\n"})

    def environment(self, place: str = "srv/app/venv", *programs: str) -> None:
        files = {f"{place}/bin/{name}": "#!/x/python\n" for name in ("python", "python3", "gunicorn", *programs)}
        write(self.root, {f"{place}/pyvenv.cfg": CFG, **files})

    def unit(self, service: str, name: str = "app.service", before: str = "", after: str = "") -> Result:
        path = f"etc/systemd/system/{name}"
        write(self.root, {path: f"{before}[Service]\nUser=app\n{service}\n{after}"})
        return self.migrated(f"/{path}")

    def supervisor(self, text: str) -> Result:
        write(self.root, {"etc/supervisor/conf.d/app.conf": text})
        return self.migrated("/etc/supervisor/conf.d/app.conf")

    def script(self, text: str, **files: str) -> Result:
        write(self.root, {"srv/app/start.sh": f"#!/bin/sh\n{text}\n", **files})
        return self.migrated("start.sh")

    def migrated(self, *units: str) -> Result:
        return Result(migrate(str(self.root / "srv/app"), units, str(self.root)))


class Result:
    """What came of it."""

    def __init__(self, migration: Migration) -> None:
        self.files = migration.files
        self.manifest: Manifest = load(migration.files["capsule.yml"], "capsule.yml")[0]
        self.findings: Any = migration.document["findings"]
        self.document = migration.document
        lines = migration.files[".capsuleignore"].decode().splitlines()
        self.ignored = {line for line in lines if line and not line.startswith("#")}

    def told(self, code: str) -> list[tuple[str, str, int | None]]:
        return [(one["state"], one["subject"], one["line"]) for one in self.findings if one["code"] == code]

    @property
    def command(self) -> list[str]:
        """The first service's program and arguments."""
        first = self.manifest.services[0] if self.manifest.services else None
        return [(first and first.entrypoint) or self.manifest.entrypoint, *(first.args if first else ())]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


# What is run


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/srv/app/server -v", ["server", "-v"]),
        ("-/srv/app/server", ["server"]),
        ("@/srv/app/server name -v", ["server", "-v"]),
        ("/usr/bin/python3 /srv/app/main.py a", ["main.py", "a"]),
        ("/srv/app/venv/bin/python /srv/app/main.py a", ["main.py", "a"]),
        ("/srv/app/venv/bin/python -u main.py", ["main.py"]),
        ("/srv/app/venv/bin/python -X dev -u main.py", ["venv/bin/python", "-X", "dev", "-u", "main.py"]),
        ("/srv/app/venv/bin/python -um app.web --x", ["venv/bin/python", "-u", "-m", "app.web", "--x"]),
        ("/srv/app/venv/bin/python3 -mapp", ["venv/bin/python", "-m", "app"]),
        ("/srv/app/venv/bin/python -c 'print(1)'", ["venv/bin/python", "-c", "print(1)"]),
        ("/srv/app/venv/bin/python venv/bin/gunicorn a:b", ["venv/bin/gunicorn", "a:b"]),
        ("/srv/app/venv/bin/gunicorn -D --pid /run/a.pid -u app a:b", ["venv/bin/gunicorn", "a:b"]),
        ("/srv/app/venv/bin/gunicorn --pid=/run/a.pid --daemon a:b", ["venv/bin/gunicorn", "a:b"]),
        ("/usr/bin/env A=1 -u B /srv/app/server", ["server"]),
        ("/usr/bin/nice -n 5 /usr/bin/ionice -c2 -n7 /srv/app/server", ["server"]),
        ("/usr/bin/sudo -u www -E -- /srv/app/server x", ["server", "x"]),
        ("/bin/su - www -c '/srv/app/server x'", ["server", "x"]),
        ("/usr/bin/flock -n /run/lock /srv/app/server", ["server"]),
        ("/bin/bash -lc 'cd /srv/app && exec ./server \"a b\" >> /var/log/x.log 2>&1'", ["server", "a b"]),
        ("/bin/sh -c 'sleep 5; exec /srv/app/server $A'", ["server", "x", "y"]),
        ("/srv/app/server $A ${A} $$", ["server", "x", "y", "x y", "$"]),
        ("/srv/app/server %p %% --dir=%t/x", ["server", "app", "--dir=/run/x"]),
        ("/srv/app/server --config /srv/app/main.py --db sqlite:////srv/app/a.db", [
            "server", "--config", "main.py", "--db", "sqlite:////opt/tori/state/a.db"]),
        ("/srv/app/server unix:/run/app.sock http://h/srv/app/x /dev/null", [
            "server", "unix:/opt/tori/state/run/app.sock", "http://h/srv/app/x", "/dev/null"]),
        ("/srv/app/server '/srv/app/etc/my rules' '--db=/srv/app/my data/a, b.db' '/no such/thing'", [
            "server", "etc/my rules", "--db=/opt/tori/state/my data/a, b.db", "/no such/thing"]),
        ("/srv/app/server --log /var/log/app/a.log -o/var/lib/app/b", [
            "server", "--log", "/opt/tori/state/log/a.log", "-o/var/lib/app/b"]),
        ("/srv/app/server --fmt 'a%%b' --token abcdefgh x", ["server", "x"]),
        ("/srv/app/server --token -1234567 --api-key=-x123456 --use-token --verbose -n 1", [
            "server", "--use-token", "--verbose", "-n", "1"]),
    ],
)  # fmt: skip
def test_commands(host: Host, command: str, expected: list[str]) -> None:
    host.environment()
    write(host.root, {"srv/app/etc/my rules": "", "srv/app/my data/a, b.db": ""})
    result = host.unit(f"WorkingDirectory=/srv/app\nEnvironment='A=x y'\nExecStart={command}")
    assert result.command == expected


def test_programs_that_are_not_in_the_directory_are_refused_with_the_reason(host: Host) -> None:
    for command, code in {
        "/usr/sbin/nginx": "program-outside",
        "java -jar a.jar": "program-outside",
        "/srv/app/nothing": "program-missing",
        "/srv/app/venv/bin/nothing": "program-missing",
        "/srv/app/venv/bin/python gone.py": "program-missing",
        "/bin/sh": "shell-command",
        "/bin/sh -c 'for i in 1; do x; done'": "script-kept",
        "": "no-command",
    }.items():
        host.environment()
        with pytest.raises(NothingError) as refused:
            host.unit(f"ExecStart={command}")
        assert refused.value.problems[0].code == code, command
        assert refused.value.problems[-1].code == "nothing"


def test_a_script_of_python_without_its_suffix_is_run_by_the_capsules_python(host: Host) -> None:
    host.environment("opt/env")
    write(host.root, {"srv/app/bin/tool": "#!/opt/env/bin/python\nprint(1)\n"})
    result = host.unit("ExecStart=/srv/app/bin/tool x")
    assert result.command == ["venv/bin/python", "bin/tool", "x"]
    assert result.manifest.python == "3.12"
    assert f"--venv {host.root}/opt/env" in json.dumps(result.document["steps"])


def test_a_file_that_is_no_program_is_one_by_the_manifest(host: Host) -> None:
    write(host.root, {"srv/app/run [1].bin": b"\x00\x01"})
    result = host.unit("ExecStart=/srv/app/run\\x20[1].bin")
    assert result.manifest.executables == (r"/run \[1].bin",)


def test_several_units_are_services_of_one_release(host: Host) -> None:
    host.environment()
    worker = "Environment=A=1 B=3\nExecStart=/srv/app/venv/bin/python -m work\nMemoryMax=1G\nCPUQuota=30%\n"
    write(host.root, {"etc/systemd/system/app-worker.service": f"[Service]\nUser=app\n{worker}"})
    unit = "Environment=A=1 B=2\nExecStart=/srv/app/server\nMemoryMax=512M\nCPUQuota=50%\nTasksMax=9"
    write(host.root, {"etc/systemd/system/app.service": f"[Service]\nUser=app\n{unit}\n"})
    result = host.migrated("/etc/systemd/system/app.service", "/etc/systemd/system/app-worker.service")
    assert [(one.name, one.entrypoint, dict(one.env)) for one in result.manifest.services] == [
        ("app", None, {"B": "2"}), ("worker", "venv/bin/python", {"B": "3"}),
    ]  # fmt: skip
    assert result.manifest.env == {"A": "1"}
    limits = result.manifest.resources
    assert (limits.cpu_quota, limits.memory_max, limits.tasks_max) == ("80%", str(1536 << 20), None)
    assert result.told("resources-mixed") == [("left", "resources.tasks_max", 7)]


def test_another_environment_is_another_capsules(host: Host) -> None:
    host.environment()
    host.environment("srv/app/.other")
    host.environment("srv/app/old/env")
    result = host.supervisor(
        "[program:a]\ncommand=/srv/app/venv/bin/gunicorn a:a\n[program:b]\ncommand=/srv/app/.other/bin/python main.py\n"
        "directory=/srv/app\n"
    )
    assert result.command == ["venv/bin/gunicorn", "a:a"]
    assert result.told("venv-several")[0] == ("left", "b", 4)
    assert {"/.other/", "/old/env/"} <= result.ignored
    assert "/venv/" not in result.ignored


def test_a_working_directory_below(host: Host) -> None:
    host.environment("srv/app/venv", "uvicorn", "serve")
    write(host.root, {"srv/app/src/web.py": "", "srv/app/src/conf.py": "", "srv/app/src/tool.py": ""})
    for command, expected in {
        "gunicorn -c conf.py web:a": ["venv/bin/gunicorn", "--chdir", "src", "-c", "src/conf.py", "web:a"],
        "uvicorn web:a": ["venv/bin/uvicorn", "--app-dir", "src", "web:a"],
        "python -m uvicorn web:a": ["venv/bin/python", "-m", "uvicorn", "--app-dir", "src", "web:a"],
        "python -m tool -x": ["src/tool.py", "-x"],
        "serve web": ["venv/bin/serve", "web"],
    }.items():
        result = host.unit(f"WorkingDirectory=/srv/app/src\nExecStart=/srv/app/venv/bin/{command}")
        assert result.command == expected
    assert result.told("working-directory") == [("left", "app", 4)]


# Units


def test_later_lines_and_drop_ins_take_the_place_of_earlier_ones(host: Host) -> None:
    write(host.root, {
        "etc/systemd/system/app@.service.d/30-b.conf": "[Service]\nEnvironment=WHO=template\n",
        "etc/systemd/system/app@1.service.d/20-a.conf": "[Service]\nExecStart=\nExecStart=/srv/app/server %i %I %f\n",
        "usr/lib/systemd/system/app@1.service.d/20-a.conf": "[Service]\nExecStart=/bin/never\n",
        "run/systemd/system/app@1.service.d/40-c.conf": "[Service]\nEnvironment=WHO=run\nUnsetEnvironment=GONE\n",
        "etc/systemd/system/app@1.service.d/50-not.txt": "[Service]\nEnvironment=WHO=not\n",
    })  # fmt: skip
    (host.root / "etc/systemd/system/app@1.service.d/60-mask.conf").symlink_to("/dev/null")
    result = host.unit(
        "Environment=WHO=unit GONE=1\nExecStart=/srv/app/main.py\nMemoryLimit=1G\nMemoryMax=2G", "app@1.service"
    )
    assert result.command == ["server", "1", "1", "/1"]
    assert result.manifest.env == {"WHO": "run"}
    assert result.manifest.resources.memory_max == "2G"
    assert ("changed", "ExecStart", 4) in result.told("overridden")
    assert ("changed", "MemoryLimit", 5) in result.told("overridden")


def test_every_line_of_a_unit_is_in_the_report(host: Host) -> None:
    lines = {
        "Type=forking": "forking", "PIDFile=/run/a.pid": "forking", "ExecStartPre=/sbin/iptables -A X": "exec-hook",
        "ExecStop=/bin/x": "exec-hook", "AmbientCapabilities=CAP_SYS_ADMIN": "capabilities", "Nice=5": "scheduling",
        "LimitNOFILE=9": "limit", "WatchdogSec=3": "watchdog", "SupplementaryGroups=a": "groups",
        "Foo=1": "directive-unknown",
        "LoadCredential=a:b": "credentials", "BindPaths=/a": "filesystem-view", "StateDirectory=app": "writable-path",
        "RuntimeDirectory=app": "runtime-directory", "Restart=always": "restart", "StandardOutput=null": "log-output",
        "ProtectSystem=full": "hardening", "EnvironmentFile=/etc/none": "environment-file",
        "Sockets=a.socket": "socket-activation",
        "PassEnvironment=A": "environment-passed", "KillSignal=SIGHUP": "stop-signal", "Slice=a.slice": "slice",
        "TimeoutStopSec=1": "timeout", "TasksMax=50%": "resource-value", "BusName=a.b": "dbus",
        "nonsense": "line-invalid",
        "Environment='A=b": "line-invalid", "Environment=%H=1": "specifier",
    }  # fmt: skip
    before = "[Unit]\nRequires=db.service\nConditionPathExists=/x\nOnFailure=a.service\nAfter=network.target\n"
    after = "[Install]\nWantedBy=multi-user.target\nAlias=b.service\n[Socket]\nListenStream=1\n"
    text = "\n".join(lines)
    result = host.unit(f"ExecStart=+/srv/app/server\n{text}", before=before, after=after)
    codes = {
        finding["line"]: set[str]()
        for finding in result.findings
        if finding["file"] == "/etc/systemd/system/app.service"
    }
    for finding in result.findings:
        if finding["file"] == "/etc/systemd/system/app.service":
            codes[finding["line"]].add(finding["code"])
    for number, (line, code) in enumerate(lines.items(), 9):
        assert code in codes[number], line
    whole = f"{before}[Service]\nUser=app\nExecStart=\n{text}\n{after}".splitlines()
    silent = {number for number, line in enumerate(whole, 1) if not line.startswith("[")} - set(codes)
    assert silent == set()
    assert {"dependency", "condition", "on-failure", "ordering", "enabled", "alias", "section", "root-user"} <= {
        finding["code"] for finding in result.findings
    }


@pytest.mark.parametrize(
    ("lines", "allow", "deny"),
    [
        ("ExecStart=/srv/app/server --port 80", ["low-ports"], []),
        ("ExecStart=/srv/app/server -b [::]:443 --port 8080", ["low-ports"], []),
        ("ExecStart=/srv/app/server\nAmbientCapabilities=CAP_NET_BIND_SERVICE", [], []),  # whether it uses it?
        ("ExecStart=/srv/app/server\nAmbientCapabilities=CAP_SYS_NICE", ["scheduling"], []),
        ("ExecStart=/srv/app/server\nSystemCallFilter=@system-service @resources", ["scheduling"], []),
        ("ExecStart=/srv/app/server\nSystemCallFilter=~@resources", [], []),
        ("ExecStart=/srv/app/server\nDeviceAllow=/dev/nvidia0 rw\nDeviceAllow=/dev/null rw", ["gpu"], []),
        ("ExecStart=/srv/app/server\nEnvironment=CUDA_VISIBLE_DEVICES=0", ["gpu"], []),
        ("ExecStart=/srv/app/server\nEnvironment=CUDA_VISIBLE_DEVICES=-1", [], []),
        ("ExecStart=/srv/app/server\nRestrictAddressFamilies=AF_INET AF_NETLINK", ["netlink"], []),
        ("ExecStart=/srv/app/server\nRestrictAddressFamilies=AF_UNIX\nRestrictAddressFamilies=AF_INET", [], []),
        ("ExecStart=/srv/app/server\nRestrictAddressFamilies=~AF_NETLINK", [], []),
        ("ExecStart=/srv/app/server\nRestrictAddressFamilies=AF_UNIX", [], ["network"]),
        ("ExecStart=/srv/app/server\nPrivateNetwork=yes\nMemoryDenyWriteExecute=true", [], ["jit", "network"]),
        ("ExecStart=/srv/app/server\nPrivateNetwork=no\nMemoryDenyWriteExecute=no", [], []),
        ("ExecStart=/srv/app/server\nIPAddressDeny=any", [], ["network"]),
        ("ExecStart=/srv/app/server\nIPAddressDeny=any\nIPAddressAllow=localhost", [], []),
        ("ExecStart=/srv/app/server\nProcSubset=all\nProtectProc=default", ["proc"], []),
        ("ExecStart=/srv/app/server\nProcSubset=pid\nProtectProc=invisible", [], []),
    ],
)
def test_the_sandbox_is_what_the_unit_shows_the_need_of(
    host: Host, lines: str, allow: list[str], deny: list[str]
) -> None:
    result = host.unit(lines)
    assert (list(result.manifest.sandbox.allow), list(result.manifest.sandbox.deny)) == (allow, deny)
    assert len({one["subject"] for one in result.findings if one["code"] == "sandbox"}) == len(allow) + len(deny)


def test_walls_that_no_manifest_opens_or_closes_are_told(host: Host) -> None:
    lines = {
        "AmbientCapabilities=CAP_NET_ADMIN": "capabilities", "DeviceAllow=/dev/ttyUSB0": "capabilities",
        "RestrictAddressFamilies=AF_PACKET AF_INET": "capabilities", "SystemCallFilter=@mount": "capabilities",
        "ProtectProc=default": "capabilities", "PrivateDevices=no": "hardening", "ProtectHome=false": "hardening",
        "IPAddressAllow=localhost": "hardening", "PrivateUsers=yes": "hardening", "AppArmorProfile=x": "hardening",
    }  # fmt: skip
    result = host.unit("ExecStart=/srv/app/server\n" + "\n".join(lines))
    told = {(one["text"], one["code"]) for one in result.findings if one["state"] == "left"}
    assert lines.items() <= told
    assert not result.manifest.sandbox.allow and not result.manifest.sandbox.deny
    assert "CAP_NET_ADMIN" in next(one for one in result.findings if one["subject"] == "AmbientCapabilities")["remedy"]


def test_a_wall_is_closed_when_all_processes_lived_behind_it(host: Host) -> None:
    strict = "[Service]\nExecStart=/srv/app/server\nMemoryDenyWriteExecute=yes\nPrivateNetwork=yes\n"
    loose = "[Service]\nExecStart=/srv/app/server --port 80\nMemoryDenyWriteExecute=yes\n"
    write(host.root, {"a.service": strict, "b.service": loose})
    result = host.migrated("/a.service", "/b.service")
    assert (result.manifest.sandbox.allow, result.manifest.sandbox.deny) == (("low-ports",), ("jit",))
    assert ("left", "PrivateNetwork", 4) in result.told("sandbox")


def test_directives_are_called_as_systemd_calls_them(host: Host) -> None:
    result = host.unit("ExecStart=/srv/app/server\nDirectory=/x\nuser=root\nkillsignal=SIGHUP\nenvironment=A=1")
    assert {subject for _, subject, _ in result.told("directive-unknown")} == {
        "Directory", "user", "killsignal", "environment",
    }  # fmt: skip
    assert not result.told("root-user")


def test_what_lies_beside_a_unit_is_told(host: Host) -> None:
    write(host.root, {"etc/systemd/system/app.socket": "", "etc/systemd/system/app.timer": ""})
    result = host.unit("ExecStart=/srv/app/server\nType=oneshot\nExecStart=/srv/app/server b")
    assert result.told("socket-activation") and result.told("timer")
    assert [service.args for service in result.manifest.services] == [(), ("b",)]
    assert len(result.told("oneshot")) == 3


# The environment


def test_variables_that_no_manifest_can_have_are_told(host: Host) -> None:
    result = host.unit(
        "ExecStart=/srv/app/server\nEnvironment=OK=1 lower=2 LD_PRELOAD=/x 'PCT=a%%b' 'NL=a\\nb'"
        " PYTHONPATH=/srv/app/lib PATH=/x HOME=/y BAD-NAME=1 'Z=caf\\xe9' EMPTY= YES=no TEN=1e3"
    )
    assert result.manifest.env == {"OK": "1", "EMPTY": "", "YES": "no", "TEN": "1e3"}
    assert {subject for state, subject, _ in result.told("variable") if state == "left"} == {
        "lower",
        "LD_PRELOAD",
        "PCT",
        "NL",
        "Z",
    }
    assert result.told("python-path") and len(result.told("host-variable")) == 2 and result.told("line-invalid")


def test_secrets_are_named_and_never_shown(host: Host) -> None:
    secrets = ["hunter2hunter2", "Zx9Zx9Zx9Zx9", "wordpass", "k3yk3yk3yk3y"]
    text = (
        f"ExecStart=/srv/app/server --password {secrets[0]} --auth-token={secrets[1]} --note ${{NOTE}} -v\n"
        f"Environment=DB_PASSWORD={secrets[0]} NOTE=about-{secrets[3]} \\\n  'API_KEY={secrets[3]}'\n"
        f'Environment="CONNECT=amqp://me:{secrets[2]}@host/" "MULTI_SECRET=first {secrets[1]} \\\n {secrets[2]}"\n'
        "Environment=MAX_TOKENS_PER_MIN=200 PASSWORD_FILE=/run/secrets/x SESSION_TTL=5"
    )
    result = host.unit(text)
    assert set(result.manifest.env) == {"MAX_TOKENS_PER_MIN", "PASSWORD_FILE", "SESSION_TTL"}
    assert result.command == ["server", "-v"]
    assert {subject for _, subject, _ in result.told("secret")} == {
        "DB_PASSWORD", "API_KEY", "CONNECT", "MULTI_SECRET", "NOTE",
    }  # fmt: skip
    assert len(result.told("secret-argument")) == 3
    for name, data in result.files.items():
        for secret in secrets:
            assert secret.encode() not in data, (name, secret)


# Scripts


def test_a_script_with_conditions_is_followed(host: Host) -> None:
    host.environment()
    write(host.root, {"srv/app/conf/env": "A=1\nexport B=$A$A\n"})
    result = host.script(
        'DIR=$(dirname "$(readlink -f "$0")")\ncd "$DIR" || exit 1\nset -a; . ./conf/env; set +a\n'
        'if [ ! -d logs ]; then mkdir logs; elif [ -n "$X" ]; then exit 1; else echo never; fi\n'
        'test -f gone && . gone\n. venv/bin/activate\nARGS="--a b"\n'
        "python manage.py migrate\npython manage.py collectstatic | cat\n"
        'exec gunicorn $ARGS "${NAME:-w:app}" --bind "0.0.0.0:${PORT:=8000}" "$@" &>> /var/log/x.log'
    )
    assert result.command == ["venv/bin/gunicorn", "--a", "b", "w:app", "--bind", "0.0.0.0:8000"]
    assert result.manifest.env == {"A": "1", "B": "11"}
    assert {"/start.sh", "/conf/env"} <= result.ignored
    assert [line for _, _, line in result.told("script-step")] == [9, 10]
    assert result.told("host-change") == [("left", "mkdir", 5)]


def test_a_script_that_nobody_can_follow_stays_the_entrypoint(host: Host) -> None:
    result = host.script("for x in 1 2; do echo $x; done\n. venv/bin/activate\nexec ./server")
    assert result.command == ["start.sh"]
    assert result.told("script-kept") == [("left", "start.sh", 2)]
    assert result.told("activate") == [("left", "/srv/app/start.sh", 1)]
    assert "/start.sh" not in result.ignored


@pytest.mark.parametrize("text", [". ./a.sh", "exec ./start.sh", "exec sh -c './start.sh'", "sh start.sh &"])
def test_scripts_that_call_themselves_come_to_an_end(host: Host, text: str) -> None:
    try:
        host.script(f"cd /srv/app\n{text}", **{"srv/app/a.sh": ". ./b.sh", "srv/app/b.sh": ". ./a.sh"})
    except NothingError as refused:
        assert refused.problems[-1].code == "nothing"


# supervisor


@pytest.mark.parametrize(
    "text",
    [
        "A=" + "${A:-" * 3000 + "x" + "}" * 3000 + "\nexec ./server $A",
        "A=" + "$(" * 3000 + "x" + ")" * 3000 + "\nexec ./server $A",
        "if [ " + "! " * 100_000 + "-f x ]; then :; fi\nexec ./server",
        "exec " + "env " * 3000 + "./server",
        "if true; then " * 3000 + "exec ./server" + "; fi" * 3000,
    ],
    ids=range(5),
)
def test_no_nesting_is_too_deep(host: Host, text: str) -> None:
    with contextlib.suppress(NothingError):
        assert host.script(f"cd /srv/app\n{text}").manifest.entrypoint in ("server", "start.sh")


def test_configurations_of_supervisor_that_cannot_be_read_are_told(host: Host) -> None:
    with pytest.raises(NothingError) as refused:
        host.supervisor(
            "[program:a]\ncommand=/srv/app/server %(ENV_HOME)s\n[program:b]\nuser=x\n[program:c]\ncommand='\n"
        )
    assert [problem.code for problem in refused.value.problems] == ["specifier", "no-command", "specifier", "nothing"]


def test_files_that_include_each_other_are_read_once(host: Host) -> None:
    write(host.root, {
        "etc/sup/a.conf": "[include]\nfiles=*.conf %(here)s/d/*.ini\n[program:a]\ncommand=/srv/app/server a\n",
        "etc/sup/b.conf": "[include]\nfiles=a.conf b.conf\n[program:b]\ncommand=/srv/app/server b\n",
        "etc/sup/d/c.ini": "[program:c]\ncommand=/srv/app/server c\n[group:g]\nprograms=a,b\n",
    })  # fmt: skip
    result = host.migrated("/etc/sup/a.conf")
    assert [service.args for service in result.manifest.services] == [("a",), ("b",), ("c",)]
    assert [state for state, *_ in result.told("include")] == ["left", "changed", "changed"] and len(
        result.told("group")
    ) == 1


# The directory


def test_what_is_not_the_applications_is_left_out(host: Host) -> None:
    host.environment()
    app = host.root / "srv/app"
    write(app, {
        "data/app.db": b"SQLite format 3\0", "data/app.db-wal": b"", "uploads/a.png": b"", "tmp/x.py": "", "log/a": "",
        ".env": "A=b", ".env.example": "A=", "web/tls.key": "x", "cert.pem": "-----BEGIN PRIVATE KEY-----",
        "ca.pem": "-----BEGIN CERTIFICATE-----", "a.log": "", "b.log.1": "", "run.pid": "1", "nohup.out": "",
        "odd name#!*.db": b"", "deploy/app.service": "[Service]\nUser=app\nExecStart=/srv/app/server\n",
    })  # fmt: skip
    (app / "out").symlink_to("/var/log")
    (app / "up").symlink_to("../x")
    (app / "dangling").symlink_to("gone")
    (app / "to-log").symlink_to("log/a")
    (app / "fine").symlink_to("main.py")
    os.mkfifo(app / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(app / "control"))
    result = host.migrated()
    assert result.ignored == {
        "/data/app.db", "/data/app.db-wal", "/uploads/", "/log/", "/.env", "/web/tls.key", "/cert.pem",
        "*.log", "*.log.*", "*.pid", "nohup.out", r"/odd name#!\*.db", "/deploy/app.service",
        "/out", "/up", "/dangling",
        "/to-log", "/pipe", "/control", "/venv/",
    }  # fmt: skip


def test_what_the_service_needs_is_never_left_out(host: Host) -> None:
    write(host.root, {"srv/app/run/serve.log": ELF, "srv/app/.capsuleignore": "/mine\n"})
    result = host.unit("ExecStart=/srv/app/run/serve.log")
    assert result.ignored == {"/mine"}
    assert {subject for _, subject, _ in result.told("ignore-spared")} == {"run"}


def test_steps_can_be_copied_whatever_things_are_called(host: Host) -> None:
    write(host.root, {"srv/app/my `data`/a``b.db": ""})
    steps = " ".join(host.unit("ExecStart=/srv/app/server").document["steps"])
    path = f"{host.root}/srv/app/my `data`/a``b.db"
    assert f"```cp -aT '{path}' '/opt/tori/state/app/my `data`/a``b.db'```" in steps
    assert "`systemctl stop app.service`" in steps


def test_suggestions(host: Host) -> None:
    write(host.root, {
        "srv/app/web.py": "@app.route('/healthz')\nLOG = '/var/log/app.log'\n# /srv/app/x\nKEY = '/srv/app/k'\n",
        "srv/app/conf.ini": "[a]\nsecret_key = abcdefgh\n", "srv/app/gunicorn.conf.py": 'bind = "0.0.0.0:8001"\n',
        "srv/app/requirements.txt": "", "srv/app/requirements/base.txt": "",
    })  # fmt: skip
    host.environment()
    result = host.unit("ExecStart=/srv/app/venv/bin/gunicorn -b :80 web:a\n# http://localhost:80/ping\n")
    assert [subject for _, subject, _ in result.told("health")] == ["/ping", "/healthz"]
    assert result.told("port-privileged") and result.told("port")[0][1] == "8001"
    assert [(subject, line) for _, subject, line in result.told("absolute-path")] == [
        ("web.py", 2),
        ("web.py", 3),
        ("web.py", 4),
    ]
    assert result.told("secret-in-file") == [("suggested", "conf.ini", 2)]
    assert result.manifest.pip_requirements == "requirements.txt"
    assert not any(service.health for service in result.manifest.services)
    assert b"abcdefgh" not in result.files["migration.md"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app", "app"),
        ("My_Shop.v2", "my_shop-v2"),
        ("1st--Ap", "st-ap"),
        ("42", "app"),
        ("x" * 40, "x" * 26),
        ("é-a", "a"),
    ],
)
def test_names(tmp_path: Path, name: str, expected: str) -> None:
    write(tmp_path, {f"srv/{name}/server": ELF, "etc/a.conf": f"[program:{name}]\ncommand=/srv/{name}/server\n"})
    result = Result(migrate(str(tmp_path / "srv" / name), ["/etc/a.conf"], str(tmp_path)))
    assert result.manifest.name == expected


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("pyproject.toml", '[project]\nversion = "1.2"\n', "1.2.0"), ("VERSION", "v3.4.5-rc.1\n", "3.4.5-rc.1"),
        ("app/__init__.py", "__version__ = '2024.01.02'\n", "2024.1.2"),
        ("setup.py", "setup(version='banana')", "0.1.0"),
    ],
)  # fmt: skip
def test_versions(host: Host, file: str, text: str, expected: str) -> None:
    write(host.root / "srv/app", {file: text})
    assert host.unit("ExecStart=/srv/app/server").manifest.version == expected
