"""Which files are executable: a function of their content (``docs/format.md``, section 2.3).

Disks, umasks, ZIPs, git and Bazel disagree about executable bits, so none of them is asked.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

ReadAt = Callable[[int, int], bytes]
"""``read_at(size, offset)``: at most ``size`` bytes of the file from ``offset``; fewer only at its end."""

_ET_EXEC, _ET_DYN = 2, 3
_PT_DYNAMIC, _PT_INTERP = 2, 3
_DT_NULL, _DT_FLAGS_1, _DF_1_PIE = 0, 0x6FFFFFFB, 0x08000000
_MAX_TABLE = 1 << 20


def is_program(head: bytes, read_at: ReadAt) -> bool:
    """Whether a file is a script (``#!``) or an ELF program.

    ``head`` is the file's first 64 bytes (fewer if it is shorter); ``read_at`` is asked only for ELF files of the type
    that shared libraries and position-independent programs have in common.
    """
    if head[:2] == b"#!":
        return True
    return head[:4] == b"\x7fELF" and _is_elf_program(head, read_at)


def _is_elf_program(head: bytes, read_at: ReadAt) -> bool:
    """System V ABI, chapter 4 and 5: ET_EXEC, or ET_DYN with PT_INTERP or with DF_1_PIE (a static PIE)."""
    if len(head) < 20 or head[4] not in (1, 2) or head[5] not in (1, 2):
        return False
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    (kind,) = struct.unpack_from(order + "H", head, 16)
    if kind == _ET_EXEC:
        return True
    if kind != _ET_DYN or len(head) < (64 if wide else 52):
        return False
    if wide:
        (table,) = struct.unpack_from(order + "Q", head, 32)
        size, count = struct.unpack_from(order + "HH", head, 54)
        minimum, fields, word = 56, order + "I4xQ16xQ", order + "QQ"
    else:
        (table,) = struct.unpack_from(order + "I", head, 28)
        size, count = struct.unpack_from(order + "HH", head, 42)
        minimum, fields, word = 32, order + "II8xI", order + "II"
    if size < minimum or table >= 1 << 62:
        return False
    headers = read_at(min(size * count, _MAX_TABLE), table)
    pie: bool | None = None  # as the first PT_DYNAMIC says; there is one at most, and thousands would cost minutes
    for start in range(0, len(headers) - minimum + 1, size):
        segment, offset, length = struct.unpack_from(fields, headers, start)
        if segment == _PT_INTERP:
            return True
        if segment == _PT_DYNAMIC and pie is None:
            pie = offset < 1 << 62 and _is_pie(read_at(min(length, _MAX_TABLE), offset), word)
    return pie is True


def _is_pie(dynamic: bytes, word: str) -> bool:
    usable = len(dynamic) - len(dynamic) % struct.calcsize(word)
    for tag, value in struct.iter_unpack(word, dynamic[:usable]):
        if tag == _DT_NULL:
            break
        if tag == _DT_FLAGS_1 and value & _DF_1_PIE:
            return True
    return False
