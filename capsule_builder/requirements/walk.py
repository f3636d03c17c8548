"""The closure: from the requirement lines along ``Requires-Dist``, with extras, for the target's markers."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from capsule_builder.paths import shown
from capsule_builder.requirements.distributions import Distribution
from capsule_builder.requirements.lines import Line, Note, Requirements
from capsule_builder.requirements.references import read_dependency
from capsule_builder.requirements.target import Target


@dataclass(frozen=True)
class Edge:
    """Something that is required: by a line of a file, or by a distribution (then ``path`` has more than one part)."""

    requirement: Requirement
    path: tuple[str, ...]
    line: Line

    @property
    def name(self) -> str:
        """The normalised name of what is required."""
        return canonicalize_name(self.requirement.name)

    @property
    def extras(self) -> frozenset[str]:
        """The normalised extras that are asked for."""
        return frozenset(canonicalize_name(extra) for extra in self.requirement.extras)

    @property
    def asked(self) -> str:
        """The requirement without its marker, and without the password of its URL, for messages."""
        text = str(self.requirement)
        text = text.partition(" ;" if self.requirement.url else ";")[0].strip()
        return shown(re.sub(r"(?<=://)[^/@]*@", "", text))


Find = Callable[[Edge], Distribution | None]


class Walk:
    """Every requirement that holds on the target, breadth first, each once, with the distribution that ``find`` gives.

    A requirement holds when its marker does for one of the extras that are active, or for none (``extra == ""``), at
    any patch release. An extra that is asked for later sends the walk over its distribution again, which is what makes
    ``pkg[all]`` work that requires ``pkg[a,b]``.
    """

    def __init__(self, requirements: Requirements, target: Target, find: Find) -> None:
        self._requirements = requirements
        self._target = target
        self._find = find
        self._notes: dict[Note, None] = {}

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was odd on the way: ``python-patch``, ``marker-kernel``, ``marker-undefined``, ``dependency-legacy``."""
        return tuple(self._notes)

    def lines(self, lines: Iterable[Line]) -> list[Line]:
        """Those of ``lines`` that apply to the target."""
        return [line for line in lines if self._holds(line.requirement, {""}, line, str(line.requirement))]

    def edges(self) -> Iterator[tuple[Edge, Distribution | None]]:
        """The requirements and what was found for them."""
        queue = deque(
            Edge(line.requirement, (_part(line.requirement),), line) for line in self.lines(self._requirements.roots)
        )
        active: dict[str, set[str]] = {}
        done: set[tuple[str, int]] = set()
        while queue:
            edge = queue.popleft()
            distribution = self._find(edge)
            yield edge, distribution
            if distribution is None:
                continue
            before = active.setdefault(edge.name, set())
            fresh = {"", *edge.extras} - before
            before |= fresh
            for place, text in enumerate(distribution.requires if fresh else ()):
                if (edge.name, place) in done:
                    continue
                requirement, is_legacy = read_dependency(text)
                if is_legacy:
                    self._note_legacy(distribution, text, requirement)
                label = f"{shown(text[:200])} of {distribution.name} {distribution.version}"
                if requirement and self._holds(requirement, fresh, edge.line, label):
                    done.add((edge.name, place))
                    queue.append(Edge(requirement, (*edge.path, _part(requirement)), edge.line))

    def _holds(self, requirement: Requirement, extras: set[str], line: Line, label: str) -> bool:
        marker = requirement.marker
        if marker is None:
            return True
        text = str(marker)
        if re.search(r"\bplatform_(release|version)\b", text):
            self._note("marker-kernel", f"{label}: asks what the host's kernel is called, which is not known", line)
        try:
            held = {patch: self._evaluate(marker, patch, extras) for patch in self._target.patches(text)}
        except (UndefinedComparison, UndefinedEnvironmentName):
            self._note("marker-undefined", f"{label}: its marker has no meaning here; it is taken to hold", line)
            return True
        if len(set(held.values())) > 1:
            self._note("python-patch", f"{label}: depends on the patch release of Python {self._target.python}", line)
        return any(held.values())

    def _evaluate(self, marker: Marker, patch: int, extras: set[str]) -> bool:
        environment = self._target.markers(patch)
        return any(marker.evaluate({**environment, "extra": extra}) for extra in sorted(extras))

    def _note_legacy(self, distribution: Distribution, text: str, requirement: Requirement | None) -> None:
        rest = f"only that {requirement.name} is there is checked" if requirement else "it is passed over"
        message = (
            f"{distribution.name} {distribution.version} requires {shown(text[:200])}, which no standard reads: {rest}"
        )
        self._notes.setdefault(Note("dependency-legacy", message))

    def _note(self, code: str, message: str, line: Line) -> None:
        self._notes.setdefault(Note(code, message, line.file, line.line))


def _part(requirement: Requirement) -> str:
    extras = ",".join(sorted({canonicalize_name(extra) for extra in requirement.extras}))
    return canonicalize_name(requirement.name) + (f"[{extras}]" if extras else "")
