"""Where a capsule cannot be written, or what is missing to build one: refused, and the output's folder is untouched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.capsbuild.command import COMMAND, ENVIRONMENT, MANIFEST, NO_VENV, capsbuild, snapshot, write
from tests.capsbuild.conftest import Refused

ENTRYPOINT = "\n  Add the file, or name an existing one in the manifest (is it excluded?)."
YAML = "\n  Name the application's capsule.yml."
EXCLUDE = (
    "\n  It would become part of the next capsule. Give --output another place, or exclude it in .capsuleignore"
    " (for instance: /capsule-*.tar.gz)."
)
NOTHING = "\n  Nothing was written."


# What is missing


def test_a_missing_source_is_refused(app: Path, out: Path, refused: Refused) -> None:
    app.rename(app.parent / "moved")
    refused(
        f"Manifest not found: {app}/capsule.yml{YAML}", f"Source directory not found: {app}\n  Name an existing one."
    )


def test_a_source_that_is_a_file_is_refused(app: Path, out: Path) -> None:
    ran = capsbuild("--from-dir", app / "alan_backend/start.py", "--manifest", app / "capsule.yml", cwd=out)
    error = f"ERROR: Source is not a directory: {app}/alan_backend/start.py\n  Name a directory.\n"
    assert (ran.status, ran.out, ran.err) == (1, "", error)
    assert sorted(os.listdir(out)) == ["app.tar.gz", "other"]


def test_a_missing_manifest_is_refused(app: Path, refused: Refused) -> None:
    (app / "capsule.yml").unlink()
    refused(f"Manifest not found: {app}/capsule.yml{YAML}")
    (app / "capsule.yml").symlink_to("elsewhere.yml")
    refused(f"Manifest not found: {app}/capsule.yml{YAML}")
    refused(f"Manifest not found: {app}/a\\nb.yml{YAML}", arguments=("--manifest", app / "a\nb.yml"))


def test_a_manifest_that_is_a_directory_is_refused(app: Path, refused: Refused) -> None:
    refused(
        f"Not a regular file, but a directory: {app}/alan_backend"
        "\n  Name a manifest that is a file (write it to one first).",
        arguments=("--manifest", app / "alan_backend"),
    )


def test_an_endless_manifest_is_refused_by_its_first_bytes(app: Path, out: Path) -> None:
    with open(app / "capsule.yml", "wb") as manifest:
        manifest.truncate(1 << 40)
    ran = capsbuild("--from-dir", app, "--output", out / "app.tar.gz")
    assert ran.status == 1
    assert "the file is larger than 1,048,576 bytes" in ran.err


def test_a_missing_entrypoint_is_refused(app: Path, refused: Refused) -> None:
    (app / "alan_backend/start.py").unlink()
    refused(f"Entrypoint not found: alan_backend/start.py{ENTRYPOINT}")


def test_an_excluded_entrypoint_is_missing(app: Path, refused: Refused) -> None:
    write(app, {".capsuleignore": "start.py\n"})
    refused(f"Entrypoint not found: alan_backend/start.py{ENTRYPOINT}")


def test_the_entrypoint_of_a_service_is_wanted_too(app: Path, refused: Refused) -> None:
    services = b"services:\n  - name: web\n    entrypoint: web/start.py\n  - name: main\n"
    write(app, {"capsule.yml": MANIFEST + services})
    refused(f"Entrypoint not found: web/start.py{ENTRYPOINT}")


def test_all_problems_of_manifest_and_tree_are_told_at_once(app: Path, out: Path) -> None:
    before = snapshot(out)
    write(app, {"capsule.yml": MANIFEST.replace(b"2.1.0", b"2.1") + b"surprise: 1\n", "a\\b": ""})
    (app / "l").symlink_to("/etc/passwd")
    os.mkfifo(app / "pipe")
    ran = capsbuild("--from-dir", app, "--output", out / "app.tar.gz")
    lines = [line for line in ran.err.splitlines() if not line.startswith("  ")]
    assert lines[0].startswith(f"{app}/capsule.yml:2:10: error: version: ")
    assert lines[1].startswith(f"{app}/capsule.yml:4:1: error: ")
    assert lines[2:] == [
        "ERROR: Link leaves the tree: l -> /etc/passwd",
        r"ERROR: Name holds a backslash: a\\b",
        "ERROR: Not a regular file, but a fifo: pipe",
    ]
    assert (ran.status, ran.out, snapshot(out)) == (1, "", before)


def test_a_missing_entrypoint_is_told_beside_problems_of_the_tree(app: Path, refused: Refused) -> None:
    (app / "alan_backend/start.py").unlink()
    (app / "l").symlink_to("l")
    refused(
        "Link leads to itself, or through more than 40 links: l -> l\n  Remove the link, or exclude it.",
        f"Entrypoint not found: alan_backend/start.py{ENTRYPOINT}",
    )


# The place of the output


@pytest.mark.parametrize("below", ["x.tar.gz", "alan_backend/x.tar.gz", "new"])
def test_an_output_inside_the_source_is_refused(app: Path, below: str) -> None:
    before = snapshot(app)
    ran = capsbuild("--from-dir", app, "--output", app / below)
    assert ran.err == f"ERROR: Output lies inside the source directory: {app / below}{EXCLUDE}\n"
    assert (ran.status, ran.out, snapshot(app)) == (1, "", before)


def test_an_output_inside_the_source_is_found_through_links(app: Path, tmp_path: Path) -> None:
    (tmp_path / "way in").symlink_to(app / "alan_backend")
    (tmp_path / "app too").symlink_to(app)
    for source, output in [(app, tmp_path / "way in/x"), (tmp_path / "app too", app / "x"), (".", "x")]:
        ran = capsbuild("--from-dir", source, "--output", output, cwd=app)
        assert (ran.status, ran.err) == (1, f"ERROR: Output lies inside the source directory: {output}{EXCLUDE}\n")


def test_the_default_output_inside_the_source_is_refused(app: Path) -> None:
    ran = capsbuild("--from-dir", ".", cwd=app)
    name = "capsule-alan-<short id>.tar.gz"
    assert (ran.status, ran.err) == (1, f"ERROR: Output lies inside the source directory: {name}{EXCLUDE}\n")


@pytest.mark.parametrize("rule", ["/capsule-*.tar.gz", "*.gz"])
def test_an_excluded_output_inside_the_source_does_not_change_the_next_capsule(app: Path, rule: str) -> None:
    write(app, {".capsuleignore": rule + "\n"})
    first = capsbuild("--from-dir", ".", cwd=app)
    assert (first.status, first.err) == (0, NO_VENV)
    assert capsbuild("--from-dir", ".", cwd=app) == first
    assert len([name for name in os.listdir(app) if name.endswith(".gz")]) == 1


def test_an_output_in_an_excluded_directory_of_the_source_is_taken(app: Path) -> None:
    write(app, {"dist/.capsuleignore": "", ".capsuleignore": "dist/\n"})
    assert capsbuild("--from-dir", app, "--output", app / "dist/x").status == 0
    assert capsbuild("--from-dir", app, "--output", app / "distx").status == 1


def test_an_output_beside_the_source_whose_name_begins_alike_is_taken(app: Path) -> None:
    assert capsbuild("--from-dir", app, "--output", f"{app}.tar.gz").status == 0
    assert capsbuild("--from-dir", app, "--output", app.parent / "..app").status == 0


def test_an_output_that_is_a_directory_is_refused(app: Path, out: Path) -> None:
    before = snapshot(out)
    ran = capsbuild("--from-dir", app, "--output", out)
    assert (ran.status, ran.err) == (1, f"ERROR: Output is a directory: {out}\n  Name a file in it.\n")
    assert snapshot(out) == before


def test_an_output_that_is_no_regular_file_is_not_replaced(app: Path, out: Path) -> None:
    """Nor is a device; but no test should be able to break /dev/null when it fails."""
    os.mkfifo(out / "pipe")
    before = snapshot(out)
    ran = capsbuild("--from-dir", app, "--output", out / "pipe")
    assert (ran.status, ran.err) == (1, f"ERROR: Output is not a regular file: {out / 'pipe'}\n  Name another.\n")
    assert snapshot(out) == before


def test_a_missing_output_directory_is_refused(app: Path, out: Path) -> None:
    before = snapshot(out)
    for place in (out / "no", out / "other"):  # the second one is a file
        ran = capsbuild("--from-dir", app, "--output", place / "x")
        error = f"ERROR: Output directory not found: {place}\n  Make it first, or name another.\n"
        assert (ran.status, ran.err) == (1, error)
    assert snapshot(out) == before


def test_a_link_at_the_output_is_neither_replaced_nor_written_through(app: Path, out: Path) -> None:
    (out / "link").symlink_to("other")
    (out / "stdout").symlink_to("/proc/self/fd/1")
    before = snapshot(out)
    for link in ("link", "stdout"):
        ran = capsbuild("--from-dir", app, "--output", out / link)
        error = f"ERROR: Output is a symbolic link: {out / link}\n  Name the file it leads to.\n"
        assert (ran.status, ran.err) == (1, error)
    assert snapshot(out) == before


def test_there_is_no_standard_output_to_write_to(app: Path, out: Path) -> None:
    ran = capsbuild("--from-dir", app, "--output", "-", cwd=out)
    assert (ran.status, ran.err) == (1, "ERROR: Output cannot be standard output: -\n  Name a file.\n")


def test_an_output_whose_name_is_as_long_as_names_may_be(app: Path, out: Path) -> None:
    for name in ("x" * 255, "漢" * 85, "𝄞" * 63):
        assert capsbuild("--from-dir", app, "--output", out / name).status == 0
    ran = capsbuild("--from-dir", app, "--output", out / ("x" * 256))
    assert ran.err == f"ERROR: Cannot write the capsule: File name too long ({out / ('x' * 256)}){NOTHING}\n"
    assert len(os.listdir(out)) == 5


def test_an_output_directory_that_cannot_be_written_to_is_refused(app: Path, out: Path, held_back: list[str]) -> None:
    out.chmod(0o500)
    ran = capsbuild("--from-dir", app, "--output", out / "app.tar.gz", wrapper=held_back)
    error = f"ERROR: Cannot write the capsule: Permission denied ({out}/app.tar.gz){NOTHING}\n"
    assert (ran.status, ran.err) == (1, error)


def test_the_new_file_gets_the_mode_that_the_umask_asks_for(app: Path, out: Path) -> None:
    for umask, mode in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        assert capsbuild("--from-dir", app, "--output", out / "new", umask=umask).status == 0
        assert (out / "new").stat().st_mode & 0o7777 == mode


# Full disks


def on_small_disk(
    tmp_path: Path, size: str, *arguments: str, fill: int = 0
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Runs capsbuild with a small file system at ``small``; what it holds afterwards is the last of the output."""
    small = tmp_path / "small"
    small.mkdir(exist_ok=True)
    script = (
        f'mount -t tmpfs -o size={size} none "$1" && printf older >"$1/app.tar.gz" && '
        f'head -c {fill} /dev/zero >"$1/fill"; shift 1; "$@"; status=$?; cd small && '
        "cat app.tar.gz | head -c 5; echo; ls -A; exit $status"
    )
    command = ["unshare", "-rm", "sh", "-c", script, "sh", small, *COMMAND, *arguments]
    environment = ENVIRONMENT | {"TMPDIR": str(small)}
    ran = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    return ran, small


@pytest.mark.parametrize("megabytes", [1, 3])
def test_a_full_disk_leaves_the_older_capsule_and_nothing_else(app: Path, tmp_path: Path, megabytes: int) -> None:
    """With 1 MB the layer does not fit, with 3 MB it does, but not the archive beside it."""
    write(app, {"data": os.urandom(2_000_000)})
    output = str(tmp_path / "small/app.tar.gz")
    ran, _ = on_small_disk(tmp_path, f"{megabytes}m", "--from-dir", str(app), "--output", output)
    assert ran.stderr == f"ERROR: Cannot write the capsule: No space left on device ({output}){NOTHING}\n"
    assert (ran.returncode, ran.stdout) == (1, "older\napp.tar.gz\nfill\n")


def test_a_full_disk_for_temporary_files_is_no_matter(app: Path, out: Path, tmp_path: Path) -> None:
    write(app, {f"{number:0200}": "" for number in range(1000)})  # a listing of more than 250 kB
    ran, _ = on_small_disk(tmp_path, "100k", "--from-dir", str(app), "--output", str(out / "app.tar.gz"), fill=80000)
    assert (ran.returncode, ran.stderr) == (0, NO_VENV)
    assert ran.stdout.endswith(" MB\nolder\napp.tar.gz\nfill\n")


def test_a_limit_on_the_size_of_files_is_told_like_a_full_disk(app: Path, out: Path) -> None:
    write(app, {"data": os.urandom(2_000_000)})
    before = snapshot(out)
    ran = capsbuild("--from-dir", app, "--output", out / "app.tar.gz", wrapper=["prlimit", "--fsize=1000000"])
    error = f"ERROR: Cannot write the capsule: File too large ({out}/app.tar.gz){NOTHING}\n"
    assert (ran.status, ran.err, snapshot(out)) == (1, error, before)


@pytest.mark.parametrize(
    ("module", "function", "arguments", "status"),
    [("building.build", "build", ["--from-dir", "."], 1), ("cli.verify", "verify", ["verify", "file"], 3)],
)
def test_too_little_memory_is_said_in_words(module: str, function: str, arguments: list[str], status: int) -> None:
    code = f"""
import sys
import capsule_builder.{module} as module
from capsule_builder.cli.capsbuild import main
def fail(*_, **__):
    raise MemoryError
module.{function} = fail
raise SystemExit(main(sys.argv[1:]))
"""
    command = [sys.executable, "-c", code, *arguments]
    ran = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert ran.returncode == status
    assert ran.stderr.endswith(" the capsule: there is not enough memory\n  Give it more; --jobs 1 takes the least.\n")
