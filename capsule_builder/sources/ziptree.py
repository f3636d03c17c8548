"""A ZIP as a source: the tree that it holds, under the same rules as a directory, without being unpacked."""

from __future__ import annotations

import contextlib
import itertools
import stat
from contextlib import AbstractContextManager

from capsule_builder.archive.zip import ZipMember, ZipReader
from capsule_builder.entries import Opened
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import MANIFEST_NAME, shown
from capsule_builder.sources.files import MANIFEST_ENOUGH, special_file
from capsule_builder.sources.ignore import IGNORE_NAME, VENV, VENV_MARK, IgnoreRules, ignore_link, ignore_text
from capsule_builder.sources.survey import Survey
from capsule_builder.sources.tree import Tree


class ZipTree(Tree):
    """What a ZIP holds, open until :meth:`close`.

    ``members`` has what lies at each path (a directory's ends in ``/``). ``only_top`` is the name of the one directory
    that holds everything, when there is one and no ``capsule.yml`` beside it: a directory too many, most likely.
    """

    __slots__ = ("members", "only_top", "reader")

    def __init__(
        self, root: str, found: Survey, reader: ZipReader, members: dict[str, ZipMember], only_top: str | None
    ) -> None:
        super().__init__(root, found)
        self.reader = reader
        self.members = members
        self.only_top = only_top

    def opened(self, path: str) -> AbstractContextManager[Opened]:
        """The file ``path``; see :meth:`Tree.opened`. What is deflated in the ZIP is given as ``Deflated``."""
        return contextlib.nullcontext(self.members[path].content())

    def close(self) -> None:
        """Closes the ZIP."""
        self.reader.close()

    def manifest(self) -> bytes:
        """The bytes of the ``capsule.yml`` in the ZIP; of one that is far too long, the first ones.

        Raises:
            CapsuleError: there is none, or it is not a file, or damaged.
        """
        member = self.members.get(MANIFEST_NAME)
        if member is None:
            remedy = "Put it at the top of the ZIP, or name the application's manifest with --manifest."
            if self.only_top:
                remedy = f"Everything lies below {shown(self.only_top)}/: build with --strip-components 1."
            message = f"Manifest not found: {MANIFEST_NAME} in {shown(self.root)}"
            raise refusal("manifest-missing", message, remedy)
        if member.kind != "file":
            raise CapsuleError([special_file(MANIFEST_NAME, stat.S_IFLNK, "Put a file in its place.")])
        data = bytearray()
        for chunk in member.content().chunks():
            data += chunk
            if len(data) > MANIFEST_ENOUGH:
                break
        return bytes(data)


def scan_zip(path: str, strip_components: int = 0) -> tuple[ZipTree, list[Problem]]:
    """Reads the ZIP ``path`` with the ``.capsuleignore`` files in it; gives what fits in a capsule, and what does not.

    As many leading parts as ``strip_components`` says are taken off each name, as tar does it: what has no more parts
    is left out. All else is as for a directory: what lies at ``capsule.yml`` is not looked at, and below ``venv/``,
    if that is a virtual environment, no rule applies, and neither names nor links are judged. The tree is to be closed.

    Raises:
        CapsuleError: the ZIP is refused, or nothing is left of it.
    """
    reader = ZipReader(path)
    try:
        members, problems = _stripped(reader, strip_components)
        walk = _Walk(members)
        walk.run()
    except BaseException:
        reader.close()
        raise
    found = walk.found
    only_top = _only_top(members)
    return ZipTree(path, found, reader, members, only_top), problems + found.all_problems()


def _stripped(reader: ZipReader, count: int) -> tuple[dict[str, ZipMember], list[Problem]]:
    """What lies where, without the first ``count`` parts of each name; and what lies where something else does."""
    if not count:
        return {member.name: member for member in reader.members}, []
    members: dict[str, ZipMember] = {}
    problems: list[Problem] = []
    for member in reader.members:
        name = member.name.split("/", count)[-1] if member.name.count("/") >= count else ""
        if not name:
            continue
        other = members.setdefault(name, member)
        if other is not member and member.kind != "directory":
            problems.append(_conflict(name, other, member))
    for name, after in itertools.pairwise(sorted(members, key=_below_comes_next)):
        if not name.endswith("/") and after.startswith(name + "/"):
            problems.append(_conflict(name, members[name], members[after]))
    if not members:
        message = f"Nothing is left of {shown(reader.label)} without the first {count} parts of each name"
        raise refusal("strip-nothing", message, "Give --strip-components a smaller number.")
    return members, problems


def _conflict(path: str, one: ZipMember, other: ZipMember) -> Problem:
    message = f"Two entries for {shown(path)}: {shown(one.name)} and {shown(other.name)}"
    return Problem("strip-conflict", message, "Give --strip-components a smaller number, or leave one out of the ZIP.")


def _only_top(members: dict[str, ZipMember]) -> str | None:
    tops = {name.partition("/")[0] for name in members}
    return tops.pop() if len(tops) == 1 and all("/" in name for name in members) else None


def _below_comes_next(name: str) -> str:
    return name.replace("/", "\0")  # no name holds a NUL


class _Walk:
    def __init__(self, members: dict[str, ZipMember]) -> None:
        self.found = Survey()
        self._members = members

    def run(self) -> None:
        above: list[tuple[str, IgnoreRules | None]] = [("", self._rules("", self.found.rules.top))]
        ordered = sorted(self._members, key=_below_comes_next)
        for path, after in itertools.zip_longest(ordered, ordered[1:], fillvalue=""):
            while not path.startswith(above[-1][0]):
                above.pop()
            base, rules = above[-1]
            slash = path.find("/", len(base))
            while slash >= 0:
                base = path[: slash + 1]
                rules = self._directory(base, rules) if rules else None
                above.append((base, rules))
                slash = path.find("/", slash + 1)
            if rules and path != base:
                self._item(path, rules)
            elif rules and not after.startswith(path):
                self.found.empty.append(path.removesuffix("/"))

    def _directory(self, base: str, outer: IgnoreRules) -> IgnoreRules | None:
        """The rules in the directory ``base``; None when nothing of it is taken in."""
        path = base.removesuffix("/")
        if path.rpartition("/")[2] == IGNORE_NAME and not self.found.rules.exempt(path):
            self.found.problems.append(special_file(path, stat.S_IFDIR))
        return self._rules(base, outer) if self.found.admits(path, outer, directory=True) else None

    def _rules(self, base: str, outer: IgnoreRules) -> IgnoreRules:
        mark = self._members.get(VENV_MARK) if base == VENV else None
        if mark and mark.kind == "file":
            return self.found.rules.exempt_venv()
        path = base + IGNORE_NAME
        if path in self._members and not self.found.rules.exempt(base):
            try:
                if self._members[path].kind == "symlink":
                    raise ignore_link(path)
                return self.found.rules.add(base, outer, ignore_text(self._members[path].read(), path))
            except CapsuleError as error:
                self.found.problems += error.problems
        return outer

    def _item(self, path: str, rules: IgnoreRules) -> None:
        member = self._members[path]
        if not self.found.admits(path, rules, directory=False):
            return
        if member.kind == "file":
            self.found.files.append(path)
            self.found.size += member.size
            return
        try:
            self.found.links[path] = member.target()
        except CapsuleError as error:
            self.found.problems += error.problems
