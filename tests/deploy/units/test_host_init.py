"""What makes a host ready, and what tells that it is not; on the tree of another host."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from capsule_deploy import host, journal, units
from capsule_deploy.cli.capsdeploy import main
from capsule_deploy.layout import Layout
from tests.deploy.laid_out import lay_out

MANIFEST = "name: my-app\nversion: 1.0.0\nentrypoint: x\n"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An image with a Python, a capsdeploy, and the accounts of every host."""
    for name in ("usr/bin/python3.11", "usr/local/bin/capsdeploy"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group"):
        shutil.copy(f"/etc/{name}", tmp_path / "etc" / name)
    return Layout(str(tmp_path))


def init(layout: Layout) -> list[str]:
    said: list[str] = []
    host.init(layout, "/usr/local/bin/capsdeploy", said.append)
    return said


def ready(layout: Layout) -> Layout:
    init(layout)
    Path(layout.trust, "release.pub").write_text("RW…\n")
    return layout


def test_an_empty_host_becomes_ready_and_stays_so(layout: Layout) -> None:
    assert {problem.code for problem in host.doctor(layout)} >= {"directory-missing", "unit-missing", "trust-none"}
    assert init(layout)
    assert init(layout) == []
    assert [problem.code for problem in host.doctor(layout)] == ["trust-none"]
    link = Path(layout.path("/opt/tori/python/3.11/bin/python3.11"))
    assert os.readlink(link) == "/usr/bin/python3.11"
    assert os.readlink(f"{layout.units}/multi-user.target.wants/tori-recover.service").endswith("/tori-recover.service")
    recover = Path(layout.units, "tori-recover.service").read_text()
    assert 'ExecStart="/usr/local/bin/capsdeploy" recover --no-wait\n' in recover
    modes = {name: oct(os.stat(layout.path(f"/opt/tori/{name}")).st_mode & 0o777) for name in ("state", "staging")}
    assert modes == {"state": "0o755", "staging": "0o700"}


def open_state(layout: Layout) -> None:
    Path(layout.state).chmod(0o777)


def close_apps(layout: Layout) -> None:
    Path(layout.apps).chmod(0o700)


def lose_python(layout: Layout) -> None:
    Path(layout.path("/usr/bin/python3.11")).unlink()


def change_template(layout: Layout) -> None:
    Path(layout.units, units.TEMPLATE).write_text("[Service]\n")


def disable(layout: Layout) -> None:
    Path(layout.units, "multi-user.target.wants", "tori-recover.service").unlink()


def lose_command(layout: Layout) -> None:
    Path(layout.path("/usr/local/bin/capsdeploy")).unlink()


def dangle(layout: Layout) -> None:
    os.makedirs(layout.app("my-app"))
    os.symlink(f"../../releases/{'0' * 64}", os.path.join(layout.app("my-app"), "active"))


def forget_units(layout: Layout) -> None:
    lay_out(layout, MANIFEST, {"x": "#!/bin/sh\n"})


def interrupt(layout: Layout) -> None:
    os.makedirs(layout.app("my-app"))
    change = journal.Change("activate", "my-app", "1" * 64, None, None, journal.BESIDE, journal.PREPARED, 0)
    journal.write(layout, change, journal.STARTED)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (open_state, "directory-open"),
        (close_apps, "directory-mode"),
        (lose_python, "python-gone"),
        (change_template, "unit-other"),
        (disable, "recover-disabled"),
        (lose_command, "command-gone"),
        (dangle, "link-dangling"),
        (forget_units, "units-missing"),
        (interrupt, "interrupted"),
    ],
)
def test_the_doctor_finds_what_is_wrong_and_how_to_mend_it(
    layout: Layout, spoil: Callable[[Layout], None], code: str
) -> None:
    assert host.doctor(ready(layout)) == []
    spoil(layout)
    (problem,) = host.doctor(layout)
    assert problem.code == code
    assert problem.remedy


@pytest.mark.parametrize("spoil", [open_state, close_apps, change_template, disable, forget_units])
def test_init_mends_what_the_doctor_says_it_does(layout: Layout, spoil: Callable[[Layout], None]) -> None:
    spoil(ready(layout))
    (problem,) = host.doctor(layout)
    assert "capsdeploy host init" in problem.remedy
    init(layout)
    assert host.doctor(layout) == []


def test_a_release_of_an_image_is_activated_for_its_next_boot(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("capsule_deploy.cli.activating.require_sound", lambda _layout, _release: None)
    ready(layout)
    first, second = (
        lay_out(layout, MANIFEST.replace("1.0.0", version), {"x": "#!/bin/sh\n"}) for version in ("1.0.0", "1.0.1")
    )
    for release in (first, second):
        assert main(["activate", release.short, "--root", layout.root, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["new"] == release.id
    app = Path(layout.app("my-app"))
    assert (app / "active").readlink() == Path(f"../../releases/{second.id}")
    assert (app / "previous").readlink() == Path(f"../../releases/{first.id}")
    assert (app / "active").resolve() == Path(second.path)
    assert "tori-my-app" in Path(layout.path("/etc/passwd")).read_text()
    assert Path(layout.state, "my-app").stat().st_uid != 0
    assert main(["rollback", "--root", layout.root]) == 0
    assert (app / "active").resolve() == Path(first.path)
    assert main(["deactivate", "my-app", "--root", layout.root]) == 0
    assert main(["status", "--root", layout.root]) == 0
    assert "no active release" in capsys.readouterr().out
    lines = (app / "history").read_text().splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["activate", "activate", "rollback", "deactivate"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["activate", "zz"], 8),
        (["activate", "00000000"], 8),
        (["rollback"], 8),
        (["rollback", "nothing"], 8),
        (["status", "nothing"], 8),
        (["deactivate", "../x"], 2),
        (["logs", "../../etc"], 8),
        (["activate"], 2),
        (["doctor"], 10),
    ],
)
def test_what_is_asked_in_vain_has_its_exit_status(layout: Layout, arguments: list[str], status: int) -> None:
    try:
        assert main([*arguments, "--root", layout.root]) == status
    except SystemExit as ended:
        assert ended.code == status


@pytest.mark.parametrize(
    "command", ["activate", "rollback", "deactivate", "status", "logs", "host", "doctor", "recover"]
)
def test_each_command_has_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert f"  capsdeploy {command}" in said
    assert "exit status: 0" in said
