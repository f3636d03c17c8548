"""RECORD files: what a distribution consists of ("Recording installed projects", packaging.python.org). Pure."""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass

from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import shown

_STRONG = {"sha256": 32, "sha384": 48, "sha512": 64}
_REMEDY = "Build or install the distribution again with a current tool."


@dataclass(frozen=True, slots=True)
class Row:
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


def parse(data: bytes, label: str) -> list[Row]:
    """Reads a RECORD; ``label`` is what messages call it.

    Raises:
        CapsuleError: it is not one; every row that is wrong, at once. Weak hashes (MD5, SHA-1) prove nothing, and count
            as wrong.
    """
    try:
        lines = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise refusal("record-syntax", f"{label}: RECORD cannot be read: {error}", _REMEDY) from error
    rows: list[Row] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    for number, fields in enumerate(lines, 1):
        if not fields:
            continue
        where = f"{label}: RECORD, row {number}"
        try:
            row = _row(fields)
        except ValueError as error:
            problems.append(Problem("record-syntax", f"{where}: {error}", _REMEDY))
            continue
        if row.path in seen:
            problems.append(Problem("record-duplicate", f"{where}: named twice: {shown(row.path)}", _REMEDY))
        seen.add(row.path)
        rows.append(row)
    if problems:
        raise CapsuleError(problems)
    return rows


def _row(fields: list[str]) -> Row:
    if len(fields) != 3:
        raise ValueError(f"{len(fields)} fields instead of 3")
    path, stated, size = fields
    if not path:
        raise ValueError("no path")
    if size and not (size.isascii() and size.isdigit()):
        raise ValueError(f"not a size: {shown(size)}")
    length = int(size) if size else None
    if not stated:
        return Row(path, size=length)
    algorithm, _, value = stated.partition("=")
    if algorithm not in _STRONG:
        raise ValueError(f"not a hash that proves anything: {shown(algorithm)} ({shown(path)})")
    try:
        digest = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _STRONG[algorithm]:
        raise ValueError(f"not a {algorithm} in base64: {shown(value)} ({shown(path)})")
    return Row(path, algorithm, digest, length)


def write(rows: Iterable[Row]) -> bytes:
    """The bytes of a RECORD: rows sorted by path, each ended by a line feed."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    for row in sorted(rows, key=lambda row: row.path):
        writer.writerow([row.path, row.hash, "" if row.size is None else row.size])
    return out.getvalue().encode()
