"""POSIX tar headers with every field fixed (IEEE Std 1003.1, pax; ``docs/format.md``, section 4.1)."""

from __future__ import annotations

import zlib

from capsule_builder.contents import Kind

BLOCK = 512

MTIME = 946684800
"""2000-01-01T00:00:00Z, in seconds: the time of every entry."""

PLAIN_NAME = 99
"""Bytes: an ASCII name that is shorter stands in one block, even with a directory's slash."""

_MAX_NAME, _MAX_PREFIX, _MAX_LINK = 100, 155, 100
_MAX_SIZE = 8**11 - 1
_PLAIN_SIZE = 1 << 32  # bytes: well below what the field holds
_TYPE: dict[Kind, bytes] = {"file": b"0", "executable": b"0", "symlink": b"2", "dir": b"5"}
_MODE = {"file": 0o644, "executable": 0o755, "symlink": 0o777, "dir": 0o755}
_PAX_NAME = b"././@PaxHeader"

_OWNERS = {mode: b"%07o\0" % mode + b"0000000\0" * 2 for mode in _MODE.values()}  # mode, uid, gid
_TIME = b"%011o\0" % MTIME
_MAGIC = b"ustar\00000" + bytes(64) + b"0000000\0" * 2  # magic, version, names of owner and group, device numbers
_FEW = 256  # bytes whose sum is below 65,521, whatever they are
_FIXED_SUM = sum(_TIME + _MAGIC) + 8 * 0x20  # the checksum itself counts as spaces


def header(path: str, kind: Kind, size: int = 0, target: str = "") -> bytes:
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


def header_size(path: str, kind: Kind, size: int = 0, target: str = "") -> int:
    """The length of :func:`header` in bytes, which is seldom made for it; ``target`` counts of symlinks alone."""
    if kind == "symlink":
        return len(header(path, kind, size, target))
    if len(path) < PLAIN_NAME and path.isascii() and size < _PLAIN_SIZE:
        return BLOCK
    return len(header(path, kind, size))


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


def _sum(data: bytes) -> int:
    """The sum of some bytes; of few it is half of their Adler-32, which takes a fraction of the time."""
    return zlib.adler32(data, 0) & 0xFFFF if len(data) <= _FEW else sum(data)


def _block(prefix: bytes, name: bytes, kind: bytes, mode: int, size: int, link: bytes) -> bytes:
    owner = _OWNERS.get(mode) or b"%07o\0" % mode + b"0000000\0" * 2
    length = b"%011o\0" % size
    total = _FIXED_SUM + _sum(b"".join((name, owner, length, kind, link, prefix)))
    return b"".join(
        (name.ljust(100, b"\0"), owner, length, _TIME, b"%06o\0 " % total, kind, link.ljust(100, b"\0"), _MAGIC,
         prefix.ljust(167, b"\0"))
    )  # fmt: skip
