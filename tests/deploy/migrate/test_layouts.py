"""Whole deployments: migrated, checked, built, unpacked, and running where nothing of the original is left."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.capsbuild.command import ENVIRONMENT, capsbuild
from tests.deploy.migrate import layouts
from tests.deploy.migrate.command import Migrated, age, caps_migrate, whole
from tests.deploy.migrate.layouts import SECRET, Layout
from tests.deploy.migrate.running import Answers, run_capsule, run_original
from tests.environment.corpus import open_place, unpack


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with open_place() as found:
        yield found


def migrated(layout: Layout, output: Path) -> Migrated:
    """Migrates, and makes sure that not even the time of an access is another one after."""
    age(layout.root)
    before = whole(layout.root)
    units = [option for unit in layout.units for option in ("--unit", unit)]
    ran = caps_migrate(layout.directory, "--root", layout.root, *units, output=output)
    assert (ran.status, ran.err) == (0, "")
    assert whole(layout.root) == before
    written = b"".join(path.read_bytes() for path in output.iterdir())
    assert SECRET.encode() not in written + ran.out.encode()
    assert sorted(path.name for path in output.iterdir()) == [
        ".capsuleignore", "capsule.yml", "migration.json", "migration.md",
    ]  # fmt: skip
    return ran


def built(layout: Layout, ran: Migrated, place: Path, *options: str | Path) -> Path:
    """The capsule, made by the commands that the report names, and unpacked."""
    source = place / "source"
    shutil.copytree(layout.directory, source, symlinks=True)
    for name in ("capsule.yml", ".capsuleignore"):
        shutil.copy(ran.output / name, source / name)
    done = capsbuild("--from-dir", source, "--output", place / "a.tar.gz", "--compression-level", "1", *options)
    assert done.status == 0 and all(line.startswith("NOTE: ") for line in done.err.splitlines()), done.err
    capsule = unpack(place / "a.tar.gz", place / "capsule")
    files = [path for path in capsule.rglob("*") if path.is_file() and not path.is_symlink()]
    with_secret = {str(path.relative_to(capsule)) for path in files if SECRET.encode() in path.read_bytes()}
    assert with_secret == {finding["subject"] for finding in ran.findings("secret-in-file")}
    return capsule


def answered(answers: Answers, expected: dict[str, str]) -> None:
    assert answers.answers == expected, "\n".join(answers.outputs)
    assert all(answers.alive), answers.outputs


def states(ran: Migrated, state: str) -> set[str]:
    """The codes of everything that has come to this."""
    return {code for one, code, _ in ran.told() if one == state}


def validated(ran: Migrated) -> None:
    command = [sys.executable, "-m", "capsule_builder.cli.caps_validate", ran.output / "capsule.yml"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.returncode, done.stdout) == (0, f"{ran.output}/capsule.yml: ok\n")


def test_a_unit_with_drop_ins_and_environment_files(place: Path) -> None:
    layout = layouts.shop(place / "shop/host")
    assert layouts.verified(layout, "/etc/systemd/system/shop.service") == "0 "
    ran = migrated(layout, place / "shop/out")
    validated(ran)
    capsule = built(layout, ran, place / "shop", "--venv", layout.directory / ".venv")

    assert sorted(str(path.relative_to(capsule)) for path in capsule.rglob("*") if "venv" not in path.parts) == [
        ".capsule_contents", ".capsule_index", ".capsule_metadata.json", "capsule.yml", "manage.py",
        "requirements-dev.txt", "requirements.txt", "settings.ini", "shop", "shop/__init__.py", "shop/wsgi.py",
    ]  # fmt: skip
    state = place / "shop/state"
    shutil.copytree(layout.directory / "data", state / "data")
    answers = run_capsule(capsule, state, ["http://127.0.0.1:8085/healthz"])
    answered(answers, {"http://127.0.0.1:8085/healthz": "hello from the shop, 1, aaa"})
    assert states(ran, "left") == {
        "absolute-path", "argument", "capabilities", "dependency", "env-file", "exec-hook", "limit", "link-outside",
        "secret", "state-directory", "state-file", "stop-signal",
    }  # fmt: skip
    assert [(one["file"], one["line"], one["text"]) for one in ran.findings("dependency")] == [
        ("/etc/systemd/system/shop.service", 4, "After=network-online.target postgresql.service")
    ]
    assert {one["subject"] for one in ran.findings("secret")} == {"SECRET_KEY", "DATABASE_URL"}
    assert [(one["subject"], "port: 8085" in one["remedy"]) for one in ran.findings("health")] == [("/healthz", True)]


def test_programs_of_supervisor(place: Path) -> None:
    layout = layouts.fleet(place / "fleet/host")
    ran = migrated(layout, place / "fleet/out")
    validated(ran)
    capsule = built(layout, ran, place / "fleet")
    state = place / "fleet/state"
    shutil.copytree(layout.directory / "spool", state / "spool")
    assert states(ran, "left") == {"root-user", "secret", "state-directory", "stop-signal", "supervisor-rpc"}
    urls = ["http://127.0.0.1:8091/status", "http://127.0.0.1:8101/", "http://127.0.0.1:8102/"]
    answered(
        run_capsule(capsule, state, urls),
        {
            urls[0]: "The fleet, all of it at live",
            urls[1]: "worker-1 first rule ['job-1', 'seen-8101'] False",
            urls[2]: "worker-2 first rule ['job-1', 'seen-8101', 'seen-8102'] False",
        },
    )


def test_a_crontab_with_a_script(place: Path) -> None:
    layout = layouts.notes(place / "notes/host")
    url = "http://127.0.0.1:8096/ping"
    ran = migrated(layout, place / "notes/out")
    validated(ran)
    capsule = built(layout, ran, place / "notes")
    state = place / "notes/state"
    (state / "var").mkdir(parents=True)
    answered(run_capsule(capsule, state, [url]), {url: "All notes every 2"})
    assert states(ran, "left") == {"cron-timer", "cron-variable", "host-change", "limit", "secret", "state-directory"}
    assert not (capsule / "start.sh").exists()

    # And that is what the script itself does.
    shutil.copytree(layout.directory, place / "notes/copy", symlinks=True)
    before = run_original({place / "notes/copy": "/srv/notes"}, ["/srv/notes/start.sh"], "/", [url])
    assert before.answers == {url: " every 2"}, before.outputs  # the title is in the crontab


def test_a_compiled_program_in_a_checkout(place: Path) -> None:
    layout = layouts.beacon(place / "beacon/host")
    ran = migrated(layout, place / "beacon/out")
    validated(ran)
    assert "python" not in ran.manifest
    capsule = built(layout, ran, place / "beacon")
    (place / "beacon/state").mkdir()
    url = "http://127.0.0.1:8098/index.html"
    answered(run_capsule(capsule, place / "beacon/state", [url]), {url: "<p>beacon</p>\n"})
    assert states(ran, "left") == set()
