"""Every corruption of one byte, of capsules with all there is: ``./dev long`` (some minutes)."""

from __future__ import annotations

import pytest

from tests.format.vectors import DIRECTORY
from tests.reader.corruptions import check_corruptions, forged


@pytest.mark.parametrize("name", ["forged", "minimal", "kinds", "layers", "long-names", "order"])
def test_no_wrong_byte_goes_unnoticed(name: str) -> None:
    archive = forged() if name == "forged" else (DIRECTORY / name / "capsule.tar.gz").read_bytes()
    tried, taken = check_corruptions(archive)
    print(f"{name}: {len(archive):,} bytes, {tried:,} corruptions, {taken} taken, with the same content")
    assert tried > 5 * len(archive)
