"""What cannot be migrated is refused in words, writes nothing, and leaves the original as it is."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capsule_builder.errors import CapsuleError
from capsule_builder.manifest import check
from capsule_builder.sources.ignore import IgnoreRules
from capsule_deploy.migrate.migration import migrate
from tests.capsbuild.command import ENVIRONMENT, write
from tests.deploy.migrate.command import COMMAND, Migrated, age, caps_migrate, whole
from tests.deploy.migrate.test_syntax import ANY

UNIT = "[Service]\nUser=app\nExecStart=/srv/app/run.sh\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(
        tmp_path / "host",
        {"srv/app/run.sh": "#!/bin/sh\nexec /srv/app/server\n", "srv/app/server": "#!/usr/bin/awk -f\n"},
    )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def refused(ran: Migrated, status: int, *codes: str) -> None:
    """A refusal in words, with nothing written."""
    assert ran.status == status, ran.err
    assert "Traceback" not in ran.err and ran.err.startswith("ERROR: ")
    assert not ran.output.exists()
    assert [error["code"] for error in json.loads(ran.out)["errors"]] == list(codes)


def run(root: Path, out: Path, *options: str | Path) -> Migrated:
    age(root)
    before = whole(root)
    ran = caps_migrate(root / "srv/app", "--root", root, "--json", *options, output=out)
    assert whole(root) == before
    return ran


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (None, 8, "file-missing"),
        (b"\x00\x01\x02", 4, "file-binary"),
        (b"[Service]\nExecStart=/srv/app/\x00run.sh\n", 4, "file-binary"),
        (os.urandom(4096) + b"\x00", 4, "file-binary"),
        (b"[Service]\n" + b"#" * (1 << 20), 4, "file-large"),
        (b"hello\n", 4, "unit-unknown"),
        (b"", 4, "unit-unknown"),
        (b"\xff\xfe\xfd\n", 4, "unit-unknown"),
    ],
)
def test_what_is_no_unit(root: Path, out: Path, content: bytes | None, status: int, code: str) -> None:
    if content is not None:
        (root / "srv/app/thing").write_bytes(content)
    refused(run(root, out, "--unit", "/srv/app/thing"), status, code)


def test_a_unit_that_starts_nothing(root: Path, out: Path) -> None:
    write(root, {"a.service": b"", "b.service": b"\xff\xfe[Service\n=\n"})
    refused(run(root, out, "--unit", "/a.service"), 4, "no-command", "nothing")
    refused(run(root, out, "--unit", "/b.service"), 4, "line-invalid", "line-invalid", "no-command", "nothing")


def test_what_is_no_regular_file(root: Path, out: Path) -> None:
    os.mkfifo(root / "fifo.service")
    (root / "dir.service").mkdir()
    (root / "loop.service").symlink_to("loop.service")
    for name in ("fifo.service", "dir.service", "loop.service"):
        ran = caps_migrate(root / "srv/app", "--root", root, "--json", "--unit", f"/{name}", output=out)
        refused(ran, 4, "file-unreadable")
    (root / "null.service").symlink_to("/dev/null")  # as systemctl mask does
    refused(run(root, out, "--unit", "/null.service"), 4, "file-unreadable")


def test_what_may_not_be_read(root: Path, out: Path) -> None:
    write(root, {"app.service": UNIT})
    (root / "app.service").chmod(0)
    drop = "-dac_override,-dac_read_search"
    command = ["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}", *COMMAND, root / "srv/app", "--root", root]
    command += ["--unit", "/app.service", "--output", out]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.returncode, done.stderr.splitlines()[0]) == (4, "ERROR: Cannot read /app.service: Permission denied")
    assert not out.exists()


@pytest.mark.parametrize("content", [b"[Service]\n" + b"#" * (10 << 20), "[Service]\n".encode("utf-16")])
def test_a_unit_that_cannot_be_read_is_not_passed_over_for_something_weaker(
    root: Path, out: Path, content: bytes
) -> None:
    write(root, {"srv/app/app.service": content})
    refused(run(root, out), 4, "file-large" if len(content) > 100 else "file-binary")
    write(root, {"srv/app/deploy/app2.service": UNIT})
    assert run(root, out).status == 0


def test_directories_that_may_not_be_read(root: Path, out: Path) -> None:
    (root / "srv/app").chmod(0)
    drop = "-dac_override,-dac_read_search"
    command = ["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}", *COMMAND, root / "srv/app", "--output", out]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    (root / "srv/app").chmod(0o755)
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        4,
        f"ERROR: Cannot read {root}/srv/app: Permission denied",
    )


def test_a_drop_in_is_no_unit_of_its_own(root: Path, out: Path) -> None:
    drop_in = "[Service]\nExecStart=\nExecStart=/srv/app/run.sh\n"
    write(root, {"srv/app/deploy/app.service": UNIT, "srv/app/deploy/app.service.d/a.conf": drop_in})
    ran = run(root, out)
    assert ran.document["sources"] == ["deploy/app.service", "deploy/app.service.d/a.conf", "run.sh"]


def test_drop_ins_that_systemd_ignores_are_told(root: Path, out: Path) -> None:
    write(root, {"app.service": UNIT, "app.service.d/z.conf": "[Service]\nEnvironment=A=1\n"})
    os.mkfifo(root / "app.service.d/fifo.conf")
    (root / "app.service.d/dir.conf").mkdir()
    (root / "app.service.d/loop.conf").symlink_to("loop.conf")
    (root / "app.service.d/up.conf").symlink_to("../app.service.d")
    (root / "app.service.d/mask.conf").symlink_to("/dev/null")
    ran = caps_migrate(root / "srv/app", "--root", root, "--unit", "/app.service", output=out)
    assert ran.status == 0 and "A:" in ran.manifest
    assert sorted(one["file"] for one in ran.findings("file-unreadable")) == [
        f"/app.service.d/{name}.conf" for name in ("dir", "fifo", "loop", "up")
    ]


def test_links_in_the_copy_of_a_host_lead_nowhere_else(root: Path, tmp_path: Path) -> None:
    write(tmp_path, {"secret": "A=taken\n"})
    write(root, {"app.service": UNIT + "EnvironmentFile=/etc/a\nEnvironmentFile=-/etc/b\n", "real/a": "B=own\n"})
    (root / "etc").mkdir()
    (root / "etc/a").symlink_to("/real/a")
    (root / "etc/b").symlink_to(tmp_path / "secret")
    (root / "app.service.d").mkdir()
    (root / "app.service.d/a.conf").symlink_to("../" * 20 + "real/../app.service")
    ran = run(root, tmp_path / "out", "--unit", "/app.service")
    assert ran.status == 0 and "B: own" in ran.manifest and "taken" not in ran.manifest
    assert "app.service.d/a.conf" in str(ran.document["sources"])
    (root / "etc/a").unlink()
    (root / "etc/a").symlink_to("/etc/a/x")
    ran = run(root, tmp_path / "loop", "--unit", "/app.service")
    assert "Too many levels of symbolic links" in ran.findings("environment-file")[0]["message"]


def test_the_same_unit_named_twice_is_one(root: Path, out: Path) -> None:
    write(root, {"app.service": UNIT})
    (root / "b.service").symlink_to("app.service")
    ran = run(root, out, "--unit", "/app.service", "--unit", "/app.service", "--unit", "/b.service")
    assert "services" not in ran.manifest


def test_nothing_and_too_much_that_starts_a_service(root: Path, out: Path) -> None:
    (root / "srv/app/run.sh").rename(root / "srv/app/other")
    refused(run(root, out), 8, "unit-missing")
    write(root, {"srv/app/start.sh": b"#!/bin/sh\0"})
    refused(run(root, out), 4, "file-binary", "unit-missing")
    write(root, {"srv/app/deploy/a.service": UNIT, "srv/app/deploy/b.service": UNIT})
    ran = run(root, out)
    refused(ran, 4, "unit-ambiguous")
    assert "deploy/a.service, deploy/b.service" in ran.err


def test_what_the_host_has_is_found_when_it_names_the_directory(root: Path, out: Path) -> None:
    write(
        root, {"etc/systemd/system/app.service": UNIT, "etc/systemd/system/other.service": UNIT.replace("app", "app2")}
    )
    ran = run(root, out)
    assert ran.status == 0 and ran.document["sources"] == ["/etc/systemd/system/app.service", "run.sh"]


def test_a_file_of_the_old_host_comes_before_this_hosts(root: Path, out: Path) -> None:
    write(root, {"etc/crontab": "@reboot www /srv/app/server\n"})
    assert Path("/etc/passwd").exists() and run(root, out, "--unit", "/etc/crontab").status == 0
    write(root, {"etc/passwd": UNIT})
    ran = run(root, out.with_name("b"), "--unit", "/etc/passwd")
    assert ran.document["sources"] == ["/etc/passwd", "run.sh"]
    ran = run(root, out.with_name("c"), "--unit", root / "etc/crontab")
    assert ran.document["sources"] == ["/etc/crontab"]


def test_files_of_several_kinds(root: Path, out: Path) -> None:
    write(root, {"a.service": UNIT, "b.conf": "[program:b]\ncommand=x\n"})
    refused(run(root, out, "--unit", "/a.service", "--unit", "/b.conf"), 4, "unit-mixed")
    refused(run(root, out, "--unit", "/a.service", "--unit", "/x", "--unit", "/y"), 4, "file-missing", "file-missing")


def test_an_application_that_has_a_manifest(root: Path, out: Path) -> None:
    write(root, {"srv/app/capsule.yml": "", "app.service": UNIT})
    refused(run(root, out, "--unit", "/app.service"), 4, "manifest-present")


def test_directories_that_are_not_there(root: Path, out: Path) -> None:
    for directory, tree in ((root / "gone", root), (root / "srv/app/server", root), (root / "srv/app", root / "gone")):
        refused(caps_migrate(directory, "--root", tree, "--json", output=out), 8, "source-missing")


def test_wrong_usage(root: Path, out: Path) -> None:
    for arguments in ([], ["a", "b"], ["a", "--unit"], ["a", "--nothing"]):
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=ENVIRONMENT)
        assert done.returncode == 2 and done.stderr.startswith("usage: caps_migrate")


# The output


def test_nothing_is_written_into_the_original_or_over_anything(root: Path, tmp_path: Path) -> None:
    write(root, {"app.service": UNIT})
    app = root / "srv/app"
    (tmp_path / "link").symlink_to(app)
    write(tmp_path, {"full/migration.md": "mine", "file": ""})
    for output, code in {
        app: "output-inside",
        app / "new": "output-inside",
        tmp_path / "link": "output-inside",
        tmp_path / "link/sub": "output-inside",
        root / "out": "output-inside",
        "": "output-special",
        tmp_path / "full": "output-exists",
        tmp_path / "file": "output-special",
        tmp_path / "no/such": "output-missing",
    }.items():
        before = whole(tmp_path)
        ran = caps_migrate(app, "--root", root, "--json", "--unit", "/app.service", output=output)
        assert ran.status == 2 and [error["code"] for error in json.loads(ran.out)["errors"]] == [code], output
        after = whole(tmp_path)
        assert {path: entry[7:] for path, entry in after.items()} == {path: entry[7:] for path, entry in before.items()}


def test_a_full_disk_leaves_nothing(root: Path, tmp_path: Path) -> None:
    write(root, {"app.service": UNIT})
    script = (
        'mkdir "$0/small" && mount -t tmpfs -o size=4k none "$0/small" && dd if=/dev/zero of="$0/small/x" bs=4k count=1'
        ' 2> /dev/null; "$@"; status=$?; ls -A "$0/small"; exit $status'
    )
    command = [*COMMAND, root / "srv/app", "--root", root, "--unit", "/app.service", "--output", tmp_path / "small/out"]
    ran = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, tmp_path, *command],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    assert ran.returncode == 6, ran.stderr
    assert ran.stderr.startswith("ERROR: Cannot migrate: No space left on device")
    assert ran.stdout == "x\n"


def test_the_same_twice(root: Path, tmp_path: Path) -> None:
    write(root, {"app.service": UNIT})
    for name in ("a", "b"):
        assert run(root, tmp_path / name, "--unit", "/app.service").status == 0
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    for name in ("capsule.yml", ".capsuleignore", "migration.json"):
        assert name in names
        one, other = ((tmp_path / place / name).read_text() for place in ("a", "b"))
        assert one.replace(f"{tmp_path}/a", "") == other.replace(f"{tmp_path}/b", "")


# Anything at all


NAMES = st.text(alphabet="ab \\*?[]#!.\n\té\udcff%$'\"", min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..")
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["app.service", "app.conf", "crontab", "start.sh"]),
    st.lists(
        st.one_of(
            ANY,
            st.sampled_from([
                "[Service]\n", "ExecStart=/srv/app/server ", "\nEnvironment=", "[program:a]\ncommand=/srv/app/server ",
                "\nenvironment=", "@reboot /srv/app/server ", "#!/bin/sh\n", "\nexport A=", "\nexec /srv/app/server ",
                "\nCPUQuota=", "\nMemoryMax=", "\nWorkingDirectory=", "/srv/app", "/srv/app/venv/bin/python ", " -m ",
            ]),
        ),
        max_size=8,
    ).map("".join),
    NAMES,
)  # fmt: skip
def test_whatever_is_read_the_manifest_is_valid_or_there_are_reasons(
    tmp_path_factory: pytest.TempPathFactory, name: str, text: str, odd: str
) -> None:
    root = tmp_path_factory.mktemp("any")
    data = text.encode(
        "utf-8", "surrogateescape" if all(ord(c) < 0xD800 or ord(c) > 0xDFFF for c in text) else "replace"
    )
    write(
        root,
        {f"etc/{name}": data, "srv/app/server": "#!/bin/awk -f\n", "srv/app/venv/pyvenv.cfg": "version = 3.11.2\n"},
    )
    write(root, {"srv/app/venv/bin/python": ""})
    place = os.fsencode(root / "srv/app") + b"/" + odd.encode("utf-8", "surrogateescape") + b".db"
    if b"\n" not in place:
        with open(place, "wb"):
            pass
    try:
        migration = migrate(str(root / "srv/app"), [str(root / "etc" / name)], str(root))
    except CapsuleError as refused:
        assert refused.problems and all(problem.code and problem.message for problem in refused.problems)
        return
    manifest, problems = check(migration.files["capsule.yml"], "capsule.yml")
    assert manifest is not None and not [one for one in problems if one.severity == "error"]
    json.loads(migration.files["migration.json"])
    migration.files["migration.md"].decode()
    rules = IgnoreRules.defaults().below("", migration.files[".capsuleignore"])
    left_out = odd.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") + ".db"
    assert b"\n" in place or rules.ignored(left_out)
    assert not rules.ignored("server")


LONG = 900_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("app.service", "[Service]\nExecStart=/srv/app/server " + "a-" * (LONG // 2)),
        ("app.service", "[Service]\nExecStart=/srv/app/server " + "/a" * (LONG // 2)),
        ("app.service", "[Service]\nExecStart=/srv/app/server /srv/app/" + ".log" * (LONG // 4)),
        ("app.service", "[Service]\nExecStart=/srv/app/server\nEnvironment=A=" + "a" * LONG),
        ("app.service", "[Service]\nExecStart=/srv/app/server\nEnvironment=A=" + "eyJ-" * (LONG // 4)),
        (
            "app.service",
            "[Service]\nExecStart=/srv/app/server\nEnvironment=" + " ".join(f"V{n}=1" for n in range(9000)),
        ),
        ("app.service", "[Service]\nExecStart=/srv/app/server\n" + "Nice=1\n" * (LONG // 7)),
        ("app.conf", "[program:a]\ncommand=/srv/app/server\nx" + " " * LONG + "y\n"),
        ("app.conf", "[program:a]\ncommand=/srv/app/server" + "\n b" * (LONG // 3)),
        ("crontab", "@reboot /srv/app/server\nA=x" + " " * LONG + "y\n"),
        ("crontab", "@reboot /srv/app/server\n" + "* " * (LONG // 2)),
        ("start.sh", "#!/bin/sh\n" + "cd /srv/app\n" * (LONG // 12) + "exec ./server\n"),
        ("start.sh", "#!/bin/sh\nexec /srv/app/server " + "flask db " * (LONG // 9)),
        ("start.sh", "#!/bin/sh\nA=" + "${A:-" * (LONG // 5)),
    ],
    ids=range(14),
)
def test_long_lines_take_no_time(root: Path, name: str, text: str) -> None:
    write(root, {f"etc/{name}": text})
    start = time.process_time()
    with contextlib.suppress(CapsuleError):
        migrate(str(root / "srv/app"), [str(root / "etc" / name)], str(root))
    assert time.process_time() - start < 20
