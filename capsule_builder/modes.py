"""Which files are executable: a function of their content (``docs/format.md``, section 2.3).

Disks, umasks, ZIPs, git and Bazel disagree about executable bits, so none of them is asked.
"""

from __future__ import annotations

from capsule_builder.elf import (
    DF_1_PIE,
    DT_FLAGS_1,
    ET_DYN,
    ET_EXEC,
    PT_DYNAMIC,
    PT_INTERP,
    Header,
    ReadAt,
    dynamic,
    read_header,
    segments,
)


def is_program(head: bytes, read_at: ReadAt) -> bool:
    """Whether a file is a script (``#!``) or an ELF program.

    ``head`` is the file's first 64 bytes (fewer if it is shorter); ``read_at`` is asked only for ELF files of the type
    that shared libraries and position-independent programs have in common.
    """
    if head[:2] == b"#!":
        return True
    elf = read_header(head)
    return elf is not None and (elf.type == ET_EXEC or (elf.type == ET_DYN and _is_started(elf, read_at)))


def _is_started(elf: Header, read_at: ReadAt) -> bool:
    """Whether an ET_DYN is a program: it has PT_INTERP, or DF_1_PIE (a static PIE)."""
    pie: bool | None = None  # as the first PT_DYNAMIC says; there is one at most, and thousands would cost minutes
    for segment in segments(elf, read_at):
        if segment.type == PT_INTERP:
            return True
        if segment.type == PT_DYNAMIC and pie is None:
            pie = any(tag == DT_FLAGS_1 and value & DF_1_PIE for tag, value in dynamic(elf, segment, read_at))
    return pie is True
