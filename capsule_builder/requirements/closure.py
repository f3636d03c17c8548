"""Whether distributions satisfy requirements, over the whole closure, for the target; all failures, not the first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from capsule_builder.paths import shown
from capsule_builder.requirements.distributions import Distribution
from capsule_builder.requirements.lines import Line, Note, Requirements
from capsule_builder.requirements.mismatch import mismatch
from capsule_builder.requirements.origins import differs
from capsule_builder.requirements.references import MAX_TEXT
from capsule_builder.requirements.report import Failure, Report
from capsule_builder.requirements.target import Target
from capsule_builder.requirements.walk import Edge, Walk


def verify(distributions: Iterable[Distribution], requirements: Requirements, target: Target) -> Report:
    """Judge ``distributions`` (an environment, or a set of wheels) by ``requirements``; the order of either is nothing.

    A version is compared as the fact that it is: a pre-release that is there counts for ``>=1`` where it would not have
    been chosen. The codes of failures begin with ``requirement-``, ``constraint-`` and ``distribution-``.
    """
    return _Verification(distributions, requirements, target).report()


class _Verification:
    def __init__(self, distributions: Iterable[Distribution], requirements: Requirements, target: Target) -> None:
        self.requirements = requirements
        self.target = target
        self.found: dict[str, list[Distribution]] = defaultdict(list)
        for item in sorted(distributions, key=lambda item: (item.name, Version(item.version), item.where)):
            self.found[item.name].append(item)
        self.walk = Walk(requirements, target, lambda edge: next(iter(self.found.get(edge.name, ())), None))
        self.constraints = _by_name(self.walk.lines(requirements.constraints))
        self.roots = _by_name(self.walk.lines(requirements.roots))
        self.reached: dict[str, Edge] = {}
        self.failures: list[Failure] = []
        self.notes: list[Note] = list(requirements.notes)

    def report(self) -> Report:
        for edge, distribution in self.walk.edges():
            if distribution is None:
                self.fail(
                    "requirement-missing",
                    f"{edge.name} is missing: {edge.asked}",
                    edge,
                    "Add it to what is installed, or to the lock.",
                )
                continue
            if edge.name not in self.reached:
                self.reached[edge.name] = edge
                self.check_constraints(edge, distribution)
                self.check_hashes(edge, distribution)
            self.check_edge(edge, distribution)
        for name, items in self.found.items():
            self.check_distributions(name, items)
        self.note_pins()
        self.note_origins()
        return Report(
            failures=tuple(dict.fromkeys(self.failures)),
            notes=tuple(dict.fromkeys([*self.notes, *self.walk.notes])),
            passengers=tuple(sorted(self.found.keys() - self.reached.keys())),
            checked=sum(len(items) for items in self.found.values()),
        )

    def check_edge(self, edge: Edge, distribution: Distribution) -> None:
        """What one line or dependency asks of what was found: its version, its origin, its extras."""
        called = f"{distribution.name} {distribution.version}"
        if not edge.requirement.specifier.contains(distribution.version, prereleases=True):
            self.fail(
                "requirement-version",
                f"{called} does not satisfy {edge.asked}",
                edge,
                f"Lock a version of {distribution.name} that does, or change what requires it.",
            )
        if edge.requirement.url is not None:
            self.check_origin("requirement-url", edge, distribution, edge.requirement.url)
        if distribution.extras is None:
            return
        for extra in sorted(edge.extras - set(distribution.extras)):
            message = f"{called} has no extra '{extra}'"
            if len(edge.path) > 1:  # dropped by a newer release: nobody here can mend it, and installers pass over it
                self.note("extra-unknown", f"{message} ({' -> '.join(edge.path)})", edge.line)
            else:
                extras = ", ".join(distribution.extras) or "none"
                self.fail("requirement-extra", message, edge, f"Its extras are: {extras}.")

    def check_constraints(self, edge: Edge, distribution: Distribution) -> None:
        for line in self.constraints.get(edge.name, ()):
            if not line.requirement.specifier.contains(distribution.version, prereleases=True):
                self.fail(
                    "constraint-version",
                    f"{distribution.name} {distribution.version} does not satisfy the constraint"
                    f" {shown(line.text)} of {shown(line.file)}:{line.line}",
                    edge,
                    "Lock a version that does, or change the constraint.",
                )
            if line.requirement.url is not None:
                self.check_origin("constraint-url", edge, distribution, line.requirement.url)

    def check_origin(self, code: str, edge: Edge, distribution: Distribution, url: str) -> None:
        called = f"{distribution.name} {distribution.version}"
        try:
            difference = differs(distribution, url)
        except LookupError:
            self.note(f"{code.partition('-')[0]}-unverifiable", f"{called}: where it came from is not known", edge.line)
            return
        if difference:
            self.fail(code, f"{called} is not what the URL names: {difference}", edge, "Install it from that URL.")

    def check_hashes(self, edge: Edge, distribution: Distribution) -> None:
        if distribution.sha256 is None or not self.requirements.is_hashed:
            return
        called, known = f"{distribution.name} {distribution.version}", f"sha256:{distribution.sha256.lower()}"
        locked = [line for line in self.locked(edge.name) if line.locks]
        if not locked:
            self.fail(
                "requirement-unhashed",
                f"{called} is not locked by a hash",
                edge,
                "When one requirement has --hash, all that is required must. Lock all of them anew.",
            )
        for line in locked:
            if known not in line.locks:
                has_sha256 = any(value.startswith("sha256:") for value in line.locks)
                self.failures.append(
                    Failure(
                        "requirement-hash",
                        f"{called} has another hash than its line: {known}",
                        (distribution.name,),
                        line.file,
                        line.line,
                        "Find out where the other file came from before you add its hash to the lock."
                        if has_sha256
                        else "Add the SHA-256 to the line: it is the hash that is compared.",
                    )
                )

    def check_distributions(self, name: str, items: Sequence[Distribution]) -> None:
        """What holds for each distribution by itself, required or not: all of them are shipped."""
        edge = self.reached.get(name)
        if len(items) > 1:
            places = ", ".join(
                shown(f"{item.version} ({item.where})" if item.where else item.version) for item in items
            )
            self.fail(
                "distribution-duplicate", f"{name} is there {len(items)} times: {places}", edge, "Keep one.", name
            )
        for item in items:
            called = f"{item.name} {item.version}"
            self.check_python(called, item, edge)
            if item.tags and (found := mismatch(item.tags, self.target)):
                message = f"{called} does not run on the target: it {found.reason}"
                self.fail("distribution-tags", message, edge, found.remedy, name)

    def check_python(self, called: str, item: Distribution, edge: Edge | None) -> None:
        text = item.requires_python
        if not text:
            return
        try:
            specifier = SpecifierSet(text if len(text) <= MAX_TEXT else "(too long)")
        except InvalidSpecifier:
            message = f"{called} requires Python {shown(text[:80])}, which no standard reads: it is passed over"
            self.notes.append(Note("dependency-legacy", message))
            return
        python = self.target.python
        fits = [
            specifier.contains(f"{python}.{patch}", prereleases=True) for patch in self.target.patches(str(specifier))
        ]
        message = f"{called} needs Python {shown(text)}, and the target is Python {python}"
        if not any(fits):
            self.fail("distribution-python", message, edge, f"Lock a version that supports Python {python}.", item.name)
        elif not all(fits):
            self.notes.append(Note("python-patch", f"{message}: depends on its patch release"))

    def locked(self, name: str) -> list[Line]:
        return [*self.roots.get(name, ()), *self.constraints.get(name, ())]

    def note_pins(self) -> None:
        for name, lines in self.roots.items():
            if not any(line.is_pinned for line in self.locked(name)):
                for line in lines:
                    self.note("requirement-unpinned", f"{shown(line.text)} names no exact version", line)

    def note_origins(self) -> None:
        unknown = [name for name in self.reached if self.found[name][0].sha256 is None]
        if unknown and self.requirements.is_hashed:
            count = f"{len(unknown)} distribution{'' if len(unknown) == 1 else 's'}"
            self.notes.append(
                Note(
                    "origin-unproven",
                    f"origin unproven: hashes cannot be compared for {count},"
                    " because what is installed does not keep its wheel's",
                )
            )

    def fail(self, code: str, message: str, edge: Edge | None, remedy: str, name: str = "") -> None:
        """Record a failure; ``edge`` leads to it, or else it is about the passenger ``name``."""
        if edge is None:
            self.failures.append(Failure(code, message, (name,), remedy=remedy))
        else:
            self.failures.append(Failure(code, message, edge.path, edge.line.file, edge.line.line, remedy))

    def note(self, code: str, message: str, line: Line) -> None:
        self.notes.append(Note(code, message, line.file, line.line))


def _by_name(lines: Iterable[Line]) -> dict[str, list[Line]]:
    grouped: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        grouped[line.name].append(line)
    return grouped
