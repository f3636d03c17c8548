"""What a rule for a single value is. The rules themselves are in *names*, *versions*, *unit_text* and *quantities*.

The values end up in systemd units, in file names and in account names, and the rules come from there; figures marked
(measured) were tried with systemd 252. The patterns are also in ``capsule.schema.json``, and the tests hold both
together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Complaint(NamedTuple):
    """Why a text breaks a rule, and what to write in place of it."""

    code: str
    message: str
    remedy: str


class Rule(NamedTuple):
    """What a text must be. ``example`` obeys the rule; ``complaint`` gives None for every text that does."""

    example: str
    complaint: Callable[[str], Complaint | None]
