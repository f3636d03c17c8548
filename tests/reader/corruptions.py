"""Every corruption of one byte: each archive that is one byte away from a sound one."""

from __future__ import annotations

from collections.abc import Iterator

from tests.reader.forge import Forge
from tests.reader.reading import code_of, read


def corruptions(archive: bytes) -> Iterator[bytes]:
    """At every offset: three other values, the byte deleted, one inserted, and the end there."""
    for at, byte in enumerate(archive):
        for other in (byte ^ 0x01, byte ^ 0x80, 0xFF - byte):
            yield archive[:at] + bytes([other]) + archive[at + 1 :]
        yield archive[:at] + archive[at + 1 :]
        yield archive[:at] + bytes([byte]) + archive[at:]
        yield archive[:at]


def check_corruptions(archive: bytes, *, step: int = 1) -> tuple[int, int]:
    """Tries each ``step``-th; gives how many were tried, and how many were taken, with the very same content."""
    content = read(archive)
    tried = taken = 0
    for number, corrupt in enumerate(corruptions(archive)):
        if number % step or corrupt == archive:
            continue
        tried += 1
        if code_of(corrupt) == "sound":
            assert read(corrupt) == content, number
            taken += 1
    return tried, taken


def forged() -> bytes:
    return Forge().build()
