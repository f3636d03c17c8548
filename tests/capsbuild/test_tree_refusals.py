"""What a capsule cannot hold is refused by name, all of it at once, and nothing is written."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.capsbuild.command import COMMAND, ENVIRONMENT, NO_VENV, capsbuild, snapshot, write
from tests.capsbuild.conftest import Refused

REMOVE = "\n  A capsule holds files, links and directories: remove it, or exclude it."
RENAME = "\n  Rename the file, or exclude it."
INSIDE = "\n  Link to a file inside the tree, or exclude it."
RELATIVE = "\n  Only relative links move with a capsule: link to a file inside the tree, or copy what it points to."
POINTS = "\n  Add what it points to (is it excluded?), or exclude the link."
AGAIN = "\n  Build again when nothing writes to the tree."
READABLE = "\n  Make it readable for the user who builds, or exclude it."


# Special files


def test_a_fifo_is_refused(app: Path, refused: Refused) -> None:
    os.mkfifo(app / "pipe")
    refused(f"Not a regular file, but a fifo: pipe{REMOVE}")


def test_a_socket_is_refused(app: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(app)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
    refused(f"Not a regular file, but a socket: sock{REMOVE}")


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK])
def test_a_device_is_refused(app: Path, refused: Refused, kind: int) -> None:
    os.mknod(app / "null", kind | 0o666, os.makedev(1, 3))  # only root may
    refused(f"Not a regular file, but a device: null{REMOVE}")


def test_a_special_file_that_is_excluded_is_no_matter(app: Path, out: Path) -> None:
    os.mkfifo(app / "pipe")
    write(app, {".capsuleignore": "/pipe\n"})
    assert capsbuild("--from-dir", app, "--output", out / "app.tar.gz").status == 0


# Links

LINKS: dict[str, tuple[dict[str, str], list[str]]] = {
    "absolute": ({"l": "/etc/passwd"}, [f"Link leaves the tree: l -> /etc/passwd{RELATIVE}"]),
    "up": ({"l": "../out"}, [f"Link leaves the tree: l -> ../out{INSIDE}"]),
    "up from below": (
        {"alan_backend/l": "../../app/capsule.yml"},
        [f"Link leaves the tree: alan_backend/l -> ../../app/capsule.yml{INSIDE}"],
    ),
    "through another link": (
        {"a/b/here": "../..", "l": "a/b/here/../out"},
        [f"Link leaves the tree: l -> a/b/here/../out{INSIDE}"],
    ),
    "through an absolute link": (
        {"a": "/etc", "l": "a/passwd"},
        [f"Link leaves the tree: a -> /etc{RELATIVE}", "Link leaves the tree: l -> a/passwd\n  Link inside the tree."],
    ),
    "not quite the interpreter": (
        {"python": "/opt/tori/python/3.11/bin/python3.12"},
        [f"Link leaves the tree: python -> /opt/tori/python/3.11/bin/python3.12{RELATIVE}"],
    ),
    "dangling": ({"l": "nothing"}, [f"Link points to nothing in the capsule: l -> nothing{POINTS}"]),
    "dangling below a file": (
        {"l": "capsule.yml/x"},
        [f"Link points to nothing in the capsule: l -> capsule.yml/x{POINTS}"],
    ),
    "up from a file": (
        {"l": "capsule.yml/../alan_backend"},
        [f"Link points to nothing in the capsule: l -> capsule.yml/../alan_backend{POINTS}"],
    ),
    "a file as a directory": (
        {"l": "capsule.yml/"},
        [f"Link points to nothing in the capsule: l -> capsule.yml/{POINTS}"],
    ),
    "dangling by the defaults": (
        {"l": ".git/config"},
        [f"Link points to nothing in the capsule: l -> .git/config{POINTS}"],
    ),
    "cycle": (
        {"a": "b", "b": "c", "c": "a"},
        [
            "Link leads to itself, or through more than 40 links: a -> b\n  Remove the link, or exclude it.",
            "Link leads to itself, or through more than 40 links: b -> c\n  Remove the link, or exclude it.",
            "Link leads to itself, or through more than 40 links: c -> a\n  Remove the link, or exclude it.",
        ],
    ),
    "itself": (
        {"l": "l"},
        ["Link leads to itself, or through more than 40 links: l -> l\n  Remove the link, or exclude it."],
    ),
    "a control character": (
        {"l": "alan_backend\n"},
        ["Link target holds a control character (U+000A): l -> alan_backend\\n\n  Make the link again, or exclude it."],
    ),
    "a backslash": (
        {"l": "alan\\backend"},
        ["Link target holds a backslash: l -> alan\\\\backend\n  Make the link again, or exclude it."],
    ),
}


@pytest.mark.parametrize("case", LINKS)
def test_a_link_that_leads_out_or_nowhere_is_refused(app: Path, refused: Refused, case: str) -> None:
    links, errors = LINKS[case]
    write(app, {".git/config": ""})
    for link, target in links.items():
        (app / link).parent.mkdir(parents=True, exist_ok=True)
        (app / link).symlink_to(target)
    refused(*errors)


def test_a_link_target_that_is_not_utf8_is_refused(app: Path, refused: Refused) -> None:
    os.symlink(b"caf\xe9", bytes(app) + b"/l")
    refused("Link target is not UTF-8: l -> caf\\xe9\n  Make the link again, or exclude it.")


def test_a_link_to_an_excluded_file_is_dangling(app: Path, refused: Refused) -> None:
    write(app, {"secret": "x", ".capsuleignore": "secret\n"})
    (app / "l").symlink_to("secret")
    refused(f"Link points to nothing in the capsule: l -> secret{POINTS}")


def test_links_inside_the_tree_and_the_interpreters_are_kept(app: Path, out: Path) -> None:
    write(app, {"v1/bin/tool": "#!/bin/sh\n", "empty/.capsuleignore": ""})
    for link, target in {
        "current": "v1",
        "tool": "current/bin/tool",
        "v1/bin/up": "../../current/../v1/",
        "top": ".",
        "v1/top": "..",
        "manifest": "capsule.yml",
        "venv/bin/python3.11": "/opt/tori/python/3.11/bin/python3.11",
        "venv/bin/python3": "python3.11",
    }.items():
        (app / link).parent.mkdir(parents=True, exist_ok=True)
        (app / link).symlink_to(target)
    ran = capsbuild("--from-dir", app, "--output", out / "app.tar.gz")
    assert (ran.status, ran.err) == (0, "")


# Names

RESERVED = (
    "  Nothing at the top may begin with '.capsule_'. Rename it, or exclude it"
    " (in an unpacked capsule these files are generated: exclude '/.capsule_*')."
)
NAMES: dict[str, tuple[bytes, str]] = {
    "not UTF-8": (b"caf\xe9", f"Name is not UTF-8: caf\\xe9{RENAME}"),
    "a lone surrogate": (b"\xed\xa0\x80", f"Name is not UTF-8: \\xed\\xa0\\x80{RENAME}"),
    "a new line": (b"a\nb", rf"Name holds a control character (U+000A): a\nb{RENAME}"),
    "an escape": (b"\x1b[2J", rf"Name holds a control character (U+001B): \x1b[2J{RENAME}"),
    "a C1 control": ("a\x85b".encode(), rf"Name holds a control character (U+0085): a\x85b{RENAME}"),
    "a change of direction": (
        "a\u202egpj.exe".encode(),
        rf"Name holds an invisible character (U+202E): a\u202egpj.exe{RENAME}",
    ),
    "a space without width": (
        "run\u200b.sh".encode(),
        rf"Name holds an invisible character (U+200B): run\u200b.sh{RENAME}",
    ),
    "a backslash": (b"a\\b", rf"Name holds a backslash: a\\b{RENAME}"),
    "reserved": (
        b".capsule_contents",
        f"Name is reserved for the capsule's own files: .capsule_contents\n{RESERVED}",
    ),
    "standard input": (
        b"-",
        "Name cannot be checked by sha256sum: -\n  Rename the file: '-' means standard input.",
    ),
}


@pytest.mark.parametrize("case", NAMES)
@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_a_name_that_no_capsule_can_hold_is_refused(app: Path, refused: Refused, case: str, kind: str) -> None:
    name, error = NAMES[case]
    path = bytes(app) + b"/" + name
    if kind == "file":
        Path(os.fsdecode(path)).write_bytes(b"")
    elif kind == "directory":
        os.mkdir(path)
    else:
        os.symlink(b"capsule.yml", path)
    refused(error)


def test_reserved_names_are_the_capsules_own_at_the_top_only(app: Path, out: Path) -> None:
    write(app, {"below/.capsule_contents": "", "below/-": "", "-/a": ""})
    assert capsbuild("--from-dir", app, "--output", out / "app.tar.gz").status == 0
    shutil.rmtree(app / "-")
    write(app, {"-": ""})
    assert capsbuild("--from-dir", app, "--output", out / "app.tar.gz").err == (
        "ERROR: " + NAMES["standard input"][1] + "\n"
    )


def test_a_name_of_256_bytes_is_refused(app: Path, refused: Refused) -> None:
    # No Linux file system has such a name: 255 bytes is its own limit. A link's target may hold one.
    (app / "l").symlink_to("x" * 256)
    refused(f"Link target holds a name longer than 255 bytes: l -> {'x' * 256}")


def test_a_name_of_255_bytes_is_taken(app: Path, out: Path) -> None:
    write(app, {"x" * 255: "", "é" * 127 + "x": ""})
    assert capsbuild("--from-dir", app, "--output", out / "app.tar.gz").status == 0


def test_a_path_of_more_than_4096_bytes_is_refused(app: Path, refused: Refused) -> None:
    here = os.open(app, os.O_RDONLY)
    for _ in range(17):  # 17 * 251 = 4,267 bytes
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    try:
        refused(f"Path is longer than 4,096 bytes: {'d' * 60}…\n  Move it further up the tree, or exclude it.")
    finally:
        subprocess.run(["rm", "-rf", app / ("d" * 250)], check=True)  # too deep for shutil


def test_a_path_of_4095_bytes_is_taken(app: Path, out: Path) -> None:
    here = os.open(app, os.O_RDONLY)
    for name in [*["d" * 254] * 16, "e" * 14]:  # 16 * 255 + 15
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    try:
        ran = capsbuild("--from-dir", app, "--output", out / "app.tar.gz")
        assert (ran.err, ran.status) == (NO_VENV, 0)
    finally:
        subprocess.run(["rm", "-rf", app / ("d" * 254)], check=True)


# Files that cannot be read, or not in peace


def test_unreadable_files_are_all_named_at_once(app: Path, refused: Refused, held_back: list[str]) -> None:
    write(app, {"a": "", "b/c": "", "readable": "", "z": ""})
    for name in ("a", "b/c", "z"):
        (app / name).chmod(0)
    refused(*[f"Cannot read {name}: Permission denied{READABLE}" for name in ("a", "b/c", "z")], wrapper=held_back)


def test_an_unreadable_directory_and_ignore_file_are_named_with_all_else(
    app: Path, refused: Refused, held_back: list[str]
) -> None:
    write(app, {"locked/a": "", "s/x": "", "s/.capsuleignore": "", "unlisted/a": "", "closed/a": ""})
    (app / "l").symlink_to("nowhere")
    (app / "locked").chmod(0)
    (app / "unlisted").chmod(0o300)
    (app / "closed").chmod(0o600)
    (app / "s/.capsuleignore").chmod(0)
    refused(
        f"Cannot read closed/a: Permission denied{READABLE}",
        f"Cannot read locked: Permission denied{READABLE}",
        f"Cannot read s/.capsuleignore: Permission denied{READABLE}",
        f"Cannot read unlisted: Permission denied{READABLE}",
        f"Link points to nothing in the capsule: l -> nowhere{POINTS}",
        wrapper=held_back,
    )


def test_an_ignore_file_that_is_a_link_is_refused_rather_than_passed_over(app: Path, refused: Refused) -> None:
    write(app, {"rules": "secret\n", "secret": ""})
    (app / ".capsuleignore").symlink_to("rules")
    refused("Not a regular file, but a link: .capsuleignore\n  Put a file in its place: a link is not followed.")


@pytest.mark.parametrize("text", ["secret\n".encode("utf-16"), b"\0" * 5_000_000])
def test_an_ignore_file_that_is_no_utf8_text_is_refused_rather_than_passed_over(
    app: Path, refused: Refused, text: bytes
) -> None:
    write(app, {"secret": ""})
    (app / ".capsuleignore").write_bytes(text)
    refused("Not a text file in UTF-8: .capsuleignore\n  Save it as UTF-8.")


def racing(app: Path, out: Path, race: Callable[[subprocess.Popen[bytes]], None]) -> tuple[int, str]:
    """Builds while ``race`` works on the tree: it gets the process once that has read 8 MiB of the tree."""
    command = [*COMMAND, "--from-dir", app, "--output", out / "app.tar.gz"]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE) as process:
        before = snapshot(out)
        while process.poll() is None:
            text = Path(f"/proc/{process.pid}/io").read_text()
            if int(text.split()[1]) > 24 << 20:  # 8 MiB, and what Python's modules take
                break
            time.sleep(0.002)
        race(process)
        assert process.stderr
        words = process.stderr.read().decode()
        status = process.wait(60)
    assert snapshot(out) == before
    return status, words


def test_a_file_that_changes_while_it_is_read_is_refused(app: Path, out: Path) -> None:
    write(app, {"log": os.urandom(64 << 20)})

    def race(process: subprocess.Popen[bytes]) -> None:
        with open(app / "log", "ab", buffering=0) as log:
            while process.poll() is None:
                log.write(b"line\n")
                time.sleep(0.01)

    assert racing(app, out, race) == (1, f"ERROR: File changed while it was read: log{AGAIN}\n")


def test_files_that_vanish_before_they_are_read_are_refused(app: Path, out: Path) -> None:
    write(app, {"a": os.urandom(64 << 20), "b": "x", "c": "x", "d": "x"})

    def race(process: subprocess.Popen[bytes]) -> None:
        os.unlink(app / "b")
        os.unlink(app / "d")

    errors = [f"ERROR: File vanished while the capsule was built: {name}{AGAIN}\n" for name in ("b", "d")]
    assert racing(app, out, race) == (1, "".join(errors))


def test_a_tree_that_never_rests_is_refused_or_built_whole(app: Path, out: Path) -> None:
    """Files come and go all the time: whatever the moment, the answer is a capsule or a refusal."""
    stop = threading.Event()

    def busy() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            write(app, {f"busy/{number % 50}": b"x" * (number % 9000)})
            (app / f"busy/{(number + 25) % 50}").unlink(missing_ok=True)

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(6):
            ran = capsbuild("--from-dir", app, "--output", out / "app.tar.gz")
            assert ran.status in {0, 1}
            for line in ran.err.splitlines():
                assert line.startswith(
                    (
                        "WARNING: Python entrypoint",
                        "ERROR: File changed while it was read: busy/",
                        "ERROR: File vanished while the capsule was built: busy/",
                        AGAIN.strip("\n"),
                    )
                ), ran.err
            assert sorted(os.listdir(out)) == ["app.tar.gz", "other"]
    finally:
        stop.set()
        thread.join()
