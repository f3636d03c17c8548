"""Refuses what YAML allows and a manifest does not, at every depth: tags, anchors, aliases, merge keys, double keys.

A manifest says everything in its place, once, as text, numbers, lists and mappings. That is what makes it readable by
eye, by editors, and by every YAML library alike.
"""

from __future__ import annotations

import re

from capsule_builder.manifest.document import Alias, Mapping, Node, Scalar, Sequence
from capsule_builder.manifest.plain_scalars import reading
from capsule_builder.manifest.problems import Report, quoted, shown


def child_field(parent: str, key: str) -> str:
    """The path of a key, as messages name it: ``env.HOME``; unusual keys in quotes."""
    name = key if re.fullmatch(r"[\w.-]{1,60}", key, re.ASCII) else quoted(key)
    return f"{parent}.{name}" if parent else name


def is_set_aside(node: Node) -> bool:
    """Whether the node was refused here as a whole, so that nothing more can be said about its value."""
    return isinstance(node, Alias) or node.tag is not None or (isinstance(node, Scalar) and _has_surrogate(node.text))


def is_text_key(key: Node) -> bool:
    """Whether the key of a mapping is text to every reader of YAML."""
    return isinstance(key, Scalar) and key.tag is None and not (key.plain and reading(key.text))


def check_structure(node: Node, field: str, report: Report) -> None:
    """Report every use of YAML that a manifest may not make, in ``node`` and below it."""
    if isinstance(node, Alias):
        message = f"*{shown(node.name)} is a YAML alias"
        remedy = f"write the value out, or {quoted('*' + node.name)} if text is meant"
        report.error(node.position, "yaml-alias", field, message, remedy)
        return
    _check_properties(node, field, report)
    if isinstance(node, Scalar):
        if _has_surrogate(node.text):
            message = "holds half of a surrogate pair, which is no character"
            report.error(node.position, "not-a-character", field, message, r'write the character itself or as "\U…"')
    elif isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            check_structure(item, f"{field}[{index}]", report)
    else:
        _check_mapping(node, field, report)


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


def _check_properties(node: Scalar | Sequence | Mapping, field: str, report: Report) -> None:
    if node.tag is not None:
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        remedy = "remove the tag"
        if isinstance(node, Scalar):
            value = tag if tag.startswith("!") and not tag.startswith("!!") and not node.text else node.text
            remedy += f" and write {quoted(value)} if text is meant"
        report.error(node.position, "yaml-tag", field, f"{shown(tag)} is a YAML tag", remedy)
    if node.anchor is not None:
        message = f"&{shown(node.anchor)} is a YAML anchor"
        report.error(
            node.position, "yaml-anchor", field, message, "remove it, and write the value out where it is used"
        )


def _check_mapping(node: Mapping, field: str, report: Report) -> None:
    first_lines: dict[str, int] = {}
    for key, value in node.pairs:
        if not isinstance(key, Scalar):
            report.error(
                key.position, "not-text", field, "a key is a list, a mapping or an alias", "write a plain name"
            )
            continue
        path = child_field(field, key.text)
        meaning = reading(key.text) if key.plain and key.tag is None else None
        if key.text == "<<" and meaning:
            remedy = "write the keys out, each in its place"
            report.error(key.position, "merge-key", field, 'the merge key "<<" is not allowed', remedy)
            if isinstance(value, Alias):
                continue
        elif meaning and not key.text:
            report.error(key.position, "not-text", field, "a key is empty", "write a name before the colon")
        elif meaning:
            remedy = f"put the key in quotes: {quoted(key.text)}"
            report.error(key.position, "not-text", path, f"{meaning.clause}, and a key must be text", remedy)
        _check_properties(key, path, report)
        if key.text in first_lines:
            message = f"duplicate key, first given in line {first_lines[key.text]}"
            report.error(key.position, "duplicate-key", path, message, "remove one of the two")
        first_lines.setdefault(key.text, key.position.line)
        check_structure(value, path, report)
