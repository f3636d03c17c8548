"""What the world does to the commands that read capsules: full and closed streams, locales, names, other runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from capsule_builder.errors import CapsuleError
from capsule_builder.trust import unpack
from capsule_builder.trust.verify import verify
from tests.capsbuild.command import COMMAND, ENVIRONMENT, Ran, capsbuild
from tests.reader.forge import Forge

FULL = "ERROR: Cannot write to standard output: No space left on device\n"
DONE, NOTHING = "  The work itself was done.\n", "  Nothing was written. Call it again where the output is read.\n"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "a"
    path.write_bytes(Forge().build())
    return path


def told_to(stream: str, *arguments: str | Path, cwd: Path) -> tuple[int, str]:
    """Runs the command with another standard output; gives its status and its errors."""
    command = ["sh", "-c", f'"$@" {stream}', "sh", *COMMAND, *map(str, arguments)]
    ran = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, timeout=60)
    return ran.returncode, ran.stderr


@pytest.mark.parametrize(("arguments", "remedy"), [
    (["verify", "a"], NOTHING),
    (["verify", "a", "--json"], NOTHING),
    (["verify", "a", "--extract-to", "out"], DONE),
    (["verify", "a", "--extract-to", "out", "--json"], DONE),
    (["inspect", "a"], NOTHING),
    (["inspect", "a", "--json"], NOTHING),
    (["diff", "a", "a"], NOTHING),
    (["report", "a", "--html", "page"], DONE),
    (["provenance", "a"], DONE),
    (["provenance", "a", "--json"], DONE),
], ids=" ".join)  # fmt: skip
def test_a_result_that_nobody_gets_is_told_with_what_became_of_the_work(
    arguments: list[str], remedy: str, archive: Path
) -> None:
    assert told_to(">/dev/full", *arguments, cwd=archive.parent) == (3, FULL + remedy)
    left = {path.name for path in archive.parent.iterdir()} - {"a"}
    assert bool(left) == (remedy == DONE)


@pytest.mark.parametrize("arguments", [["anchors", "."], ["anchors", ".", "--format", "json"]], ids=" ".join)
def test_so_do_the_commands_that_only_look(arguments: list[str], archive: Path) -> None:
    assert told_to(">/dev/full", *arguments, cwd=archive.parent) == (1, FULL + NOTHING)


def test_a_refusal_that_nobody_gets_says_that_nothing_was_written(archive: Path) -> None:
    archive.write_bytes(b"")
    for arguments in (["verify", "a", "--extract-to", "out"], ["inspect", "a"], ["provenance", "a"]):
        status, err = told_to(">/dev/full", *arguments, "--json", cwd=archive.parent)
        assert (status, err.splitlines(keepends=True)[-2:]) == (4, [FULL, NOTHING])
    for arguments in (["sign", "a", "--key", "none"], ["keygen", "--output", "none/k"], ["--from-dir", "none"]):
        status, err = told_to(">/dev/full", *arguments, "--json", cwd=archive.parent)
        assert (status, err.splitlines(keepends=True)[-2:]) == (1, [FULL, NOTHING])


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams_harm_nothing(closed: str, archive: Path) -> None:
    for arguments in (["verify", "a", "--extract-to", "out"], ["inspect", "a"], ["report", "a", "--html", "page"]):
        status, err = told_to(closed, *arguments, cwd=archive.parent)
        unheard = ">&-" in closed.replace("2>&-", "")
        assert status == (3 if unheard else 0)
        assert ("it is closed" in err) == (unheard and "2>&-" not in closed)
    assert (archive.parent / "out" / ".capsule_contents").read_bytes().startswith(b"# capsule-contents v1\n")
    assert (archive.parent / "page").read_bytes().startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "xx_YY"])
def test_any_name_in_any_locale(locale: str, archive: Path) -> None:
    name = b"caf\xe9\n\x1b[31m\xc3\xa9"
    here = os.fsencode(archive.parent)
    os.rename(archive, here + b"/" + name)
    env = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for arguments in (
        [b"verify", name, b"--extract-to", b"out" + name],
        [b"inspect", name],
        [b"diff", name, name],
        [b"report", name, b"--html", b"page" + name],
    ):
        ran = capsbuild(*arguments, env=env, cwd=archive.parent)
        assert (ran.status, ran.err) == (0, "")
        assert ran.out.replace("\n", "").isprintable()
        assert "caf\\xe9\\n\\x1b[31m" in ran.out
    assert sorted(os.listdir(here)) == sorted([name, b"out" + name, b"page" + name])


def test_who_comes_second_to_a_place_is_refused(archive: Path) -> None:
    """Another run puts its own there while this one is at work."""
    program = (
        "import os, sys\nreal = os.rename\n"
        "def rename(*arguments, **options):\n"
        "    {}\n"
        "    return real(*arguments, **options)\n"
        "os.rename = rename\n"
        "from capsule_builder.cli.capsbuild import main; sys.exit(main(sys.argv[1:]))"
    )
    out = archive.parent / "out"
    for come in ("os.makedirs('out/other')", "os.symlink('elsewhere', 'out')", "open('out', 'x').close()"):
        command = [sys.executable, "-c", program.format(come), "verify", "a", "--extract-to", "out"]
        ran = subprocess.run(command, cwd=archive.parent, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr.startswith("ERROR: The place is taken (")
        assert sorted(path.name for path in archive.parent.iterdir()) == ["a", "out"]
        subprocess.run(["rm", "-r", out], check=True)


def test_a_mount_point_is_no_place(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be renamed over one, which is known before the work."""
    place = archive.parent / "mounted"
    place.mkdir()
    monkeypatch.setattr(unpack.os.path, "ismount", lambda path: path == str(place))
    with pytest.raises(CapsuleError, match=r"Directory is a mount point: .*/mounted") as refused:
        verify(str(archive), extract_to=str(place))
    assert refused.value.problems[0].code == "extract-exists"


def test_a_link_is_no_place_and_a_place_below_one_is(archive: Path) -> None:
    (archive.parent / "real").mkdir()
    (archive.parent / "link").symlink_to("real")
    for name in ("link", "link/"):
        ran = capsbuild("verify", "a", "--extract-to", name, cwd=archive.parent)
        assert ran == Ran(
            2, "", f"ERROR: Not a directory: {archive.parent}/link\n  Name one that does not exist yet.\n"
        )
    assert capsbuild("verify", "a", "--extract-to", "link/out", cwd=archive.parent).status == 0
    assert (archive.parent / "real" / "out" / "capsule.yml").exists()
