"""How two capsules differ, and why that changes the ID. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from capsule_builder.inspection.content import Content, Item
from capsule_builder.inspection.owners import Group, GroupKind, Owners
from capsule_builder.manifest import Manifest

How = Literal["added", "removed", "content", "mode", "kind", "target"]
_KINDS: tuple[GroupKind, ...] = ("distribution", "package", "interpreter", "environment", "application")
_FILES = {"file", "executable"}
_UNSTATED = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs; ``old`` or ``new`` is None where it is not there."""

    path: str
    how: tuple[How, ...]
    old: Item | None
    new: Item | None


@dataclass
class Reason:
    """All that changed of one owner. ``old`` and ``new`` are the owner on each side, None where there is none of it."""

    old: Group | None
    new: Group | None
    changes: list[Change] = field(default_factory=list)

    @property
    def group(self) -> Group:
        """The owner, as it is now if it is still there."""
        owner = self.new or self.old
        assert owner  # noqa: S101
        return owner

    def count(self, how: How | Literal["changed"]) -> int:
        """How many paths were ``added``, ``removed``, or ``changed`` in place."""
        if how == "changed":
            return sum(change.old is not None and change.new is not None for change in self.changes)
        return sum(how in change.how for change in self.changes)

    @property
    def growth(self) -> int | None:
        """By how many bytes the files grew; None where sizes are not known."""
        sizes = [
            (0 if change.new is None else change.new.size, 0 if change.old is None else change.old.size)
            for change in self.changes
        ]
        known = [new - old for new, old in sizes if new is not None and old is not None]
        return sum(known) if len(known) == len(sizes) else None


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key of the manifest or of the metadata, as ``services.web.args``; None where it is not there."""

    key: str
    old: object
    new: object


@dataclass(frozen=True)
class Difference:
    """What is different in ``new``. ``facts`` are of the metadata, and never count for the ID."""

    old: Content
    new: Content
    reasons: tuple[Reason, ...]
    manifest: tuple[KeyChange, ...]
    facts: tuple[KeyChange, ...]

    @property
    def same(self) -> bool:
        """Whether both have one ID."""
        return self.old.id == self.new.id


def compare(old: Content, new: Content) -> Difference:
    """What is different in ``new``: distributions first, the application last."""
    owners = Owners(old), Owners(new)
    if not (old.records and new.records):  # what one knows helps with the names in the other
        owners = Owners(old, owners[1]), Owners(new, owners[0])
    reasons: dict[tuple[GroupKind, str], Reason] = {}
    groups = [{group.key: group for group in side.distributions} for side in owners]
    for change in _changes(old, new):
        key = owners[1 if change.new else 0].of(change.path).key
        if key not in reasons:
            there = key[0] != "distribution"
            plain = Group(*key) if there else None
            reasons[key] = Reason(groups[0].get(key, plain), groups[1].get(key, plain))
        reasons[key].changes.append(change)
    ordered = sorted(reasons.values(), key=lambda reason: (_KINDS.index(reason.group.kind), reason.group.name))
    manifest = _keys(_stated(old.manifest), _stated(new.manifest)) if old.manifest and new.manifest else ()
    facts = _keys(old.metadata and _facts(old.metadata), new.metadata and _facts(new.metadata))
    return Difference(old, new, tuple(ordered), tuple(manifest), tuple(facts if old.metadata and new.metadata else ()))


def _changes(old: Content, new: Content) -> Iterator[Change]:
    befores = {item.path: item for item in old.items if item.first}
    afters = {item.path: item for item in new.items if item.first}
    for path in sorted(befores.keys() | afters.keys()):
        before, after = befores.get(path), afters.get(path)
        if how := _how(before, after):
            yield Change(path, how, before, after)


def _how(before: Item | None, after: Item | None) -> tuple[How, ...]:
    if before is None or after is None:
        return ("added",) if before is None else ("removed",)
    found: list[How] = []
    if before.kind != after.kind:
        found.append("mode" if {before.kind, after.kind} == _FILES else "kind")
    if before.detail != after.detail and found != ["kind"]:
        found.append("target" if before.kind == "symlink" else "content")
    return tuple(found)


def _stated(manifest: Manifest) -> dict[str, Any]:
    """The manifest by the keys of ``capsule.yml``."""
    stated: dict[str, Any] = {
        **manifest._asdict(),
        "services": [
            {**one._asdict(), "health": one.health._asdict() if one.health else None} for one in manifest.services
        ],
        "resources": manifest.resources._asdict(),
        "sandbox": manifest.sandbox._asdict(),
    }
    stated["dependencies"] = {key: stated.pop(key) for key in ("python", "pip_requirements")}
    return stated


def _facts(metadata: Mapping[str, Any]) -> dict[str, Any]:
    facts = {key: metadata[key] for key in ("requirements", "builder", "build", "compressed_size")}
    return {**facts, "layers": [layer["name"] for layer in metadata["layers"]]}


def _keys(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Iterator[KeyChange]:
    befores, afters = dict(_flat("", old or {})), dict(_flat("", new or {}))
    for key in sorted(befores.keys() | afters.keys()):
        before, after = befores.get(key, _UNSTATED), afters.get(key, _UNSTATED)
        if before != after:
            yield KeyChange(key, *(None if value is _UNSTATED else value for value in (before, after)))


def _flat(above: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The leaves of a document by their keys; services by their names."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{above}.{key}" if above else key, inner)
    elif isinstance(value, (list, tuple)) and value and all(isinstance(part, Mapping) for part in value):
        for part in value:
            yield from _flat(f"{above}.{part['name']}", part)
    else:
        yield above, list(value) if isinstance(value, tuple) else value
