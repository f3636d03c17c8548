"""RECORD files: what a distribution consists of ("Recording installed projects", packaging.python.org). Pure."""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import io
from collections.abc import Iterable
from typing import NamedTuple

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import MAX_PATH_BYTES, shown

_STRONG = {"sha256": 32, "sha384": 48, "sha512": 64}
_MAX_DIGITS = 18
_REMEDY = "Build or install the distribution again with a current tool."

MAX_ROWS = 1_000_000
"""The most rows that a RECORD may have: it is held in memory."""

MAX_PROBLEMS = 1000
"""Where the collecting stops: a hostile RECORD may have millions."""


class Row(NamedTuple):
    """One row: a path as it stands there, a hash algorithm with the raw digest (both empty when there is none), a size.

    ``size`` is in bytes; None when the row has none.
    """

    path: str
    algorithm: str = ""
    digest: bytes = b""
    size: int | None = None

    @staticmethod
    def of(path: str, data: bytes) -> Row:
        """The row of a file with this content."""
        return Row(path, "sha256", hashlib.sha256(data).digest(), len(data))

    @property
    def hash(self) -> str:
        """As it is written: ``sha256=`` and urlsafe base64 without padding."""
        if not self.algorithm:
            return ""
        return f"{self.algorithm}={base64.urlsafe_b64encode(self.digest).decode().rstrip('=')}"

    def says_as(self, other: Row) -> bool:
        """Whether both say the same of the content; a size that one of them lacks does not count."""
        same_size = None in (self.size, other.size) or self.size == other.size
        return (self.algorithm, self.digest) == (other.algorithm, other.digest) and same_size


def parse(data: bytes, label: str, max_rows: int = MAX_ROWS) -> list[Row]:
    """Reads a RECORD; ``label`` is what messages call it.

    A path may be named more than once. That is for the caller to judge: installers add rows for what they make.

    Raises:
        CapsuleError: it is not one, or has more than ``max_rows``; every row that is wrong, at once (the first
            thousand). Weak hashes (MD5, SHA-1) prove nothing, and count as wrong.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    lines = csv.reader(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline=""), strict=True)
    try:
        for number, fields in enumerate(lines, 1):
            if not fields:
                continue
            try:
                rows.append(_row(fields))
            except ValueError as error:
                problems.append(Problem("record-syntax", f"{label}: RECORD, row {number}: {error}", _REMEDY))
            if len(rows) > max_rows:
                problems.append(Problem("record-syntax", f"{label}: RECORD has more than {max_rows:,} rows", _REMEDY))
            if len(rows) > max_rows or len(problems) == MAX_PROBLEMS:
                break
    except (csv.Error, UnicodeDecodeError) as error:
        problems.append(Problem("record-syntax", f"{label}: RECORD cannot be read: {error}", _REMEDY))
    if problems:
        raise CapsuleError(problems)
    return rows


def _row(fields: list[str]) -> Row:
    if len(fields) != 3:
        raise ValueError(f"{len(fields)} fields instead of 3")
    path, stated, size = fields
    if not path:
        raise ValueError("no path")
    if len(path) > MAX_PATH_BYTES:
        raise ValueError(f"path is longer than {MAX_PATH_BYTES:,} characters: {shown(path[:60])}…")
    if size and not (size.isascii() and size.isdigit() and len(size) <= _MAX_DIGITS):
        raise ValueError(f"not a size: {shown(size[:80])}")
    length = int(size) if size else None
    if not stated:
        return Row(path, size=length)
    algorithm, _, value = stated.partition("=")
    if algorithm not in _STRONG:
        raise ValueError(f"not a hash that proves anything: {shown(algorithm[:80])} ({shown(path)})")
    try:
        digest = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _STRONG[algorithm]:
        raise ValueError(f"not a {algorithm} in base64: {shown(value[:80])} ({shown(path)})")
    return Row(path, algorithm, digest, length)


def write(rows: Iterable[Row]) -> bytes:
    """The bytes of a RECORD: rows sorted by path, each ended by a line feed."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    for row in sorted(rows, key=lambda row: row.path):
        writer.writerow([row.path, row.hash, "" if row.size is None else row.size])
    return out.getvalue().encode()
