"""Reads ``sandbox``: which walls around the services have to be open, and which can be closed."""

from __future__ import annotations

from capsule_builder.manifest.model import Sandbox
from capsule_builder.manifest.problems import quoted
from capsule_builder.manifest.rule import Complaint, Rule
from capsule_builder.manifest.sections import Section

ALLOWED = ("gpu", "low-ports", "netlink", "proc", "scheduling")
DENIED = ("jit", "network")


def read_sandbox(top: Section) -> Sandbox:
    """What the manifest says of its sandbox, without what is at fault."""
    section = top.section("sandbox", "sandbox")
    if section is None:
        return Sandbox()
    return Sandbox(allow=section.texts("allow", _one_of(ALLOWED)), deny=section.texts("deny", _one_of(DENIED)))


def _one_of(words: tuple[str, ...]) -> Rule:
    def complaint(text: str) -> Complaint | None:
        if text in words:
            return None
        return Complaint("bad-sandbox", f"{quoted(text)} is none of {', '.join(words)}", "write one of these")

    return Rule(words[0], complaint)
