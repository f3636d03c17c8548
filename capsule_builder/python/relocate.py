"""A finished virtual environment as packages: what it is made of, free of the place where it lies.

It is read and never changed: its files may be links into an installer's cache. Whatever can be made anew is dropped,
so that environments by ``venv``, virtualenv and uv, and the wheels themselves, all give the same packages.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import shown
from capsule_builder.python import editables, furniture, prefixes, scripts, venv_config
from capsule_builder.python.editables import NO_EDITABLE
from capsule_builder.python.identity import identify
from capsule_builder.python.installed import AGAIN, DistInfo, Installed, survey
from capsule_builder.python.layout import Layout
from capsule_builder.python.leftovers import Leftovers
from capsule_builder.python.package import Origin, Package, PackageFile, is_dropped, place_of
from capsule_builder.python.record import Row
from capsule_builder.python.seeds import SEEDS
from capsule_builder.python.tree import VenvTree, head, read, size
from capsule_builder.python.venv_config import Value

_SHOWN = 10
_TWINS = {"lib": "lib64", "lib64": "lib"}
_LIBRARY = re.compile(r"lib(64)?/[a-z]+[0-9]+\.[0-9]+t?/")


@dataclass(frozen=True, slots=True)
class Relocated:
    """A relocated environment: ``python`` is its minor version ("3.11").

    ``packages`` and ``distributions`` go together and are sorted by name. ``leftovers`` and ``warnings`` grow while the
    packages' contents are read: whatever ``leftovers`` holds then must be refused.
    """

    python: str
    packages: list[Package]
    distributions: list[DistInfo]
    warnings: list[Problem]
    leftovers: list[Problem]


def relocate(tree: VenvTree, python: str | None, build_prefixes: Iterable[str] = ()) -> Relocated:
    """Reads a finished environment.

    ``python`` is the minor version that the manifest names, if it names one; ``build_prefixes`` are the absolute paths
    by which the environment can be reached now: none when it is in a ZIP.

    Raises:
        CapsuleError: it cannot be moved, or nobody can tell what belongs to it; all reasons at once.
    """
    config = venv_config.parse(read(tree, venv_config.NAME)) if venv_config.NAME in tree.files else {}
    version, problems = identify(tree, config, python)
    if version is None:
        raise CapsuleError(problems)
    layout = Layout(version)
    found = survey(tree, layout)
    warnings: list[Problem] = []
    leftovers = Leftovers(_needles(tree, config, build_prefixes), warnings)
    relocation = _Relocation(tree, layout, leftovers, warnings)
    relocation.problems += [*problems, *found.problems]
    relocation.take_distributions(found.distributions)
    relocation.refuse_editables(found.distributions)
    relocation.refuse_links()
    relocation.refuse_unowned(found.unproven)
    if relocation.problems:
        raise CapsuleError(relocation.problems)
    packages = [relocation.packages[one.name] for one in found.distributions]
    order = sorted(range(len(packages)), key=lambda index: packages[index].name)
    return Relocated(
        version,
        [packages[index] for index in order],
        [found.distributions[index].info for index in order],
        warnings,
        leftovers.problems,
    )


def _needles(tree: VenvTree, config: Mapping[str, Value], build_prefixes: Iterable[str]) -> tuple[bytes, ...]:
    """The spellings of every place that the environment is known to have lain at."""
    activates = [read(tree, path) for path in tree.files if furniture.ACTIVATE.match(path)]
    programs = [
        head(tree, path, prefixes.HEAD_SIZE)
        for path in tree.files
        if posixpath.dirname(path) == "bin"
        and not (furniture.INTERPRETER.match(path) or furniture.ACTIVATE.match(path))
    ]
    known = {posixpath.normpath(prefix) for prefix in build_prefixes}
    known |= prefixes.candidates(config, activates, programs)
    return prefixes.spellings(filter(prefixes.is_telling, known))


@dataclass(slots=True)
class _Relocation:
    """Gives every file its owner, and notes what stands in the way."""

    tree: VenvTree
    layout: Layout
    leftovers: Leftovers
    warnings: list[Problem]
    packages: dict[str, Package] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _owners: dict[str, Installed] = field(default_factory=dict)  # by the paths as they lie there, dropped ones too
    _judged: set[str] = field(default_factory=set)  # without an owner, and refused for what they are
    _places: dict[str, tuple[Installed, object]] = field(default_factory=dict)  # by places in the capsule

    def take_distributions(self, distributions: Iterable[Installed]) -> None:
        """Makes packages of them; what their RECORDs name must be there."""
        for one in distributions:
            self.packages[one.name] = self._package(one)

    def _package(self, one: Installed) -> Package:
        package = Package(one.name, one.version, one.label, one.dist_info, entry_points=one.entry_points)
        programs = {f"bin/{point.name}": point for point in one.entry_points}
        for program, point in programs.items():
            self._owners.setdefault(program, one)
            self._place(program, one, (point.module, point.attribute), program)
            if program not in one.rows and one.name not in SEEDS:  # as their own installers put them there
                message = f"{one.label}: RECORD does not name {shown(program)}, which entry_points.txt declares"
                self.problems.append(Problem("record-unnamed", message, AGAIN))
        missing: list[str] = []
        for path, row in one.rows.items():
            source = self._as_it_lies(path)
            self._owners[path] = self._owners[source] = one
            if path in programs or furniture.is_made_by_pip(path, one.name):
                continue
            place = place_of(path, one.name, self.layout)
            if is_dropped(place, f"{self.layout.site}/{one.dist_info}") or path in self.tree.links:
                continue
            if source not in self.tree.files:
                if not path.endswith((".pyc", "/__pycache__")):  # as virtualenv records what it seeds
                    missing.append(path)
                continue
            if self._place(place, one, row, source):
                package.files[place] = PackageFile(self._origin(source), row)
            if path.endswith(".pyc") and source[:-1] not in self.tree.files:
                message = f"{one.label}: is bytecode without its source: {shown(path)}"
                remedy = "It may hold the place where it was built, and fits one minor version of Python alone."
                self.warnings.append(Problem("venv-sourceless", message, remedy))
        if missing:
            message = (
                f"{one.label}: RECORD names {_count(missing, 'file')} that {_are(missing)} not there: {_some(missing)}"
            )
            self.problems.append(Problem("record-missing", message, AGAIN))
        return package

    def _place(self, place: str, one: Installed, what: object, source: str) -> bool:
        """Whether the distribution may have this place in the capsule; others may have it for the same content.

        ``what`` is a row, or what a program calls; ``source`` is the path of the file as the tree has it.
        """
        other, already = self._places.setdefault(place, (one, what))
        agreed = already == what
        if isinstance(already, Row) and isinstance(what, Row):
            agreed = already.says_as(what) or (other is not one and self._is_both(source, already, what))
        if not agreed:
            message = f"{other.label} and {one.label}: both own {shown(place)}, and not the same"
            if other is one:
                message = f"{one.label}: two of its files have one place: {shown(place)}"
            remedy = "Uninstall one of them; the one that came last has overwritten the other's file."
            self.problems.append(Problem("package-collision", message, remedy))
        return agreed

    def _is_both(self, path: str, *rows: Row) -> bool:
        """Whether a file is what rows of different algorithms say; that of a row without a hash is told elsewhere."""
        if len({row.algorithm for row in rows}) < len(rows):
            return False
        digests = [(row.digest, hashlib.new(row.algorithm)) for row in rows if row.algorithm]
        with self.tree.origin(path).opened() as content:
            for chunk in content.chunks():
                for _, digest in digests:
                    digest.update(chunk)
        return all(digest.digest() == said for said, digest in digests)

    def _as_it_lies(self, path: str) -> str:
        """The path of a file as the tree has it: ``lib64`` and ``lib`` are one directory, or were before a copy."""
        head, _, rest = path.partition("/")
        twin = f"{_TWINS.get(head, head)}/{rest}"
        return twin if path not in self.tree.files and twin in self.tree.files else path

    def _origin(self, path: str) -> Origin:
        """The content of a file, watched for leftovers; of a script, its head is written anew and does not count."""
        origin = self.tree.origin(path)
        if path.startswith("bin/"):
            with origin.opened() as content:
                data = b"" if content.elf or content.size > scripts.MAX_SCRIPT else b"".join(content.chunks())
            if script := scripts.python_script(data):
                self.leftovers.search(script.text, path, max(0, len(data) - len(script.text)))
                return origin
        return self.leftovers.watched(origin, path)

    def refuse_editables(self, distributions: Iterable[Installed]) -> None:
        """Refuses what is imported from outside of the environment."""
        signs: dict[str, list[str]] = {}
        for one in distributions:
            if editables.is_editable(one.info.direct_url):
                signs.setdefault(one.label, []).append(shown(str((one.info.direct_url or {}).get("url"))))
        for path in sorted(self.tree.files):
            where, _, name = path.rpartition("/")
            if where != self.layout.site:
                continue
            is_mark, is_list = editables.is_mark(name), name.endswith(".pth")
            lines = list(editables.outward_lines(read(self.tree, path), where)) if is_list else []
            if not (lines or is_mark):
                continue
            found = [f"{shown(name)}:{line.number}: {shown(line.text)}" for line in lines] or [shown(name)]
            if path in self._owners:
                signs.setdefault(self._owners[path].label, []).extend(found)
            else:
                self._judged.add(path)
                signs.setdefault(f"{self.tree.label}/{shown(path)}", []).extend(found)
        for label, found in signs.items():
            message = f"{label}: is imported from outside of the environment (an editable install): {_some(found)}"
            self.problems.append(Problem("venv-editable", message, NO_EDITABLE))

    def refuse_links(self) -> None:
        """Refuses symbolic links, except for the environment's own: wheels have none."""
        outside: list[str] = []
        inside: list[str] = []
        for path, target in sorted(self.tree.links.items()):
            if furniture.is_furniture_link(path) or self._is_of_other_python(path):
                continue
            place = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            leaves = target.startswith("/") or place == ".." or place.startswith("../")
            (outside if leaves else inside).append(f"{path} -> {target}")
        remedy = "Copy instead of linking: 'uv sync --link-mode copy'; or remove the links."
        if outside:
            message = f"{self.tree.label}: {_count(outside, 'link')} out of the environment: {_some(outside)}"
            self.problems.append(Problem("venv-link-outside", message, remedy))
        if inside:
            message = f"{self.tree.label}: {_count(inside, 'link')} of no distribution: {_some(inside)}"
            self.problems.append(Problem("venv-link", message, remedy))

    def refuse_unowned(self, unproven: set[str]) -> None:
        """Refuses files that no RECORD names; ``unproven`` are top-level names that were complained of already."""
        infos = {f"{self.layout.site}/{package.dist_info}" for package in self.packages.values()}
        unowned: list[str] = []
        for path in sorted(self.tree.files):
            if path in self._owners or path in self._judged or self._is_of_other_python(path):
                continue
            where = posixpath.dirname(path)
            if where in infos and is_dropped(path, where):
                continue
            top = path.removeprefix(f"{self.layout.site}/").partition("/")[0]
            if not (furniture.is_furniture(path, self.layout) or self._is_copy(path) or top in unproven):
                unowned.append(path)
        if unowned:
            message = (
                f"{self.tree.label}: {_count(unowned, 'file')} {_are(unowned)} of no distribution: {_some(unowned)}"
            )
            remedy = "Install it as a package, or move it out of the environment, into the application."
            self.problems.append(Problem("venv-unowned", message, remedy))

    def _is_copy(self, path: str) -> bool:
        """Whether it is a file of ``lib64`` that ``lib`` has too: a link to a directory, as some ZIPs hold it."""
        twin = f"lib/{path[6:]}"
        if not path.startswith("lib64/") or twin not in self.tree.files:
            return False
        return size(self.tree, path) == size(self.tree, twin)

    def _is_of_other_python(self, path: str) -> bool:
        """Whether it lies in the library of another Python, for which the environment is refused as a whole."""
        return bool(_LIBRARY.match(path)) and not path.startswith(
            (f"lib/python{self.layout.python}/", f"lib64/python{self.layout.python}/")
        )


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(shown(name) for name in names[:_SHOWN]) + more


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _count(names: Sequence[str], noun: str) -> str:
    return f"1 {noun}" if len(names) == 1 else f"{len(names):,} {noun}s"
