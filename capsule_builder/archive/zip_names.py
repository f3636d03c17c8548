"""The names in a ZIP: how they are encoded, and which are refused (APPNOTE 6.3.10, 4.4.17, 4.6.9, appendix D).

Pure.
"""

from __future__ import annotations

import re
import zlib

from capsule_builder.errors import Problem
from capsule_builder.paths import MAX_PATH_BYTES, shown

UNIX = frozenset({3, 19})
"""The systems ("version made by") that have Unix modes: Unix, and what Apple writes."""

DOS = frozenset({0, 10, 11, 14})
"""The systems whose programs write ``\\`` between the parts of a name: FAT, NTFS (11 is Info-ZIP's), VFAT."""

_UTF8_FLAG = 1 << 11
_MAX_PARTS = 256  # nobody has more, and each is asked of every .capsuleignore
_DRIVE = re.compile("[A-Za-z]:")
_PLAIN = re.compile(rb"(?:[A-Za-z0-9_][A-Za-z0-9_.+-]*/)*[A-Za-z0-9_][A-Za-z0-9_.+-]*/?")
"""Names that are the same in every encoding and on every system, and that nothing is wrong with."""

_WITHOUT = "Make the ZIP again, from inside the directory, with relative names."
_RENAME = "Rename the file, and make the ZIP again."


def read_name(raw: bytes, flags: int, system: int, unicode_path: bytes | None) -> str | Problem:
    """The name of an entry, or why it is refused.

    ``unicode_path`` is the extra field 0x7075. Parts are separated by ``/``; a directory's name ends in it; a leading
    ``./`` is left out, so that the top itself is the empty name.
    """
    if len(raw) > MAX_PATH_BYTES or raw.count(b"/") + raw.count(b"\\") >= _MAX_PARTS:
        message = f"Name is longer than {MAX_PATH_BYTES:,} bytes, or has more than {_MAX_PARTS} parts"
        return Problem("zip-name-length", f"{message}: {_text(raw[:60])}…", _RENAME)
    if unicode_path is None and _PLAIN.fullmatch(raw):
        return raw.decode()
    name = _decoded(raw, flags, system, unicode_path)
    if name is None:
        return Problem("zip-name-encoding", f"Name is not in the encoding that is announced: {_text(raw)}", _RENAME)
    if system in DOS:
        name = name.replace("\\", "/")
    elif "\\" in name:
        return Problem("zip-name-backslash", f"Name holds a backslash: {shown(name)}", _RENAME)
    if "\0" in name:
        return Problem("zip-name-nul", f"Name holds a NUL byte: {shown(name)}", _RENAME)
    drive = _DRIVE.match(name)
    if name.startswith("/") or (drive and (system in DOS or name[2:3] == "/")):
        return Problem("zip-name-absolute", f"Name is absolute: {shown(name)}", _WITHOUT)
    plain = name
    while plain.startswith("./"):
        plain = plain[2:]
    parts = plain.removesuffix("/").split("/")
    if ".." in parts:
        return Problem("zip-name-escape", f"Name leads out of the ZIP: {shown(name)}", _WITHOUT)
    if name != "./" and ("" in parts or "." in parts):
        return Problem("zip-name-part", f"Name has an empty or '.' part: {shown(name) or '(empty)'}", _WITHOUT)
    return plain


def _decoded(raw: bytes, flags: int, system: int, unicode_path: bytes | None) -> str | None:
    """UTF-8 where it is announced, or where a Unix wrote it without saying so; the first PC's code page otherwise."""
    better = None
    if unicode_path and unicode_path[0] == 1 and unicode_path[1:5] == zlib.crc32(raw).to_bytes(4, "little"):
        better = unicode_path[5:]  # of another name if the CRC differs: a program that does not know it has renamed
    try:
        if flags & _UTF8_FLAG:
            return raw.decode() if better in {None, raw} else None
        if better is not None:
            return better.decode()
        return raw.decode() if raw.isascii() or system in UNIX else raw.decode("cp437")
    except UnicodeDecodeError:
        return None


def _text(raw: bytes) -> str:
    return shown(raw.decode("utf-8", "surrogateescape"))
