"""What the commands say, as JSON has it (``docs/inspect.md``). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from capsule_builder.inspection import advice, figures
from capsule_builder.inspection.content import Content, Item
from capsule_builder.inspection.difference import Change, Difference, Reason
from capsule_builder.inspection.figures import Sum
from capsule_builder.inspection.owners import Owners

_FACTS = (
    "id", "short_id", "name", "version", "entrypoint", "requirements", "files", "total_size", "compressed_size",
    "builder", "build", "layers",
)  # fmt: skip


def of_content(content: Content, owners: Owners, top: int) -> dict[str, Any]:
    """What ``capsbuild inspect`` says; the lists of the largest have ``top`` rows."""
    sums = figures.by_owner(content, owners)
    metadata = content.metadata or {}
    return {
        **{key: metadata[key] for key in _FACTS},
        "archive": content.file,
        "size": content.size,
        "distributions": [
            {"name": group.name, "version": group.version, **asdict(sums.pop(group, Sum()))}
            for group in owners.distributions
        ],
        "others": [{"kind": group.kind, "name": group.name, **asdict(total)} for group, total in sums.items()],
        "largest_files": [_file(item, owners) for item in figures.largest_files(content, top)],
        "largest_directories": [
            {"path": path, **asdict(total)} for path, total in figures.largest_directories(content, top)
        ],
        "ignore": [
            {"line": suggestion.line, "what": suggestion.what, **asdict(suggestion.sum)}
            for suggestion in advice.suggestions(content, owners)
        ],
        "in_packages": [{"what": what, **asdict(total)} for what, total in advice.in_packages(content, owners).items()],
    }


def of_difference(difference: Difference) -> dict[str, Any]:
    """What ``capsbuild diff`` says."""
    return {
        "same": difference.same,
        "old": _side(difference.old),
        "new": _side(difference.new),
        "reasons": [_reason(reason) for reason in difference.reasons],
        "manifest": [asdict(key) for key in difference.manifest],
        "facts": [asdict(key) for key in difference.facts],
    }


def _file(item: Item, owners: Owners) -> dict[str, Any]:
    owner = owners.of(item.path).title
    sizes = {"total_size": item.size, "compressed_size": item.packed}
    return {"path": item.path, "layer": item.layer, "owner": owner, **sizes}


def _side(content: Content) -> dict[str, Any]:
    metadata: Mapping[str, Any] = content.metadata or {}
    return {
        "file": content.file,
        "id": content.id,
        "name": metadata.get("name"),
        "version": metadata.get("version"),
        "files": sum(item.first and item.kind in {"file", "executable"} for item in content.items),
        "total_size": metadata.get("total_size"),
        "size": content.size,
    }


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "kind": reason.group.kind,
        "name": reason.group.name,
        "old_version": reason.old.version or None if reason.old else None,
        "new_version": reason.new.version or None if reason.new else None,
        "added": reason.count("added"),
        "removed": reason.count("removed"),
        "changed": reason.count("changed"),
        "growth": reason.growth,
        "changes": [_change(change) for change in reason.changes],
    }


def _change(change: Change) -> dict[str, Any]:
    return {"path": change.path, "how": list(change.how), "old": _entry(change.old), "new": _entry(change.new)}


def _entry(item: Item | None) -> dict[str, Any] | None:
    if item is None:
        return None
    detail = {"target": item.detail} if item.kind == "symlink" else {"sha256": item.detail} if item.detail else {}
    return {"kind": item.kind, **detail, "size": item.size}
