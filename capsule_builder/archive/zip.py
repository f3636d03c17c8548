"""Reads ZIPs and trusts nothing (APPNOTE 6.3.10).

Every program that reads ZIPs believes another part of them: the one that streams believes the local headers, the one
that seeks believes the central directory, and what both pass over can hold anything. Here all parts must agree, and the
entries must fill the file without a gap, so that whatever another program finds in a ZIP is what is found here.
"""

from __future__ import annotations

import itertools
import stat
from types import TracebackType
from typing import Literal

from capsule_builder.archive.zip_end import CentralDirectory, find_directory, prefix
from capsule_builder.archive.zip_findings import AGAIN, Findings
from capsule_builder.archive.zip_headers import (
    DEFLATED,
    DESCRIPTOR_FLAG,
    ENCRYPTED_FLAGS,
    STORED,
    Central,
    Local,
    central_headers,
    is_descriptor,
    local_header,
)
from capsule_builder.archive.zip_members import MAX_TARGET_BYTES, ZipMember
from capsule_builder.archive.zip_names import UNIX, read_name
from capsule_builder.archive.zip_volume import Volume
from capsule_builder.errors import Problem
from capsule_builder.paths import shown

__all__ = ["ZipMember", "ZipReader"]

MAX_RATIO = 250
"""A ZIP that grows more than so many times is refused..."""

FREE_BYTES = 64 << 20
"""... unless it is small; so is a single file..."""

MAX_TOTAL_BYTES = 64 << 30
"""... and so is one with more than this in all."""

_METHODS = {
    1: "shrink", 6: "implode", 9: "deflate64", 10: "DCL implode", 12: "bzip2", 14: "lzma", 18: "terse", 19: "lz77",
    20: "zstd", 93: "zstd", 94: "mp3", 95: "xz", 96: "jpeg", 97: "wavpack", 98: "ppmd", 99: "AES",
}  # fmt: skip
_UTF8_FLAG = 1 << 11
_PATCH_FLAG = 1 << 5
_COMPARED_FLAGS = ENCRYPTED_FLAGS | _UTF8_FLAG
_DESCRIPTOR_LENGTHS = {12, 16, 20, 24}
_DOS_DIRECTORY = 0x10
_SPECIAL = {stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFIFO: "a fifo", stat.S_IFSOCK: "a socket"}

Kind = Literal["file", "directory", "symlink"]


class ZipReader:
    """A ZIP that was found to be sound, open for reading until :meth:`close`.

    ``members`` come in the order of the central directory. ``label`` is what messages call the ZIP, ``status`` what the
    file was when it was opened. Contents are checked when they are read.

    Raises:
        CapsuleError: all that is wrong with the ZIP (the first thousand problems).
    """

    def __init__(self, path: str, *, label: str | None = None) -> None:
        self.path = path
        self.label = label if label is not None else path
        self._volume = Volume(path, self.label)
        self.status = self._volume.status
        try:
            self.members = _Examination(self._volume, Findings(self.label)).run()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file; contents cannot be read any more."""
        self._volume.close()

    def __enter__(self) -> ZipReader:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


class _Examination:
    def __init__(self, volume: Volume, findings: Findings) -> None:
        self._volume = volume
        self._findings = findings
        self._members: list[ZipMember] = []
        self._names: dict[str, bool] = {}  # without the slash of directories, which are true
        self._spans: list[tuple[int, int, Central, str, bool]] = []  # begin, end, whether a descriptor follows
        self._total = 0

    def run(self) -> tuple[ZipMember, ...]:
        directory = find_directory(self._volume, self._findings)
        for header in central_headers(self._volume, directory, self._findings):
            self._entry(header, directory)
        if len(self._spans) == directory.count:  # else what is missing would look like gaps
            self._tile(directory)
        self._check_nesting()
        self._check_total()
        self._findings.check()
        return tuple(self._members)

    def _entry(self, header: Central, directory: CentralDirectory) -> None:
        """Takes in one entry, with all that can be wrong with it alone."""
        name = read_name(header.raw_name, header.flags, header.system, header.unicode_path)
        place: str | None = None  # where it is, unless it is the top
        if isinstance(name, Problem):
            self._findings.add(name.code, name.message, name.remedy)
            name = header.raw_name[:200].decode("utf-8", "surrogateescape") or "(empty)"
        else:
            name = name or "./"
            place = name.removesuffix("/") if name != "./" else None
        mode = header.attributes >> 16 if header.system in UNIX else 0
        kind: Kind = "directory" if name.endswith("/") else "symlink" if stat.S_ISLNK(mode) else "file"
        if header.disk:
            self._add("zip-multi-disk", "Entry lies in another file", name, "Join the parts of the ZIP: zip -s 0.")
        self._check_method(header, name)
        if place and place in self._names:
            self._add("zip-name-duplicate", "Name is there twice", name, "Make the ZIP again, with each name once.")
        elif place:
            self._names[place] = kind == "directory"
        if header.unfit:
            self._add("zip-extra", "Extra fields of the central header contradict it or themselves", name)
            return
        self._check_kind(header, name, kind, mode)
        self._check_sizes(header, name, kind)
        local = local_header(self._volume, header.offset, len(header.raw_name))
        if local is None or local.data > directory.offset:
            self._add("zip-local", "No local header where the central one says", name)
            return
        self._compare(header, local, name)
        described = bool(local.flags & DESCRIPTOR_FLAG)
        self._spans.append((header.offset, local.data + header.deflated_size, header, name, described))
        if place:
            deflated = (header.size, header.deflated_size, header.crc32, header.method, local.data, mode)
            self._members.append(ZipMember(self._volume, name, kind, *deflated))

    def _check_method(self, header: Central, name: str) -> None:
        if header.flags & ENCRYPTED_FLAGS:
            self._add("zip-encrypted", "Entry is encrypted", name, "Make the ZIP again, without a password.")
        elif header.method not in {STORED, DEFLATED} or header.flags & _PATCH_FLAG:
            method = f"{_METHODS.get(header.method, 'unknown')}, {header.method}"
            method = "patched data" if header.flags & _PATCH_FLAG else method
            remedy = "Make the ZIP again with plain deflate (zip -r; 7z a -tzip -mm=Deflate)."
            self._add("zip-method", f"Compression method is neither deflate nor stored ({method})", name, remedy)

    def _check_kind(self, header: Central, name: str, kind: Kind, mode: int) -> None:
        remedy = "A capsule holds files, links and directories: leave it out of the ZIP."
        if what := _SPECIAL.get(stat.S_IFMT(mode)):
            self._add("zip-special", f"Not a file, link or directory, but {what}", name, remedy)
        elif kind == "directory":
            if stat.S_ISLNK(mode):
                self._add("zip-kind", "Link with the name of a directory", name)
            if header.size or header.deflated_size > 2:  # an empty stream has two bytes
                self._add("zip-directory-data", "Directory with content", name)
        elif stat.S_ISDIR(mode) or (header.system not in UNIX and header.attributes & _DOS_DIRECTORY):
            self._add("zip-kind", "Directory with the name of a file", name)

    def _check_sizes(self, header: Central, name: str, kind: Kind) -> None:
        self._total += header.size
        stored = header.method == STORED and header.size != header.deflated_size
        if stored or (header.method == DEFLATED and kind != "directory" and not header.deflated_size):
            self._add("zip-size", f"{header.size:,} bytes cannot lie in {header.deflated_size:,}", name)
        elif kind == "symlink" and header.size > MAX_TARGET_BYTES:
            self._add("zip-link", f"Link target is longer than {MAX_TARGET_BYTES:,} bytes", name)
        elif header.size > FREE_BYTES and header.size > MAX_RATIO * header.deflated_size:
            message = f"{header.deflated_size:,} bytes become {header.size:,}, more than {MAX_RATIO} times as many"
            self._add("zip-bomb", message, name, "If this is meant, add the file to the ZIP uncompressed (zip -0).")

    def _compare(self, header: Central, local: Local, name: str) -> None:
        """Notes where the local header disagrees with the central one."""
        if (
            local.raw_name == header.raw_name
            and (local.crc32, local.deflated_size, local.size) == (header.crc32, header.deflated_size, header.size)
            and local.method == header.method
            and local.unicode_path is None
            and not local.unfit
            and not (local.flags ^ header.flags) & _COMPARED_FLAGS
        ):
            return
        wrong: list[str] = []
        if local.unfit:
            self._add("zip-extra", "Extra fields of the local header contradict it or themselves", name)
        if local.raw_name != header.raw_name or local.unicode_path not in {None, header.unicode_path}:
            wrong.append("name")
        if local.method != header.method:
            wrong.append("method")
        if (local.flags ^ header.flags) & _COMPARED_FLAGS:
            wrong.append("flags")
        unknown = {0} if local.flags & DESCRIPTOR_FLAG else set()
        if local.crc32 not in {header.crc32} | unknown:
            wrong.append("CRC-32")
        if local.size not in {header.size} | unknown or local.deflated_size not in {header.deflated_size} | unknown:
            wrong.append("size")
        if wrong and not local.unfit:
            self._add("zip-mismatch", f"Local and central header disagree about the {' and the '.join(wrong)}", name)

    def _tile(self, directory: CentralDirectory) -> None:
        """Sees that entries and descriptors fill the file up to the central directory, each byte once."""
        self._spans.sort(key=lambda span: span[0])
        starts = [*(span[0] for span in self._spans), directory.offset]
        if starts[0]:
            prefix(self._findings, starts[0])
        for (_, end, header, name, described), until in zip(self._spans, starts[1:], strict=True):
            rest = until - end
            if rest < 0:
                self._add("zip-overlap", "Entry runs into the next one, or into the central directory", name)
            elif described:
                fits = rest in _DESCRIPTOR_LENGTHS and is_descriptor(self._volume.read_at(rest, end), header)
                if not fits:
                    self._add("zip-descriptor", "No data descriptor, or another than the central header", name)
            elif rest:
                self._add("zip-gap", f"{rest:,} bytes that belong to no entry, after", name)

    def _check_nesting(self) -> None:
        """Sees that nothing lies below a file or a link."""
        ordered = sorted(name.replace("/", "\0") for name in self._names)  # so that what lies below comes next
        for path, after in itertools.pairwise(ordered):
            name, below = path.replace("\0", "/"), after.replace("\0", "/")
            if below.startswith(name + "/") and not self._names[name]:
                message = f"Path is both a file (or a link) and a directory, with {shown(below)}"
                self._add("zip-name-clash", message, name, "Make the ZIP again, with one of the two.")

    def _check_total(self) -> None:
        if self._total > MAX_TOTAL_BYTES:
            message = f"More than 64 GiB in all: {self._total:,} bytes"
            self._findings.add("zip-total", message, "Make several capsules of it.")
        elif self._total > FREE_BYTES + MAX_RATIO * self._volume.size:
            message = f"{self._volume.size:,} bytes become {self._total:,}, more than {MAX_RATIO} times as many"
            self._findings.add("zip-bomb", message, "Name the directory that the ZIP was made from.")

    def _add(self, code: str, what: str, name: str, remedy: str = AGAIN) -> None:
        self._findings.add(code, f"{what}: {shown(name)}", remedy)
