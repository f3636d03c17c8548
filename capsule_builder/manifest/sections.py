"""Reads single values, lists and mappings out of nodes, and reports whatever has another shape.

Every reader gives None (or leaves the item out) for what it reported; nodes that *structure* refused are passed over.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from capsule_builder.manifest.document import Mapping, Node, Scalar, Sequence
from capsule_builder.manifest.plain_scalars import reading
from capsule_builder.manifest.problems import Position, Report, quoted, shown
from capsule_builder.manifest.rule import Rule
from capsule_builder.manifest.structure import child_field, is_set_aside, is_text_key

SECTION_KEYS: dict[str, tuple[str, ...]] = {
    "the manifest": (
        "name",
        "version",
        "entrypoint",
        "services",
        "env",
        "dependencies",
        "resources",
        "sandbox",
        "executables",
    ),
    "a service": ("name", "entrypoint", "args", "env", "health"),
    "health": ("http", "port", "command", "interval", "timeout", "deadline", "successes"),
    "dependencies": ("python", "pip_requirements"),
    "resources": ("cpu_quota", "memory_max", "memory_high", "tasks_max", "io_weight"),
    "sandbox": ("allow", "deny"),
}
"""Every key that a manifest knows, by the section that it stands in."""

# What people write from memory of other tools, too far from our word for difflib.
_OTHER_WORDS = {
    "environment": "env",
    "memory": "memory_max",
    "cpu": "cpu_quota",
    "requirements": "pip_requirements",
    "python_version": "python",
    "healthcheck": "health",
    "pids_max": "tasks_max",
}


class Section:
    """A mapping with known keys. Making one reports the unknown ones."""

    def __init__(self, node: Mapping, field: str, kind: str, report: Report) -> None:
        self.position = node.position
        self.field = field
        self._complete = node.complete
        self._report = report
        self._values: dict[str, Node] = {}
        for key, value in node.pairs:
            if not is_text_key(key) or not isinstance(key, Scalar):
                continue
            if key.text not in SECTION_KEYS[kind]:
                remedy = _remedy_for_unknown(key.text, kind)
                report.error(key.position, "unknown-key", child_field(field, key.text), "unknown key", remedy)
            else:
                self._values.setdefault(key.text, value)

    def path(self, key: str) -> str:
        """The key's path, as messages name it."""
        return child_field(self.field, key)

    def value(self, key: str) -> Node | None:
        """The key's node, None where it is not given."""
        return self._values.get(key)

    def place(self, key: str) -> Position:
        """Where the key's value is; where the section begins, if it is not given."""
        node = self._values.get(key)
        return node.position if node else self.position

    def require(self, key: str, position: Position, example: str) -> None:
        """Report the key as missing at ``position``, unless it is there or the section was cut off."""
        if key not in self._values and self._complete:
            remedy = f"add it, as in {key}: {example}"
            self._report.error(position, "missing-key", self.path(key), "is missing", remedy)

    def text(self, key: str, rule: Rule) -> str | None:
        """The key's text, if it obeys the rule."""
        node = self._values.get(key)
        return None if node is None else read_text(node, self.path(key), rule, self._report)

    def integer(self, key: str, least: int, most: int) -> int | None:
        """The key's whole number, if it lies within both bounds."""
        node = self._values.get(key)
        return None if node is None else read_integer(node, self.path(key), least, most, self._report)

    def texts(self, key: str, rule: Rule) -> tuple[str, ...]:
        """The key's list of texts, without those that break the rule."""
        node = self._values.get(key)
        if node is None:
            return ()
        items = read_items(node, self.path(key), rule.example, self._report)
        texts = (read_text(item, field, rule, self._report) for item, field in items)
        return tuple(text for text in texts if text is not None)

    def section(self, key: str, kind: str) -> Section | None:
        """The key's mapping, as a section of this kind."""
        node = self._values.get(key)
        return None if node is None else open_section(node, self.path(key), kind, self._report)


def open_section(node: Node, field: str, kind: str, report: Report) -> Section | None:
    """The node as a section of a kind named in ``SECTION_KEYS``."""
    mapping = read_mapping(node, field, f"the keys {', '.join(SECTION_KEYS[kind])}", report)
    return None if mapping is None else Section(mapping, field, kind, report)


def read_mapping(node: Node, field: str, content: str, report: Report) -> Mapping | None:
    """The node, if it is a mapping; ``content`` says what belongs into it."""
    if is_set_aside(node):
        return None
    if isinstance(node, Mapping):
        return node
    subject, way_out = ("", ", or remove the line") if field else ("the manifest ", "")
    if _is_empty(node):
        message, remedy = f"{subject}is empty", f"give it {content}{way_out}"
    else:
        message = f"{subject}is {_shape(node)}, and must be a mapping"
        remedy = f'write lines of "key: value" with {content}'
    report.error(node.position, "not-a-mapping", field, message, remedy)
    return None


def read_items(node: Node, field: str, example: str, report: Report) -> Iterator[tuple[Node, str]]:
    """The items of a list, each with its path."""
    if is_set_aside(node):
        return
    if isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield item, f"{field}[{index}]"
        return
    if _is_empty(node):
        message, remedy = "is empty", f"write a list, such as [{quoted(example)}], or remove the line"
    else:
        written = node.text.split() if isinstance(node, Scalar) and len(node.text) <= 60 else []
        likely = ", ".join(quoted(word) for word in written) or quoted(example)
        message, remedy = f"is {_shape(node)}, and must be a list", f"write a list, such as [{likely}]"
    report.error(node.position, "not-a-list", field, message, remedy)


def read_text(node: Node, field: str, rule: Rule, report: Report) -> str | None:
    """The node's text, if it is text to every reader of YAML and obeys the rule."""
    if is_set_aside(node):
        return None
    if not isinstance(node, Scalar):
        remedy = f"write one value, such as {quoted(rule.example)}"
        report.error(node.position, "not-text", field, f"is {_shape(node)}, and must be text", remedy)
        return None
    complaint = rule.complaint(node.text)
    meaning = reading(node.text) if node.plain else None
    if meaning:
        if not node.text:
            message = "is empty, which YAML reads as null"
            remedy = f"write a value such as {quoted(rule.example)}" if complaint else 'write "" for an empty text'
        else:
            message = meaning.clause
            remedy = complaint.remedy if complaint else f"write {quoted(node.text)}"
        report.error(node.position, "not-text", field, message, remedy)
        return None
    if complaint:
        report.error(node.position, complaint.code, field, complaint.message, complaint.remedy)
        return None
    return node.text


def read_integer(node: Node, field: str, least: int, most: int, report: Report) -> int | None:
    """The node's whole number, if it is written in plain decimal digits and lies within both bounds."""
    if is_set_aside(node):
        return None
    wanted = f"a whole number from {least} to {most}"
    if not isinstance(node, Scalar):
        message = f"is {_shape(node)}, and must be a number"
        report.error(node.position, "not-a-number", field, message, f"write {wanted}")
        return None
    number = int(node.text) if re.fullmatch("-?(?:0|[1-9][0-9]{0,17})", node.text) else None
    if number is not None and least <= number <= most:
        if node.plain:
            return number
        message, remedy = f"{quoted(node.text)} is text, and must be a number", f"write {number} without quotes"
    else:
        message = "is empty" if _is_empty(node) else f"{shown(node.text)} is not {wanted}"
        remedy = (
            f"write one in plain digits, such as {min(512, most)}" if number is None else "choose one in that range"
        )
    report.error(node.position, "not-a-number", field, message, remedy)
    return None


def _is_empty(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain and not node.text


def _shape(node: Node) -> str:
    return "a list" if isinstance(node, Sequence) else "a mapping" if isinstance(node, Mapping) else "a single value"


def _plain(key: str) -> str:
    return key.lower().replace("-", "_")


def _remedy_for_unknown(key: str, kind: str) -> str:
    known = SECTION_KEYS[kind]
    # difflib takes quadratic time, and nobody misspells a key at such length.
    words = difflib.get_close_matches(_plain(key), [*known, *_OTHER_WORDS], 1) if len(key) <= 40 else []
    word = _OTHER_WORDS.get(words[0], words[0]) if words else key
    if word in known:
        return f"write {word}"
    for other, keys in SECTION_KEYS.items():
        if word in keys and other != kind:
            return f"write {word} in {other}" if word != key else f"it belongs in {other}"
    return f"remove it, or write one of {', '.join(known)}"
