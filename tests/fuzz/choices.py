"""What a harness makes of the bytes it gets: choices, and edits of texts and archives. No bytes are no edits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

MAX_BYTES = 1 << 16
"""No edit makes anything longer: what takes long at this size takes more than linear time."""

_DIGITS = re.compile(rb"[0-9]+")
_NUMBERS = (b"0", b"1", b"00", b"-1", b"512", b"99999999999", b"999999999999999999", b"1000000000000000000", b"1e9")


class Choices:
    """Draws from ``data``; when it is used up, every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def bytes(self, size: int) -> bytes:
        """``size`` bytes."""
        found = self._data[self._at : self._at + size]
        self._at += size
        return found.ljust(size, b"\0")

    def below(self, limit: int) -> int:
        """A number from 0 to ``limit`` - 1."""
        width = 1 if limit <= 1 << 8 else 2 if limit <= 1 << 16 else 4
        return int.from_bytes(self.bytes(width), "little") % limit

    def pick(self, values: Sequence[T]) -> T:
        """One of ``values``."""
        return values[self.below(len(values))]

    def once_in(self, times: int) -> bool:
        """True for one choice in so many; never when there is nothing left to choose from."""
        return self.below(times) == times - 1

    def rest(self) -> bytes:
        """All that was not drawn."""
        found = self._data[self._at :]
        self._at = len(self._data)
        return found


def edited(choices: Choices, data: bytes, tokens: Sequence[bytes] = (), most: int = 4) -> bytes:
    """``data`` after up to ``most`` edits; ``tokens`` are what means something where it is read."""
    for _ in range(choices.below(most + 1)):
        data = _edit(choices, data, tokens or _NUMBERS)[:MAX_BYTES]
    return data


def _edit(choices: Choices, data: bytes, tokens: Sequence[bytes]) -> bytes:
    kind = choices.below(12)
    at = len(data) if choices.once_in(16) else choices.below(len(data) + 1)
    end = min(len(data), at + choices.below(1 << choices.below(8)))
    before, span, after = data[:at], data[at:end], data[end:]
    if kind == 0:
        return before + bytes([after[0] ^ 1 << choices.below(8)]) + after[1:] if after else data
    if kind == 1:
        return before + choices.bytes(end - at) + after
    if kind == 2:
        return before + after
    if kind == 3:
        return before + choices.bytes(1 + choices.below(4)) + data[at:]
    if kind == 4:
        return before + choices.pick(tokens) + data[at:]
    if kind == 5:
        return before + choices.pick(tokens) + after
    if kind == 6:
        to = choices.below(len(data) + 1)
        return data[:to] + span + data[to:]
    if kind == 7:
        span = span or choices.pick(tokens)
        return before + span * (2 << choices.below(13)) + after
    if kind == 8:
        return _lines(choices, data)
    if kind == 9:
        return before
    if kind == 10:
        old, new = choices.pick(tokens), choices.pick(tokens)
        return data.replace(old, new, 1)
    number = _DIGITS.search(data, at)
    return data[: number.start()] + _number(choices, number[0]) + data[number.end() :] if number else data


def _lines(choices: Choices, data: bytes) -> bytes:
    """A line more, fewer, or two that have changed places."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    one, other, kind = choices.below(len(lines)), choices.below(len(lines)), choices.below(3)
    if kind == 0:
        lines[one], lines[other] = lines[other], lines[one]
    elif kind == 1:
        lines.insert(other, lines[one])
    else:
        del lines[one]
    return b"".join(lines)


def _number(choices: Choices, digits: bytes) -> bytes:
    if len(digits) < 20 and choices.below(2) == 0:
        return b"%d" % max(0, int(digits) + choices.pick((1, -1, 512, 8)))
    return choices.pick((*_NUMBERS, b"0" + digits, digits * 2))
