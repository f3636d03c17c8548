"""The facts of one build, for those who ask for a stamp; they never enter the ID."""

from __future__ import annotations

import datetime
import platform
import time
from collections.abc import Mapping

from capsule_builder.errors import refusal
from capsule_builder.metadata import BuildFacts


def from_environment(environ: Mapping[str, str]) -> BuildFacts:
    """Now, or ``SOURCE_DATE_EPOCH`` (seconds since 1970, reproducible-builds.org) when it is set; and this host's name.

    Raises:
        CapsuleError: ``SOURCE_DATE_EPOCH`` is not a number of seconds.
    """
    return BuildFacts(
        _moment("SOURCE_DATE_EPOCH", environ.get("SOURCE_DATE_EPOCH") or str(int(time.time()))), platform.node()
    )


def from_status(text: str) -> BuildFacts:
    """The facts in Bazel's workspace status (``KEY value`` lines); Bazel itself minds ``SOURCE_DATE_EPOCH``."""
    values = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
    moment = values.get("BUILD_TIMESTAMP")
    return BuildFacts(_moment("BUILD_TIMESTAMP", moment) if moment else None, values.get("BUILD_HOST"))


def _moment(name: str, seconds: str) -> str:
    """RFC 3339, in UTC, to the second."""
    try:
        if not (seconds.isascii() and seconds.isdigit()):
            raise ValueError
        moment = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
    except (ValueError, OverflowError, OSError):
        raise refusal(
            "stamp-time",
            f"{name} is not a time: {seconds[:60]!r}",
            "Set it to a number of seconds since 1970-01-01 UTC, or unset it.",
        ) from None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
