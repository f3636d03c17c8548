"""What the file system says of files: enough to tell, later, that nothing has written to one of them.

Any change of a file sets its ctime, which nobody can set otherwise, to the clock's last tick. So two looks that see the
same state have seen the same content, unless the later change came within the tick of the first look: a file that was
written to so shortly before it is looked at is not told from another (git: "racy").
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

ALLOWANCE = 2_000_000_000
"""Nanoseconds that a file must not have been changed for. Ticks are 10 ms, or 1 s where inodes are small (ext3)."""

_KINDS = frozenset(
    [
        "bcachefs",
        "btrfs",
        "erofs",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "overlay",
        "ramfs",
        "squashfs",
        "tmpfs",
        "xfs",
        "zfs",
    ]
)
"""File systems whose times are this machine's and which keep a ctime; of others, no state is relied on."""


class Watch:
    """Makes a line of a file's state, for a walk over the directory ``root`` that begins now.

    A line for which no later look may rely on being equal is unlike every other.
    """

    def __init__(self, root: str) -> None:
        self._limit = time.time_ns() - ALLOWANCE if _is_reliable(root) else 0
        self._device = os.stat(root).st_dev
        self._mark = f"?{os.urandom(8).hex()}"

    def lines(self, files: Iterable[tuple[str, os.stat_result]]) -> list[str]:
        """A line for each of some regular files: its path, NUL, size, times in nanoseconds, inode, mode."""
        limit, device, mark = self._limit, self._device, self._mark  # there are many files
        lines: list[str] = []
        for path, status in files:
            mtime, ctime = status.st_mtime_ns, status.st_ctime_ns
            line = f"{path}\0{status.st_size} {mtime} {ctime} {status.st_ino} {status.st_mode}"
            lines.append(line if mtime < limit and ctime < limit and status.st_dev == device else line + mark)
        return lines

    def line(self, path: str, status: os.stat_result) -> str:
        """That of one file."""
        return self.lines([(path, status)])[0]


def spoiled(line: str) -> str:
    """The line of a file that was found to be in another state than ``line`` says: unlike every other."""
    return f"{line}?{os.urandom(8).hex()}"


def is_reliable(line: str) -> bool:
    """Whether a later look may rely on this line."""
    return "?" not in line[line.index("\0") :]


def _is_reliable(root: str) -> bool:
    """Whether the file system that ``root`` lies on is of a kind whose times tell of every change."""
    place = os.path.realpath(root)
    best, kind = "", ""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
            for line in mounts:
                fields = line.split(" ")
                point = fields[4]
                if "\\" in point:  # \040 and the like
                    point = point.encode("latin-1", "replace").decode("unicode_escape")
                inside = place == point or place.startswith(point.rstrip("/") + "/")
                if inside and len(point) >= len(best):  # the last of several mounts in one place is the one seen
                    best, kind = point, fields[fields.index("-") + 1]
    except (OSError, ValueError, IndexError):
        return False
    return kind in _KINDS
