"""Where a distribution came from, against the URL that a requirement names (PEP 610, ``name @ URL``)."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping

from packaging.version import Version

from capsule_builder.paths import shown
from capsule_builder.requirements.distributions import Distribution
from capsule_builder.requirements.references import fragment_hashes, wheel_of


def differs(distribution: Distribution, url: str) -> str | None:
    """How ``distribution`` differs from what ``url`` names, or None when it is that.

    Raises:
        LookupError: nothing is known that could tell.
    """
    wheel = wheel_of(url)
    if wheel and wheel.version != Version(distribution.version):
        return f"the URL names version {wheel.version}"
    named, known = _hex(fragment_hashes(url)), distribution.sha256 or _recorded_hash(distribution.direct_url)
    if named and known:  # the bytes are the same, whatever the place
        return None if known.lower() == named else f"its SHA-256 is {known}"
    if distribution.direct_url is not None:
        return _other_place(distribution.direct_url, url)
    if wheel and distribution.where.rpartition("/")[2] == wheel.file:
        return None
    raise LookupError


def _hex(hashes: tuple[str, ...]) -> str | None:
    return next((value.partition(":")[2] for value in hashes if value.startswith("sha256:")), None)


def _recorded_hash(direct_url: Mapping[str, object] | None) -> str | None:
    archive = _mapping((direct_url or {}).get("archive_info"))
    found = _mapping(archive.get("hashes")).get("sha256")
    old = archive.get("hash")
    if found is None and isinstance(old, str) and old.startswith("sha256="):
        found = old.partition("=")[2]
    return found if isinstance(found, str) else None


def _other_place(direct_url: Mapping[str, object], url: str) -> str | None:
    came_from, vcs = str(direct_url.get("url", "")), _mapping(direct_url.get("vcs_info"))
    place, revision = url.partition("#")[0], ""
    if re.match(r"[a-z]+\+", place):
        place = place.partition("+")[2]
        head, _, last = place.rpartition("/")
        last, _, revision = last.partition("@")
        place = f"{head}/{last}"
    if _plain(place) != _plain(came_from):
        return f"it came from {shown(_plain(came_from)) or '(nowhere)'}"
    commit = str(vcs.get("commit_id", ""))
    if revision and revision != vcs.get("requested_revision") and not commit.startswith(revision):
        return f"it is revision {shown(commit) or '(unknown)'}"
    return None


def _plain(url: str) -> str:
    """Without user, password and fragment; of a file, whose place differs on every machine, the last part alone."""
    place = urllib.parse.unquote(url.partition("#")[0]).rstrip("/")
    scheme, separator, rest = place.partition("://")
    if not separator or scheme == "file":
        return place.rpartition("/")[2]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2].lower()}{slash}{path}"


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
