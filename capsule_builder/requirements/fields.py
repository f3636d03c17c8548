"""The fields of a METADATA file (core metadata, an e-mail's header). Pure."""

from __future__ import annotations

import re

_BLANK_LINE = re.compile(rb"\n\r?\n|\r\r")


def fields_of(metadata: bytes) -> bytes:
    """The fields at the beginning of a METADATA file, without the long text behind them, which takes long to parse."""
    end = _BLANK_LINE.search(metadata)
    return metadata[: end.end()] if end else metadata
