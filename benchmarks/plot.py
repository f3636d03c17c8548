"""A plot as SVG, both axes logarithmic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 640, 400, 70, 50, 36, 160
_SIZE = f'width="{_WIDTH}" height="{_HEIGHT}"'
_COLOURS = ("#0b62a4", "#c2410c", "#3f7d20", "#7a3e9d")


def plot(title: str, across: str, up: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Draws series of points (all above 0) with a name each; ``across`` and ``up`` name the axes, with units."""
    xs = [math.log10(x) for points in series.values() for x, _ in points]
    ys = [math.log10(y) for points in series.values() for _, y in points]
    left, right, low, high = math.floor(min(xs)), math.ceil(max(xs)), math.floor(min(ys)), math.ceil(max(ys))
    wide, tall = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            round(_LEFT + (math.log10(x) - left) / (right - left) * wide, 1),
            round(_TOP + (high - math.log10(y)) / (high - low) * tall, 1),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {_SIZE} font-family="sans-serif" font-size="12">',
        f'<rect {_SIZE} fill="#fff"/>',
        f'<text x="{_LEFT}" y="20" font-size="14">{escape(title)}</text>',
        f'<text x="{_LEFT + wide / 2}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(across)}</text>',
        f'<text transform="translate(16 {_TOP + tall / 2}) rotate(-90)" text-anchor="middle">{escape(up)}</text>',
    ]
    for power in range(left, right + 1):
        x, _ = place(10.0**power, 10.0**low)
        parts.append(f'<path d="M{x} {_TOP}V{_TOP + tall}" stroke="#ddd"/>')
        parts.append(f'<text x="{x}" y="{_TOP + tall + 16}" text-anchor="middle">{_number(power)}</text>')
    for power in range(low, high + 1):
        _, y = place(10.0**left, 10.0**power)
        parts.append(f'<path d="M{_LEFT} {y}H{_LEFT + wide}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{_number(power)}</text>')
    for (name, points), colour in zip(series.items(), _COLOURS, strict=False):
        placed = [place(x, y) for x, y in points]
        line = " ".join(f"{x},{y}" for x, y in placed)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in placed]
        x, y = placed[-1]
        parts.append(f'<text x="{x + 8}" y="{y + 4}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _number(power: int) -> str:
    return f"{10**power:,}" if power >= 0 else f"{10.0**power:g}"
