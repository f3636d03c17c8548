"""What YAML makes of a value that stands without quotes.

YAML 1.1 (PyYAML, systemd's world, most of Python) and YAML 1.2 (many editors, Go, JavaScript) disagree about what is a
number, a boolean, a date. A value is text here only when it is text to both, so no reader of a manifest is surprised.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from capsule_builder.manifest.problems import shown

Kind = Literal["null", "boolean", "number", "date", "special"]

_KINDS: dict[str, Kind] = {"null": "null", "bool": "boolean", "int": "number", "float": "number", "timestamp": "date"}
# YAML 1.2.2, section 10.3.2: what its core schema adds to the numbers of 1.1.
_NUMBER_IN_1_2 = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+")
# Longer ones are not turned into a value, only to show it: int() refuses or takes long over thousands of digits.
_MAX_VALUE_LENGTH = 40


class Reading(NamedTuple):
    """What readers of YAML take an unquoted value for, and the clause that tells a person so."""

    kind: Kind
    clause: str


def reading(text: str) -> Reading | None:
    """How readers of YAML take ``text`` when it is not quoted, or None where it is text to all of them.

    >>> reading("NO").clause
    'YAML reads NO as the boolean false'
    >>> reading("3.10").clause
    'YAML reads 3.10 as the number 3.1'
    """
    kind = _kind_in_1_1(text)
    if kind is None:
        if _NUMBER_IN_1_2.fullmatch(text):
            return Reading("number", f"some YAML readers take {shown(text)} for a number")
        return None
    if kind == "null":
        return Reading(kind, f"YAML reads {text} as null" if text else "the value is empty, which YAML reads as null")
    if kind == "special":
        return Reading(kind, f"YAML gives {shown(text)} a meaning of its own")
    if kind == "date":
        return Reading(kind, f"YAML reads {shown(text)} as a date")
    return Reading(kind, _value_clause(text, kind))


def _kind_in_1_1(text: str) -> Kind | None:
    import yaml

    for tag, pattern in yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], []):
        if pattern.match(text):
            return _KINDS.get(tag.rpartition(":")[2], "special")
    return None


def _value_clause(text: str, kind: Kind) -> str:
    import yaml

    value: object = None
    if len(text) <= _MAX_VALUE_LENGTH:
        try:
            value = yaml.safe_load(text)
        except (ValueError, yaml.YAMLError):
            value = None
    if isinstance(value, bool):
        return f"YAML reads {text} as the boolean {str(value).lower()}"
    if value is None or str(value) == text:
        return f"YAML reads {shown(text)} as a {kind}"
    base = " (base 60)" if ":" in text else " (octal)" if re.fullmatch("[-+]?0[0-7_]+", text) else ""
    return f"YAML reads {text} as the number {value}{base}"
