"""One account for each application: all of its releases write the same state, and no other application's can."""

from __future__ import annotations

import os
import subprocess

from capsule_builder.errors import Problem
from capsule_builder.paths import shown
from capsule_deploy import durable, systemd
from capsule_deploy.layout import Layout
from capsule_deploy.systemd import HostError
from capsule_deploy.unit_text import plain
from capsule_deploy.units import account

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def ensure(layout: Layout, app: str) -> None:
    """Makes the application's account and its state's directory, unless they are there.

    When the directory belongs to somebody else (state of an older set-up, or of a backup, in which the account had
    another number), so does what is in it: all that is its owner's becomes the account's.

    Raises:
        HostError: the account cannot be made, or something else is in the directory's place.
        OSError: the directory cannot be made, or given away.
    """
    owner = _ids(layout, account(app)) or _make(layout, app)
    place = os.path.join(layout.state, app)
    try:
        os.mkdir(place, 0o700)
    except FileExistsError:
        if (os.stat(place).st_uid, os.stat(place).st_gid) == owner:
            return
    try:
        fd = os.open(place, _DIRECTORY if layout.root == "/" else _DIRECTORY | os.O_NOFOLLOW)
    except NotADirectoryError:
        remedy = "Move it away; the state may lie elsewhere, if that is mounted here."
        raise HostError([Problem("state-special", f"Not a directory: {shown(place)}", remedy)]) from None
    try:
        _hand_over(fd, os.fstat(fd).st_uid, owner)
        os.fchown(fd, *owner)  # the last of all: as long as it is another's, there is something left to do
        os.fsync(fd)
    finally:
        os.close(fd)
    durable.sync_directory(layout.state)


def _hand_over(top: int, former: int, owner: tuple[int, int]) -> None:
    for _, directories, files, fd in os.fwalk(".", dir_fd=top):
        for name in (*directories, *files):
            if os.stat(name, dir_fd=fd, follow_symlinks=False).st_uid == former:
                os.chown(name, *owner, dir_fd=fd, follow_symlinks=False)


def _make(layout: Layout, app: str) -> tuple[int, int]:
    name = f"tori-{plain(app)}.conf"
    line = f'u {account(app)} - "Capsule {app}" /opt/tori/state/{app} /usr/sbin/nologin\n'
    os.makedirs(layout.sysusers, mode=0o755, exist_ok=True)
    durable.write_file(os.path.join(layout.sysusers, name), line.encode())
    command = ["systemd-sysusers", *([] if layout.root == "/" else [f"--root={layout.root}"]), name]
    try:
        said = shown(" ".join(systemd.ran(command, timeout=60).stderr.split()))
    except FileNotFoundError:
        said = "there is no systemd-sysusers"
    except subprocess.TimeoutExpired:
        said = "systemd-sysusers does not come to its end"
    owner = _ids(layout, account(app))
    if owner is None:
        message = f"Cannot make the account {account(app)}: {said}"
        raise HostError([Problem("account", message, "Make it by hand, without a home or a password, and try again.")])
    return owner


def _ids(layout: Layout, name: str) -> tuple[int, int] | None:
    """The account's numbers, as the host's own files have them."""
    try:
        with open(layout.path("/etc/passwd"), encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                fields = line.split(":")
                if fields[0] == name and len(fields) >= 4:
                    return int(fields[2]), int(fields[3])
    except FileNotFoundError:
        pass
    return None
