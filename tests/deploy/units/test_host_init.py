"""What makes a host ready, and what tells that it is not; on the tree of another host."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from capsule_builder.errors import CapsuleError
from capsule_builder.trust.minisign import SecretKey
from capsule_deploy import accounts, host, journal, units
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
    Path(layout.trust, "release.pub").write_bytes(SecretKey.generate().public_key.format())
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


def spoil_policy(layout: Layout) -> None:
    Path(layout.policy).write_text("unsignd: true\n")


def spoil_key(layout: Layout) -> None:
    Path(layout.trust, "release.pub").write_text("RW…\n")


def lose_key(layout: Layout) -> None:
    Path(layout.trust, "other.pub").symlink_to("/nowhere")


def lose_receipt(layout: Layout) -> None:
    release = lay_out(layout, MANIFEST, {"x": "#!/bin/sh\n"})
    units.write(layout, release)
    Path(layout.receipt(release.id), "receipt.json").write_text("[" * 10_000)


def replace_state(layout: Layout) -> None:
    Path(layout.state).rmdir()
    Path(layout.state).write_text("")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (spoil_policy, "unknown-key"),
        (spoil_key, "minisign-malformed"),
        (lose_key, "key-unreadable"),
        (lose_receipt, "receipt-damaged"),
        (replace_state, "directory-other"),
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


def test_the_doctor_tells_of_everything_whatever_stands_in_the_way(layout: Layout) -> None:
    ready(layout)
    for spoil in (spoil_policy, lose_key, lose_receipt, disable):
        spoil(layout)
    codes = [problem.code for problem in host.doctor(layout)]
    assert codes == ["unknown-key", "key-unreadable", "recover-disabled", "receipt-damaged"]
    Path(layout.apps).rmdir()
    Path(layout.apps).write_text("")  # and where a file is in the place of a directory
    assert "directory-other" in {problem.code for problem in host.doctor(layout)}


def test_init_puts_nothing_in_the_place_of_anything_else(layout: Layout) -> None:
    Path(layout.path("/opt")).mkdir()
    Path(layout.tori).symlink_to("srv")
    Path(layout.tori).parent.joinpath("srv").mkdir()
    with pytest.raises(CapsuleError) as refused:
        init(layout)
    assert [problem.code for problem in refused.value.problems] == ["directory-other"]
    assert list(Path(layout.tori).iterdir()) == []


def test_a_release_that_nobody_knows_does_not_keep_the_host_from_being_ready(layout: Layout) -> None:
    ready(layout)
    lose_receipt(layout)
    forgotten = lay_out(layout, MANIFEST.replace("1.0.0", "1.0.1"), {"x": "#!/bin/sh\n"})
    disable(layout)
    with pytest.raises(CapsuleError) as refused:
        init(layout)
    assert [problem.code for problem in refused.value.problems] == ["receipt-damaged"]
    assert [problem.code for problem in host.doctor(layout)] == ["receipt-damaged"]
    assert Path(layout.units, f"tori@{forgotten.short}.service.d").is_dir()


def test_state_of_an_older_account_is_handed_over_with_all_that_was_its_owners(layout: Layout) -> None:
    """As after a backup has been put back, on a host where the account has another number."""
    ready(layout)
    accounts.ensure(layout, "my-app")
    place = Path(layout.state, "my-app")
    (place / "inner").mkdir()
    for name in ("inner/theirs", "others"):
        (place / name).write_text("")
    (place / "link").symlink_to("/etc/passwd")
    account = place.stat().st_uid
    for path in (place, place / "inner", place / "inner/theirs", place / "link"):
        os.chown(path, 4321, 4321, follow_symlinks=False)
    os.chown(place / "others", 4322, 4322)
    before = os.stat("/etc/passwd").st_uid
    accounts.ensure(layout, "my-app")
    owners = {path.name: path.lstat().st_uid for path in (place, *place.rglob("*"))}
    assert owners == {"my-app": account, "inner": account, "theirs": account, "link": account, "others": 4322}
    assert os.stat("/etc/passwd").st_uid == before

    shutil.rmtree(place)
    place.write_text("")
    with pytest.raises(CapsuleError) as refused:
        accounts.ensure(layout, "my-app")
    assert refused.value.problems[0].code == "state-special"


def test_a_unit_that_is_masked_stays_so(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    ready(layout)
    release = lay_out(layout, MANIFEST, {"x": "#!/bin/sh\n"})
    mask = Path(layout.units, f"tori@{release.short}.service")
    mask.symlink_to("/dev/null")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("capsule_deploy.cli.activating.require_sound", lambda _layout, _release: None)
        assert main(["activate", release.short, "--root", layout.root, "--json"]) == 10
    assert json.loads(capsys.readouterr().out)["errors"][0]["code"] == "unit-masked"
    init(layout)
    assert mask.is_symlink()


def test_what_is_activated_again_has_nothing_before_it(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a rollback would say that it had gone back, and had not."""
    monkeypatch.setattr("capsule_deploy.cli.activating.require_sound", lambda _layout, _release: None)
    ready(layout)
    release = lay_out(layout, MANIFEST, {"x": "#!/bin/sh\n"})
    for command in (["activate", release.short], ["deactivate", "my-app"], ["activate", release.short]):
        assert main([*command, "--root", layout.root]) == 0
    assert sorted(entry.name for entry in Path(layout.app("my-app")).iterdir()) == ["active", "history", "lock"]
    assert main(["rollback", "--root", layout.root]) == 8


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
        (["logs", "my-app"], 8),
        (["--root", "/", "list"], 2),
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


def test_an_activation_says_what_it_waits_for(layout: Layout, capfd: pytest.CaptureFixture[str]) -> None:
    ready(layout)
    release = lay_out(layout, MANIFEST, {"x": "#!/bin/sh\n"})
    holder = subprocess.Popen(["flock", layout.lock, "sh", "-c", "echo held; sleep 1"], stdout=subprocess.PIPE)
    assert holder.stdout and holder.stdout.readline()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("capsule_deploy.cli.activating.require_sound", lambda _layout, _release: None)
        assert main(["activate", release.short, "--root", layout.root]) == 0
    assert "NOTE: waiting for an install or a collection to end\n" in capfd.readouterr().err
    holder.communicate()
