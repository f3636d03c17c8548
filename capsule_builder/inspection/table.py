"""Tables for people, in plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from capsule_builder.paths import shown


def megabytes(size: int) -> str:
    """A length in bytes as ``1.23 MB``."""
    return f"{size / 1e6:,.2f} MB"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table below an empty line; nothing when there are no rows.

    In each row the name comes first, then the figures for the columns; the lines have the name, below ``title``, last.
    """
    if not rows:
        return
    lines = [[title, *columns], *([shown(row[0]), *row[1:]] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(1, len(columns) + 1)]
    yield ""
    for name, *figures in lines:
        yield f"  {'  '.join(text.rjust(width) for text, width in zip(figures, widths, strict=True))}  {name}"
