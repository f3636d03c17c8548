"""The page on a capsule: one file of HTML that asks the network for nothing (``docs/inspect.md``). Pure."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from typing import Any

from capsule_builder.inspection.content import Content
from capsule_builder.inspection.difference import Change, Difference
from capsule_builder.inspection.document import of_difference
from capsule_builder.inspection.owners import Group, Owners
from capsule_builder.paths import shown

_ADDED, _CHANGED = 1, 2


def page(content: Content, difference: Difference | None) -> str:
    """The page on ``content``; with ``difference``, which leads to it, also on what changed.

    Names are data to it: they stand in JSON that cannot end the element it is in, and become text, never markup.
    """
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}; base-uri 'none'; "
        "form-action 'none'"
    )
    metadata = content.metadata or {}
    parts = {
        "policy": policy,
        "title": html.escape(f"{metadata['name']} {metadata['version']}"),
        "style": style,
        "data": _embedded(_data(content, difference)),
        "script": script,
    }
    return re.sub(r"\{\{([a-z]+)\}\}", lambda match: parts[match[1]], _asset("page.html"))


def _data(content: Content, difference: Difference | None) -> dict[str, Any]:
    owners, metadata = Owners(content), content.metadata or {}
    names = [layer["name"] for layer in metadata["layers"]]
    layers = {name: number for number, name in reversed([*enumerate(names)])}  # of equal names the first
    groups: dict[Group, int] = {}
    marks = _marks(difference)
    rows = []
    for item in content.items:
        group = groups.setdefault(owners.of(item.path), len(groups))
        row = [item.path, item.size, item.packed, group, layers[item.layer], item.kind, marks.get(item.path, 0)]
        rows.append(row)
    keys = ("id", "name", "version", "entrypoint", "requirements", "builder", "build", "files", "total_size")
    return {
        "about": {**{key: metadata[key] for key in keys}, "file": shown(content.file), "size": content.size},
        "layers": names,
        "groups": [group.title for group in groups],
        "entries": rows,
        "difference": _difference(difference) if difference else None,
    }


def _marks(difference: Difference | None) -> dict[str, int]:
    changes = [change for reason in difference.reasons for change in reason.changes] if difference else []
    return {change.path: _CHANGED if change.old else _ADDED for change in changes if change.new}


def _difference(difference: Difference) -> dict[str, Any]:
    """That of the document, with less of each change: a page with 20,000 of them has to open."""
    document = of_difference(difference)
    document["old"]["file"], document["new"]["file"] = (shown(document[side]["file"]) for side in ("old", "new"))
    for told, reason in zip(document["reasons"], difference.reasons, strict=True):
        told["changes"] = [[change.path, " and ".join(change.how), _growth(change)] for change in reason.changes]
    return document


def _growth(change: Change) -> int | None:
    old, new = (0 if item is None else item.size for item in (change.old, change.new))
    return None if old is None or new is None else new - old


def _embedded(data: object) -> str:
    """JSON for a script element: without ``<``, nothing in it can end the element or begin a comment."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _asset(name: str) -> str:
    return files("capsule_builder.inspection").joinpath(name).read_text("utf-8")
