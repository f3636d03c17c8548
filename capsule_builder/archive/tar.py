"""POSIX tar headers with every field fixed (IEEE Std 1003.1, pax; ``docs/format.md``, section 4.1)."""

from __future__ import annotations

from typing import Literal

BLOCK = 512

MTIME = 946684800
"""2000-01-01T00:00:00Z, in seconds: the time of every entry."""

_MAX_NAME, _MAX_PREFIX, _MAX_LINK = 100, 155, 100
_MAX_SIZE = 8**11 - 1
_TYPE: dict[str, bytes] = {"file": b"0", "executable": b"0", "symlink": b"2", "dir": b"5"}
_MODE = {"file": 0o644, "executable": 0o755, "symlink": 0o777, "dir": 0o755}
_PAX_NAME = b"././@PaxHeader"


def header(path: str, kind: Literal["file", "executable", "symlink", "dir"], size: int = 0, target: str = "") -> bytes:
    """The header blocks of one entry: ustar, preceded by a pax header where ustar cannot hold a name or the size.

    ``size`` is the file's length in bytes (0 for anything else). The result is a whole number of blocks.
    """
    name = path.encode() + (b"/" if kind == "dir" else b"")
    link = target.encode()
    records = b""
    if len(link) > _MAX_LINK:
        records += _record(b"linkpath", link)
        link = _cut(link, _MAX_LINK)
    split = _split(name)
    if split is None:
        records += _record(b"path", name)
        split = b"", _cut(name, _MAX_NAME)
    if size > _MAX_SIZE:
        records += _record(b"size", b"%d" % size)
        size = 0
    pax = b""
    if records:
        pax = _block(b"", _PAX_NAME, b"x", 0o644, len(records), b"") + records + padding(len(records))
    return pax + _block(*split, _TYPE[kind], _MODE[kind], size, link)


def padding(size: int) -> bytes:
    """The zeros that fill ``size`` bytes up to a whole number of blocks."""
    return bytes(-size % BLOCK)


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """The (prefix, name) of ustar, with the longest prefix that fits; None when none does."""
    if len(name) <= _MAX_NAME:
        return b"", name
    slash = name.rfind(b"/", 0, min(_MAX_PREFIX + 1, len(name) - 1))
    if slash <= 0 or len(name) - slash - 1 > _MAX_NAME:
        return None
    return name[:slash], name[slash + 1 :]


def _cut(raw: bytes, size: int) -> bytes:
    """The first ``size`` bytes, less the broken character at the end, for readers that do not know pax."""
    return raw[:size].decode("utf-8", "ignore").encode()


def _record(key: bytes, value: bytes) -> bytes:
    rest = b" %s=%s\n" % (key, value)
    size = len(rest)
    while size != len(rest) + len(b"%d" % size):
        size = len(rest) + len(b"%d" % size)
    return b"%d" % size + rest


def _block(prefix: bytes, name: bytes, kind: bytes, mode: int, size: int, link: bytes) -> bytes:
    block = bytearray(BLOCK)
    block[0 : len(name)] = name
    block[100:108] = b"%07o\0" % mode
    block[108:124] = b"0000000\0" * 2  # uid, gid
    block[124:136] = b"%011o\0" % size
    block[136:148] = b"%011o\0" % MTIME
    block[148:156] = b"        "
    block[156:157] = kind
    block[157 : 157 + len(link)] = link
    block[257:265] = b"ustar\00000"
    block[329:345] = b"0000000\0" * 2  # device numbers
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
