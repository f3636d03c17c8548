"""What each file of a release was when its content was last read: so that it need not be read again to be trusted.

``receipts/<id>/state`` holds inode, length and time of change of each file, in the order of the listing. Linking a file
into another release changes that time: so what counts is what any release knows of an inode.
"""

from __future__ import annotations

import os
import re
import sys
import zlib
from array import array
from collections.abc import Iterable
from typing import Final

from capsule_deploy.layout import Layout

STATE_NAME: Final = "state"
LISTING_NAME: Final = ".capsule_contents"
_HEADER = b"# capsule-state v1\n"
_FILE = re.compile(rb"^([0-9a-f]{64}) ([ *])", re.M)

State = tuple[int, int, int]
"""Inode, length in bytes, time of change in nanoseconds."""


def state_of(found: os.stat_result) -> State:
    """What is remembered of a file."""
    return found.st_ino, found.st_size, found.st_ctime_ns


def encode_states(states: Iterable[State]) -> bytes:
    """The bytes of the file ``state``."""
    numbers = array("Q", (number for state in states for number in state))
    if sys.byteorder == "big":
        numbers.byteswap()
    return _HEADER + zlib.compress(numbers.tobytes(), 1)


def decode_states(data: bytes) -> list[State] | None:
    """What the file ``state`` says; None when it says nothing that we wrote."""
    if not data.startswith(_HEADER):
        return None
    numbers = array("Q")
    try:
        numbers.frombytes(zlib.decompress(data[len(_HEADER) :]))
    except (zlib.error, ValueError):
        return None
    if sys.byteorder == "big":
        numbers.byteswap()
    return list(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)) if len(numbers) % 3 == 0 else None


class Known:
    """All that the releases of a host know of their files, read when it is asked for, the newest release first."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._unread = sorted(_ids(layout), key=lambda id_: _age(layout, id_))
        self._known: dict[State, bytes] = {}

    def holds(self, state: State, digest: bytes) -> bool:
        """Whether a file that is in this state has the content with this SHA-256 (64 hex digits)."""
        while (found := self._known.get(state)) is None and self._unread:
            self._read(self._unread.pop())
        return found == digest

    def _read(self, capsule_id: str) -> None:
        place = self._layout.receipt(capsule_id)
        try:
            with open(os.path.join(place, STATE_NAME), "rb") as file:
                states = decode_states(file.read())
            with open(os.path.join(place, LISTING_NAME), "rb") as file:
                digests = [found[1] for found in _FILE.finditer(file.read())]
        except OSError:
            return
        if states and len(states) == len(digests):
            self._known.update(zip(states, digests, strict=True))


def _ids(layout: Layout) -> list[str]:
    try:
        return [name for name in os.listdir(layout.receipts) if re.fullmatch("[0-9a-f]{64}", name)]
    except FileNotFoundError:
        return []


def _age(layout: Layout, capsule_id: str) -> float:
    try:
        return os.stat(os.path.join(layout.receipt(capsule_id), STATE_NAME)).st_mtime
    except OSError:
        return 0.0
