"""The distributions of a finished environment, as their ``.dist-info`` directories have them (PEP 376, PEP 610)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.utils import canonicalize_name

from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import shown
from capsule_builder.python import editables, record, scripts
from capsule_builder.python.core_metadata import is_of, stated, version_of
from capsule_builder.python.layout import Layout
from capsule_builder.python.package import METADATA, is_dropped
from capsule_builder.python.record import Row
from capsule_builder.python.tree import VenvTree, read

AGAIN = "Install the distribution again with a current pip or uv."


@dataclass(frozen=True, slots=True)
class DistInfo:
    """What a distribution says of itself: METADATA, WHEEL (None when there is none) and ``direct_url.json``.

    ``label`` is what messages call it.
    """

    metadata: bytes
    wheel: bytes | None
    direct_url: Mapping[str, object] | None
    label: str


@dataclass(slots=True)
class Installed:
    """One distribution: ``rows`` of its RECORD by their paths relative to the environment, and its entry points.

    ``name`` is normalised (PEP 503), ``dist_info`` is the name of its directory.
    """

    name: str
    version: str
    dist_info: str
    info: DistInfo
    rows: dict[str, Row] = field(default_factory=dict)
    entry_points: list[scripts.EntryPoint] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.info.label


@dataclass(slots=True)
class Survey:
    """The distributions that were found.

    ``unproven`` are names directly in site-packages that most likely belong to those without a RECORD, as far as one
    can tell.
    """

    distributions: list[Installed] = field(default_factory=list)
    unproven: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)


def survey(tree: VenvTree, layout: Layout) -> Survey:
    """Reads every distribution directly in site-packages; what is wrong with them goes to ``problems``."""
    result = Survey()
    directories: dict[str, set[str]] = {}
    start = f"{layout.site}/"
    for path in tree.files:
        if path.startswith(start):
            top, _, inner = path[len(start) :].partition("/")
            if METADATA.match(top):
                directories.setdefault(top, set()).add(inner)
    for top, names in sorted(directories.items()):
        try:
            if top.endswith(".dist-info"):
                _dist_info(tree, layout, top, names, result)
            else:
                _legacy(tree, layout, top, names, result)
        except CapsuleError as error:
            result.problems += error.problems
    _refuse_twins(result)
    return result


def _dist_info(tree: VenvTree, layout: Layout, top: str, names: set[str], result: Survey) -> None:
    place = f"{layout.site}/{top}"
    missing = [name for name in ("METADATA", "RECORD") if name not in names]
    if any(f"{place}/{name}" in tree.links for name in missing):
        result.unproven.add(top)  # as uv links into its cache when asked to; links are refused by themselves
        return
    if missing:
        result.unproven |= _top_level(tree, place, top, names)
        message = f"{shown(top)}: has no {' and no '.join(missing)}, so nobody knows what belongs to it"
        remedy = f"{AGAIN} (A system's own packages, and conda's, cannot go into a capsule.)"
        raise CapsuleError([Problem("venv-no-record", message, remedy)])
    metadata = read(tree, f"{place}/METADATA")
    try:
        name, version = stated(metadata)
    except ValueError as error:
        result.unproven |= _top_level(tree, place, top, names)
        raise refusal("venv-metadata", f"{shown(top)}: its METADATA {error}", AGAIN) from error
    label = shown(f"{name} {version}")
    parsed = version_of(version)
    if not (parsed and is_of(top.removesuffix(".dist-info"), canonicalize_name(name), parsed)):
        message = f"{shown(top)}: its METADATA are those of another: {label}"
        result.problems.append(Problem("venv-metadata", message, AGAIN))
    wheel = read(tree, f"{place}/WHEEL") if "WHEEL" in names else None
    url = editables.direct_url(read(tree, f"{place}/direct_url.json")) if "direct_url.json" in names else None
    found = Installed(canonicalize_name(name), str(parsed or version), top, DistInfo(metadata, wheel, url, label))
    result.distributions.append(found)
    if "entry_points.txt" in names:
        try:
            found.entry_points = scripts.entry_points(read(tree, f"{place}/entry_points.txt"), found.name, label)
        except CapsuleError as error:
            result.problems += error.problems
    try:
        _add_rows(found, record.parse(read(tree, f"{place}/RECORD"), label), layout, result.problems)
    except CapsuleError:
        result.unproven |= _top_level(tree, place, top, names)
        raise


def _add_rows(found: Installed, rows: Iterable[Row], layout: Layout, problems: list[Problem]) -> None:
    info = f"{layout.site}/{found.dist_info}"
    for row in rows:
        path = posixpath.normpath(posixpath.join(layout.site, row.path))
        if path.startswith(("/", "../")) or path in {".", ".."}:
            message = f"{found.label}: RECORD names a file outside of the environment: {shown(row.path)}"
            remedy = "A capsule holds the environment alone: install a version that keeps to it."
            problems.append(Problem("record-outside", message, remedy))
            continue
        if found.rows.setdefault(path, row).says_as(row) or is_dropped(path, info):
            continue  # installers name twice what a wheel has and they make as well
        message = f"{found.label}: RECORD names a file twice: {shown(path)}"
        problems.append(Problem("record-duplicate", message, AGAIN))


def _legacy(tree: VenvTree, layout: Layout, top: str, names: set[str], result: Survey) -> None:
    place = f"{layout.site}/{top}"
    result.unproven |= _top_level(tree, place, top, names)
    message = f"{shown(top)}: was installed the old way, without a RECORD, so nobody knows what belongs to it"
    remedy = f"{AGAIN} (A system's own packages cannot go into a capsule.)"
    raise CapsuleError([Problem("venv-no-record", message, remedy)])


def _top_level(tree: VenvTree, place: str, top: str, names: set[str]) -> set[str]:
    """The names below site-packages that most likely belong to a distribution without a RECORD."""
    stem = top.rpartition(".")[0].partition("-")[0]
    found = {top, stem, stem.lower(), stem.replace("-", "_").lower()}
    if "top_level.txt" in names:
        found.update(read(tree, f"{place}/top_level.txt").decode("utf-8", "replace").split())
    return found | {f"{name}.py" for name in found}


def _refuse_twins(result: Survey) -> None:
    by_name: dict[str, list[str]] = {}
    for one in result.distributions:
        by_name.setdefault(one.name, []).append(one.dist_info)
    for name, places in sorted(by_name.items()):
        if len(places) > 1:
            message = f"{shown(name)}: is there more than once: {', '.join(map(shown, places))}"
            remedy = "Uninstall it until it is gone, then install the one version that is wanted."
            result.problems.append(Problem("venv-duplicate", message, remedy))
