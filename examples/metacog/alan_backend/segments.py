"""The files of the store: Parquet segments of consecutive thoughts, written once and never changed."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("stance", pa.string(), nullable=False),
        pa.field("question", pa.string(), nullable=False),
        pa.field("scores", pa.map_(pa.string(), pa.float64()), nullable=False),
    ]
)
FAN = 64
"""So many neighbours of one size become one: segments of 1 thought one of 64, and those one of 4,096, which stays."""

_NAME = re.compile(r"thoughts-([0-9]{12})-([0-9]{12})\.parquet")
_UNFINISHED = "unfinished.tmp"


class StoreError(Exception):
    """The state cannot be read or written; the message names the file."""


@dataclass(frozen=True)
class Segment:
    """The thoughts from one id to another, both included."""

    first: int
    last: int

    @property
    def name(self) -> str:
        """The file's name."""
        return f"thoughts-{self.first:012}-{self.last:012}.parquet"

    def __len__(self) -> int:
        return self.last - self.first + 1


def take_stock(directory: Path) -> list[Segment]:
    """The segments that hold all thoughts from 1 on, in order; only for the holder of the lock.

    Removes what a crash leaves behind: an unfinished file, and segments whose thoughts are in a merged one. Raises
    ``StoreError`` when there is a gap, which no crash explains.
    """
    names = os.listdir(directory)
    if _UNFINISHED in names:
        os.unlink(directory / _UNFINISHED)
    found = [Segment(int(match[1]), int(match[2])) for match in map(_NAME.fullmatch, names) if match]
    stock: list[Segment] = []
    for segment in sorted(found, key=lambda segment: (segment.first, -segment.last)):
        end = stock[-1].last if stock else 0
        if segment.last <= end:
            os.unlink(directory / segment.name)
        elif segment.first != end + 1:
            raise StoreError(
                f"{directory}: there is no segment that begins with thought {end + 1}; restore it from a copy"
            )
        else:
            stock.append(segment)
    return stock


def read(directory: Path, segment: Segment) -> pa.Table:
    """A segment's thoughts, checked against its checksums, its schema and its name."""
    path = directory / segment.name
    try:
        table = pq.read_table(path, partitioning=None, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path}: cannot be read; restore it from a copy ({error})") from error
    if not table.schema.equals(SCHEMA) or table["id"].to_pylist() != list(range(segment.first, segment.last + 1)):
        raise StoreError(f"{path}: does not hold what its name says; restore it from a copy")
    return table


def write(directory: Path, table: pa.Table) -> Segment:
    """A new segment, on the disk when this returns. Raises ``OSError``; everything is then as it was before."""
    segment = Segment(table["id"][0].as_py(), table["id"][-1].as_py())
    unfinished, path = directory / _UNFINISHED, directory / segment.name
    try:
        with open(unfinished, "wb") as file:
            pq.write_table(table, file, compression="zstd", write_page_checksum=True)
            file.flush()
            os.fsync(file.fileno())
        os.rename(unfinished, path)
        sync_directory(directory)
    except OSError:
        for leftover in (unfinished, path):
            with contextlib.suppress(OSError):
                os.unlink(leftover)
        raise
    return segment


def due(stock: list[Segment]) -> list[Segment]:
    """The neighbours at the end that should be merged; none if there are too few of one size."""
    for size in (1, FAN):
        run = list(itertools.takewhile(lambda segment: size <= len(segment) < size * FAN, reversed(stock)))  # noqa: B023
        if len(run) >= FAN:
            return run[::-1]
    return []


def sync_directory(directory: Path) -> None:
    """Makes the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
