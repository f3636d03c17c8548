"""The wheels of a folder that a capsule needs. No resolver: each name gets the best wheel that its own lines allow.

Whether the wheels go together is for ``verify`` to say, afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.utils import (
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import shown
from capsule_builder.requirements.distributions import Distribution
from capsule_builder.requirements.lines import Line, Requirements
from capsule_builder.requirements.mismatch import mismatch
from capsule_builder.requirements.references import wheel_of
from capsule_builder.requirements.target import Target
from capsule_builder.requirements.walk import Edge, Walk

_SDISTS = (".tar.gz", ".zip")
_RENAME = "Give it back the name that it was built with."
_BUILD = "Build a wheel of it for the target (pip wheel) and put that in the folder."


@dataclass(frozen=True)
class Selection:
    """File names, sorted: ``chosen`` go into the capsule, ``unused`` are the other wheels. Problems do not raise."""

    chosen: list[str]
    unused: list[str]
    problems: list[Problem]


@dataclass(frozen=True)
class _Wheel:
    file: str
    name: str
    version: Version
    build: tuple[int, str]
    tags: tuple[str, ...]
    rank: int | None

    @property
    def order(self) -> tuple[Version, int, tuple[int, str], str]:
        """Greater is better: the version, then how near the tags are to the target, then the build number."""
        return self.version, -(self.rank or 0), self.build, self.file


def select(
    wheel_names: Iterable[str],
    hashes: Callable[[str], str],
    requirements: Requirements | None,
    target: Target,
    metadata: Callable[[str], Distribution],
) -> Selection:
    """Choose among the files of one folder, ``wheel_names``.

    With ``requirements``: what their lines and, in turn, the chosen wheels' ``Requires-Dist`` ask for. Without: every
    wheel, which must fit the target, one of each name.

    ``hashes`` gives a file's SHA-256 (64 hex digits) and is called only for what a line with hashes could choose;
    ``metadata`` is called once for each wheel that is chosen. Both may raise ``CapsuleError``, whose problems join the
    others: ``wheel-ambiguous``, ``wheel-hash``, ``wheel-missing``, ``wheel-name``, ``wheel-sdist``, ``wheel-tags``,
    ``wheel-version``.
    """
    house = _House(wheel_names, target)
    chosen = house.all() if requirements is None else _Choice(house, hashes, requirements, target, metadata).made()
    everything = {wheel.file for wheels in house.wheels.values() for wheel in wheels}
    return Selection(sorted(chosen), sorted(everything - chosen), list(dict.fromkeys(house.problems)))


class _House:
    """The wheels and sdists of a folder by name, the best first."""

    def __init__(self, names: Iterable[str], target: Target) -> None:
        self.target = target
        self.problems: list[Problem] = []
        self.wheels: dict[str, list[_Wheel]] = defaultdict(list)
        self.sdists: dict[str, list[tuple[Version, str]]] = defaultdict(list)
        for file in sorted(names):
            if file.endswith(".whl"):
                self._add(file)
            elif file.endswith(_SDISTS):
                try:
                    name, version = parse_sdist_filename(file)
                except ValueError:
                    continue  # another archive, or an old spelling: it could not be used either way
                self.sdists[name].append((version, file))
        for wheels in self.wheels.values():
            wheels.sort(key=lambda wheel: wheel.order, reverse=True)

    def _add(self, file: str) -> None:
        try:
            name, version, build, parsed = parse_wheel_filename(file)
        except ValueError as error:  # InvalidWheelFilename, or a number of thousands of digits
            reason = str(error).partition(":")[0] if isinstance(error, InvalidWheelFilename) else "Invalid number"
            self.refuse("wheel-name", f"{shown(file[:255])}: {shown(reason)}", _RENAME)
            return
        tags = tuple(sorted(str(tag) for tag in parsed))
        self.wheels[name].append(_Wheel(file, name, version, build or (-1, ""), tags, self.target.rank(tags)))

    def all(self) -> set[str]:
        """Every wheel that fits, where nothing says which are needed; others are problems."""
        chosen = set()
        for name, wheels in sorted(self.wheels.items()):
            fitting = [wheel for wheel in wheels if wheel.rank is not None]
            versions = sorted({wheel.version for wheel in fitting})
            chosen |= {wheel.file for wheel in fitting[:1]}
            if len(versions) > 1:
                self.refuse(
                    "wheel-ambiguous",
                    f"{name}: there are wheels of {len(versions)} versions: {', '.join(map(str, versions))}",
                    "Give the requirements that say which, or remove the others.",
                )
            for wheel in wheels:
                if wheel.rank is None and wheel.version not in versions:
                    self._refuse_misfit(wheel)
        for name in sorted(self.sdists.keys() - self.wheels.keys()):
            self.refuse("wheel-sdist", f"{shown(self.sdists[name][0][1])}: is source, not a wheel", _BUILD)
        return chosen

    def _refuse_misfit(self, wheel: _Wheel) -> None:
        if found := mismatch(wheel.tags, self.target):
            self.refuse("wheel-tags", f"{shown(wheel.file)}: {found.reason}", found.remedy)

    def refuse(self, code: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(code, message, remedy))


class _Choice:
    """The wheels that requirements lead to."""

    def __init__(
        self,
        house: _House,
        hashes: Callable[[str], str],
        requirements: Requirements,
        target: Target,
        metadata: Callable[[str], Distribution],
    ) -> None:
        self.house = house
        self.hashes = hashes
        self.metadata = metadata
        self.any_version = requirements.has("--pre")
        self.walk = Walk(requirements, target, self.find)
        self.lines: dict[str, list[Line]] = defaultdict(list)
        for line in self.walk.lines(requirements.lines):
            self.lines[line.name].append(line)
        self.found: dict[str, Distribution | None] = {}
        self.chosen: set[str] = set()

    def made(self) -> set[str]:
        for _ in self.walk.edges():
            pass  # the walk asks for what it needs
        return self.chosen

    def find(self, edge: Edge) -> Distribution | None:
        """The distribution for a name, chosen when it is first required."""
        if edge.name not in self.found:
            self.found[edge.name] = None
            try:
                if wheel := self.choose(edge):
                    self.found[edge.name] = self.metadata(wheel.file)
                    self.chosen.add(wheel.file)
            except CapsuleError as error:
                self.house.problems.extend(error.problems)
        return self.found[edge.name]

    def choose(self, edge: Edge) -> _Wheel | None:
        wheels, lines = self.house.wheels.get(edge.name, []), self.lines[edge.name]
        allowed = set(self.allowed(lines, {wheel.version for wheel in wheels if wheel.rank is not None}))
        named = {found.file for line in lines if (found := wheel_of(line.requirement.url))}
        refused = []
        for wheel in wheels:
            if wheel.rank is None or wheel.version not in allowed:
                continue
            if reason := self.unlocked(wheel, lines, named):
                refused.append(f"{shown(wheel.file)} {reason}")
            else:
                return wheel
        self.refuse(edge, lines, refused)
        return None

    def allowed(self, lines: list[Line], versions: Iterable[Version]) -> Iterable[Version]:
        """What every line allows; a pre-release where a line names one, or where there is nothing else (PEP 440)."""
        together = SpecifierSet()
        for line in lines:
            together &= line.requirement.specifier
        return together.filter(versions, prereleases=True if self.any_version else None)

    def unlocked(self, wheel: _Wheel, lines: list[Line], named: set[str]) -> str | None:
        """Why a wheel is not the one that lines with hashes or URLs mean; its hash is asked for only if one counts."""
        locks = [line.locks for line in lines if line.locks]
        if locks:
            known = f"sha256:{self.hashes(wheel.file).lower()}"
            return None if all(known in lock for lock in locks) else "has a hash that is not in the lock"
        return f"is not the file that is named: {shown(', '.join(sorted(named)))}" if named - {wheel.file} else None

    def refuse(self, edge: Edge, lines: list[Line], refused: list[str]) -> None:
        """Say why there is nothing for ``edge``: the nearest reason alone, and the file that it is about."""
        name, way = edge.name, f"({' -> '.join(edge.path)}, {shown(edge.line.file)}:{edge.line.line})"
        wheels, sdists = self.house.wheels.get(name, []), self.house.sdists.get(name, [])
        right = set(self.allowed(lines, {wheel.version for wheel in wheels}))
        asked = " and ".join(dict.fromkeys(shown(line.text) for line in lines)) or edge.asked
        misfits = [wheel for wheel in wheels if wheel.version in right and wheel.rank is None]
        if refused:
            text, remedy = "; ".join(refused), "Fetch the wheels of the lock anew."
            self.house.refuse("wheel-hash", f"{name}: {text} {way}", remedy)
        elif misfits:
            told = {wheel.file: found for wheel in misfits if (found := mismatch(wheel.tags, self.house.target))}
            text = "; ".join(f"{shown(file)} {found.reason}" for file, found in told.items())
            remedy = " ".join(dict.fromkeys(found.remedy for found in told.values()))
            self.house.refuse("wheel-tags", f"{name}: no wheel fits the target: {text} {way}", remedy)
        elif list(self.allowed(lines, [version for version, _ in sdists])):
            files = ", ".join(shown(file) for _, file in sdists)
            self.house.refuse("wheel-sdist", f"{name}: there is only source: {files} {way}", _BUILD)
        elif wheels:
            text = ", ".join(str(version) for version in sorted({wheel.version for wheel in wheels}))
            remedy = "Put a wheel of that version in the folder, or change the requirement."
            self.house.refuse("wheel-version", f"{name}: no wheel satisfies {asked}, there is {text} {way}", remedy)
        else:
            remedy = "Put one in the folder (pip download --only-binary :all:, or pip wheel)."
            self.house.refuse("wheel-missing", f"{name}: there is no wheel of it {way}", remedy)
