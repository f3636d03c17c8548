"""A capsule that was damaged is refused, or is the same capsule."""

from __future__ import annotations

from tests.reader.corruptions import check_corruptions, forged


def test_every_wrong_byte_is_noticed() -> None:
    archive = forged()
    tried, taken = check_corruptions(archive)
    assert tried > 5 * len(archive)
    assert taken < 10
