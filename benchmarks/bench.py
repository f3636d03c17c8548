"""What a case gets to work with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.inputs import Inputs
from benchmarks.measure import Contender, Row, compare


@dataclass(frozen=True)
class Bench:
    """The inputs, a directory for this case alone, and how thorough it has to be.

    ``bazel`` is for a Bazel workspace, and stays; ``given`` is the number of rounds that was asked for, if it was.
    """

    inputs: Inputs
    place: Path
    bazel: Path
    quick: bool
    given: int | None

    def rounds(self, usual: int) -> int:
        """How many rounds to run where ``usual`` is what the full benchmark does."""
        return self.given or (1 if self.quick else usual)

    def compare(self, contenders: Sequence[Contender], usual: int, *, warm: int = 1) -> list[Row]:
        """Lets all take turns, after one turn of the first ``warm``: the page cache is warm for everybody."""
        compare(contenders[:warm], 1, self.place)
        return compare(contenders, self.rounds(usual), self.place)


def ratio(rows: Sequence[Row], name: str, what: str, to: str) -> float:
    """How many times as much of ``what`` (wall, cpu, size) ``name`` took as ``to`` did."""
    found = {row.name: row for row in rows}
    return float(getattr(found[name], what) / getattr(found[to], what))
