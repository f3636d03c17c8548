"""Where a ZIP's central directory lies: the end record, and its 64-bit form (APPNOTE 6.3.10, 4.3.14 to 4.3.16).

The end record must be the only one that can be meant: readers look for it from the end or from the beginning, and a ZIP
with two shows each of them other entries.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from capsule_builder.archive.zip_findings import Findings
from capsule_builder.archive.zip_volume import Volume

MAX_ENTRIES = 2_000_000
MAX_DIRECTORY_BYTES = 512 << 20

_END = struct.Struct("<4s4H2LH")  # signature, two disks, two counts, size, offset, length of the comment
_END_SIGNATURE = b"PK\x05\x06"
_LOCATOR = struct.Struct("<4sLQL")  # signature, disk, offset of the 64-bit record, number of disks
_LOCATOR_SIGNATURE = b"PK\x06\x07"
_WIDE = struct.Struct("<4sQ2H2L4Q")  # signature, length of the rest, versions, two disks, two counts, size, offset
_WIDE_SIGNATURE = b"PK\x06\x06"
_MAX_COMMENT = 0xFFFF
_LOCAL_SIGNATURE = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class CentralDirectory:
    """Where it begins, its length in bytes, and how many entries it has."""

    offset: int
    size: int
    count: int


def find_directory(volume: Volume, findings: Findings) -> CentralDirectory:
    """The place of the central directory, as the end records have it.

    Raises:
        CapsuleError: there is none, there could be two, or the end records do not fit the file.
    """
    end = _find_end(volume, findings)
    *narrow, _ = _END.unpack(volume.read_at(_END.size, end))[1:]
    locator = volume.read_at(_LOCATOR.size, end - _LOCATOR.size) if end >= _LOCATOR.size else b""
    values = narrow
    if locator.startswith(_LOCATOR_SIGNATURE):
        end, values = _widened(volume, findings, end - _LOCATOR.size, locator, narrow)
    disk, directory_disk, count_here, count, size, offset = values
    if disk or directory_disk or count_here != count:
        findings.add("zip-multi-disk", "Part of a ZIP that is split over several files", "Join its parts: zip -s 0.")
        findings.check()
    if count > MAX_ENTRIES:
        findings.add("zip-entries", f"More than {MAX_ENTRIES:,} entries: {count:,}", "Make several capsules of it.")
    if size > MAX_DIRECTORY_BYTES:
        findings.add("zip-directory-size", f"Central directory is longer than 512 MiB: {size:,} bytes")
    if offset + size != end:
        shift = end - size - offset
        if shift > 0 and volume.read_at(4, shift) == _LOCAL_SIGNATURE:
            prefix(findings, shift)
        else:
            findings.add("zip-end-record", "Central directory is not where the end record says")
    findings.check()
    return CentralDirectory(offset, size, count)


def prefix(findings: Findings, size: int) -> None:
    """Notes that something comes before the first entry: a program that unpacks itself, or another file."""
    remedy = "Unpack it and make a plain ZIP of what it holds: what comes before a ZIP would be lost."
    findings.add("zip-prefix", f"{size:,} bytes before the first entry", remedy)


def _find_end(volume: Volume, findings: Findings) -> int:
    """The offset of the one end record that reaches to the end of the file."""
    start = max(0, volume.size - _END.size - _MAX_COMMENT)
    tail = volume.read_at(volume.size - start, start)
    reach: dict[int, int] = {}  # each signature, and where its comment ends
    at = tail.find(_END_SIGNATURE)
    while at >= 0:
        cut = at + _END.size > len(tail)
        reach[at] = len(tail) + 1 if cut else at + _END.size + int.from_bytes(tail[at + 20 : at + 22], "little")
        at = tail.find(_END_SIGNATURE, at + 1)
    whole = [at for at, ends in reach.items() if ends == len(tail)]
    if whole and whole[0] == max(reach):
        return start + whole[0]
    if whole:
        findings.add("zip-comment", "Comment holds another end record", "Make the ZIP again, without the comment.")
    elif not reach and volume.read_at(2, 0) != b"PK":
        findings.add("zip-not-a-zip", "Not a ZIP", "Name a ZIP.")
    elif not reach or reach[max(reach)] > len(tail):
        findings.add("zip-truncated", "Cut off: it has no end record", "Copy or download it again.")
    else:
        extra = len(tail) - reach[max(reach)]
        remedy = "Copy or download it again. (bsdtar fills up what it writes to a pipe: give it a file, with -f.)"
        findings.add("zip-trailing", f"{extra:,} bytes after the end record", remedy)
    findings.check()
    raise AssertionError  # a finding was added


def _widened(volume: Volume, findings: Findings, end: int, locator: bytes, narrow: list[int]) -> tuple[int, list[int]]:
    """The offset and the values of the 64-bit end record that the locator at ``end`` leads to."""
    _, disk, offset, disks = _LOCATOR.unpack(locator)
    record = volume.read_at(_WIDE.size, offset) if offset + _WIDE.size == end else b""
    if disk or disks > 1:
        findings.add("zip-multi-disk", "Part of a ZIP that is split over several files", "Join its parts: zip -s 0.")
    elif not record.startswith(_WIDE_SIGNATURE):
        findings.add("zip-zip64", "64-bit end record is not where its locator says")
    findings.check()
    _, rest, _, _, *wide = _WIDE.unpack(record)
    full = [0xFFFF] * 4 + [0xFFFFFFFF] * 2
    if rest != _WIDE.size - 12 or any(n not in {w, f} for n, w, f in zip(narrow, wide, full, strict=True)):
        findings.add("zip-zip64", "The two end records disagree")
    findings.check()
    return offset, wide
