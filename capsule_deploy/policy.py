"""What a host takes and what it keeps: ``/etc/tori/policy.yml``. What the file does not say is as strict as can be."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from capsule_builder.errors import CapsuleError
from capsule_builder.manifest.document import Mapping, Node, Scalar, read_document
from capsule_builder.manifest.encoding import decode
from capsule_builder.manifest.problems import Report, TooManyProblemsError, quoted
from capsule_builder.manifest.structure import check_structure, child_field, is_set_aside
from capsule_builder.paths import shown
from capsule_deploy.guarded import check_guarded_place, read_guarded
from capsule_deploy.layout import Layout

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MAX_BYTES = 64 << 10


class PolicyError(CapsuleError):
    """The host's policy is against it, or cannot be read."""


@dataclass(frozen=True)
class Reserve:
    """What an install leaves free on the disk: ``bytes``, and ``inodes``."""

    bytes: int = 1 << 30
    inodes: int = 10_000


@dataclass(frozen=True)
class Policy:
    """The host's policy.

    ``unsigned``: capsules without a signature are taken. ``max_size``: the most bytes that one may unpack to.
    ``object_store``: files that several releases have are on the disk once. ``keep``: how many releases of each
    application outlive a ``gc``, and ``minimum_age``: every one that was installed less than so many seconds ago.
    ``exposure``: the highest score of ``systemd-analyze security`` that a unit may have.
    """

    unsigned: bool = False
    max_size: int = 20 << 30
    object_store: bool = True
    keep: int = 5
    minimum_age: int = 3600
    exposure: float = 2.0
    reserve: Reserve = field(default_factory=Reserve)


def read_policy(layout: Layout) -> Policy:
    """The policy of a host; the default one, when there is no file.

    Raises:
        PolicyError: it says what no policy says, with every problem; or others than root may write it.
        OSError: it cannot be read.
    """
    try:
        check_guarded_place(os.path.dirname(layout.policy), "Directory of keys and policy")
        data = read_guarded(layout.policy, "Policy", _MAX_BYTES)
    except FileNotFoundError:
        return Policy()
    except CapsuleError as refused:
        raise PolicyError(refused.problems) from None
    return parse_policy(data, shown(layout.policy))


def parse_policy(data: bytes, name: str) -> Policy:
    """The policy in ``data``; ``name`` is what messages call it.

    Raises:
        PolicyError: with every problem.
    """
    report = Report(name)
    values: dict[str, Any] = {}
    try:
        text = decode(data, report)
        if text is not None and not re.fullmatch(r"(?:[ \t]*(?:#[^\n]*)?(?:\n|\Z))*", text):
            root = read_document(text, report)
            if root is not None:
                check_structure(root, "", report)
                values = _section(root, "", _KEYS, report)
    except TooManyProblemsError:
        pass
    problems = report.problems()
    if problems:
        raise PolicyError(problems)
    reserve = Reserve(**values.pop("reserve", {}))
    return Policy(**values, reserve=reserve)


_Reader = Callable[[str], Any]


def _switch(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text)


def _count(text: str) -> int | None:
    return int(text) if re.fullmatch("0|[1-9][0-9]{0,8}", text) else None


def _size(text: str) -> int | None:
    match = re.fullmatch("(0|[1-9][0-9]{0,11})([KMGT]?)", text)
    return int(match[1]) * _UNITS[match[2]] if match else None


def _span(text: str) -> int | None:
    match = re.fullmatch("(0|[1-9][0-9]{0,5})([smhd])", text)
    return int(match[1]) * _SECONDS[match[2]] if match else None


def _score(text: str) -> float | None:
    return float(text) if re.fullmatch("10(?:[.]0)?|[0-9](?:[.][0-9])?", text) else None


_RESERVE: dict[str, tuple[_Reader, str]] = {
    "bytes": (_size, "a size such as 1G or 500M"),
    "inodes": (_count, "a number of files such as 10000"),
}
_KEYS: dict[str, tuple[_Reader, str] | dict[str, tuple[_Reader, str]]] = {
    "unsigned": (_switch, "true or false"),
    "max_size": (_size, "a size such as 20G or 500M"),
    "object_store": (_switch, "true or false"),
    "keep": (_count, "a number of releases such as 5"),
    "minimum_age": (_span, "a span of time such as 90s, 10m, 1h or 7d"),
    "exposure": (_score, "a score from 0 to 10 such as 2.0"),
    "reserve": _RESERVE,
}


def _section(node: Node, path: str, keys: Any, report: Report) -> dict[str, Any]:
    if is_set_aside(node):
        return {}
    if not isinstance(node, Mapping):
        report.error(node.position, "not-a-mapping", path, "must be keys with values", "write one 'key: value' a line")
        return {}
    values: dict[str, Any] = {}
    for key, value in node.pairs:
        if not isinstance(key, Scalar):
            continue
        where = child_field(path, key.text)
        known = keys.get(key.text)
        if known is None:
            report.error(key.position, "unknown-key", where, "unknown key", f"the keys here are {', '.join(keys)}")
        elif isinstance(known, dict):
            values[key.text] = _section(value, where, known, report)
        elif not is_set_aside(value):
            read, form = known
            found = read(value.text) if isinstance(value, Scalar) and value.plain else None
            if found is None:
                what = quoted(value.text) if isinstance(value, Scalar) else "a collection"
                report.error(value.position, "bad-value", where, f"{what} is no value for it", f"write {form}")
            values[key.text] = found
    return values
