"""Reads ``env``, of the manifest and of a service."""

from __future__ import annotations

from capsule_builder.manifest.document import Scalar
from capsule_builder.manifest.names import VARIABLE
from capsule_builder.manifest.problems import Report
from capsule_builder.manifest.sections import Section, read_mapping, read_text
from capsule_builder.manifest.structure import child_field, is_text_key
from capsule_builder.manifest.unit_text import UNIT_TEXT


def read_env(section: Section, report: Report) -> dict[str, str]:
    """The variables of the section's ``env``, without those at fault."""
    node = section.value("env")
    if node is None:
        return {}
    mapping = read_mapping(node, section.path("env"), 'variables, as in LOG_LEVEL: "info"', report)
    env: dict[str, str] = {}
    for key, value in mapping.pairs if mapping else ():
        if not isinstance(key, Scalar) or not is_text_key(key):
            continue
        field = child_field(section.path("env"), key.text)
        complaint = VARIABLE.complaint(key.text)
        if complaint:
            report.error(key.position, complaint.code, field, complaint.message, complaint.remedy)
        text = read_text(value, field, UNIT_TEXT, report)
        if text is not None:
            env.setdefault(key.text, text)
    return env
