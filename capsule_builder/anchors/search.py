"""Goes through a tree, and asks every detector about every file. Nothing is kept of a file when the next is opened."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator

from capsule_builder.anchors.compiled import Bytecode, LibraryPath, Sysconfig
from capsule_builder.anchors.installation import DirectUrl, EditableFinder, EggLink, PathLine, PyvenvKey, UvCache
from capsule_builder.anchors.model import HEAD_SIZE, Anchor, Detector, Sight, Span
from capsule_builder.anchors.places import BinaryPrefix, Link, TextPrefix
from capsule_builder.anchors.programs import Activate, Shebang, Trampoline
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import raw, shown
from capsule_builder.python import furniture, prefixes, venv_config
from capsule_builder.sources.files import open_regular, unreadable

_EXCERPT = 120


class Tree:
    """A directory to look through.

    ``files`` counts the files and links that were looked at, ``problems`` says what could not be read.
    """

    def __init__(self, root: str) -> None:
        """Looks for the environments in ``root``.

        Raises:
            CapsuleError: it is no directory.
        """
        if not os.path.isdir(root):
            raise refusal("source-missing", f"No such directory: {shown(root)}", "Name an existing one.")
        self.files = 0
        self.problems: dict[Problem, None] = {}
        self._root = root
        self._venvs = [
            posixpath.dirname(path) for path, _ in self._walk() if posixpath.basename(path) == venv_config.NAME
        ]
        places = {os.path.abspath(root), os.path.realpath(root)}
        for venv in self._venvs:
            places |= self._places(venv)
        needles = prefixes.spellings(filter(prefixes.is_telling, places))
        self._detectors: list[Detector] = [
            Shebang(), Trampoline(), Activate(needles), PyvenvKey(), DirectUrl(), UvCache(), PathLine(), EggLink(),
            EditableFinder(), Bytecode(), LibraryPath(), Sysconfig(), TextPrefix(needles), BinaryPrefix(needles),
        ]  # fmt: skip

    def anchors(self) -> Iterator[Anchor]:
        """Every anchor, one file after another, by offset."""
        link = Link()
        for path, target in self._walk():
            self.files += 1
            if target is None:
                try:
                    yield from self._in_file(path)
                except CapsuleError as error:
                    self.problems |= dict.fromkeys(error.problems)
            elif anchor := link.find(path, target):
                yield anchor

    def _in_file(self, path: str) -> Iterator[Anchor]:
        file = open_regular(self._absolute(path), path, follow=False)
        try:
            sight = Sight(path, file, os.pread(file.fd, HEAD_SIZE, 0), self._venv_of(path))
            found: list[tuple[Span, Detector]] = []
            for detector in self._detectors:
                taken = [span for span, _ in found]  # a place is of one kind: the first, which is the most particular
                spans = (span for span in detector.spans(sight) if not any(_overlap(span, other) for other in taken))
                found += [(span, detector) for span in spans]
            for span, detector in sorted(found, key=lambda item: item[0]):
                text = sight.read_at(min(span.length, _EXCERPT), span.offset).decode("utf-8", "surrogateescape")
                more = "…" if span.length > _EXCERPT else ""
                yield Anchor(path, span.offset, detector.kind, shown(text) + more, detector.remedy)
        except OSError as error:
            raise unreadable(path, error) from error
        finally:
            os.close(file.fd)

    def _places(self, venv: str) -> set[str]:
        """Where an environment lies, and where it has lain by its own account."""
        config: dict[str, venv_config.Value] = {}
        activates: list[bytes] = []
        programs: list[bytes] = []
        for path in (posixpath.join(venv, venv_config.NAME), *self._listed(posixpath.join(venv, "bin"))):
            inner = path[len(venv) + 1 :] if venv else path
            data = self._head(path, 1 << 20 if furniture.ACTIVATE.match(inner) else prefixes.HEAD_SIZE)
            if inner == venv_config.NAME:
                config = venv_config.parse(data)
            else:
                (activates if furniture.ACTIVATE.match(inner) else programs).append(data)
        return prefixes.candidates(config, activates, programs)

    def _head(self, path: str, size: int) -> bytes:
        """The first bytes of a file; none when it cannot be read, which :meth:`anchors` will say."""
        try:
            file = open_regular(self._absolute(path), path, follow=False)
        except CapsuleError:
            return b""
        try:
            return os.pread(file.fd, size, 0)
        finally:
            os.close(file.fd)

    def _listed(self, directory: str) -> list[str]:
        """The regular files directly in a directory; none when it is not there."""
        place = self._absolute(directory)
        if not os.path.isdir(place) or os.path.islink(place):
            return []
        return [path for path, target in self._in_directory(directory) if target is None and not path.endswith("/")]

    def _venv_of(self, path: str) -> str | None:
        inside = [venv for venv in self._venvs if not venv or path.startswith(f"{venv}/")]
        return max(inside, key=len, default=None)

    def _walk(self) -> Iterator[tuple[str, str | None]]:
        """Files (with None) and links (with their targets) of the tree, each directory sorted by name."""
        todo = [iter(self._in_directory(""))]
        while todo:
            path, target = next(todo[-1], ("", None))
            if not path:
                todo.pop()
            elif path.endswith("/"):
                todo.append(iter(self._in_directory(path[:-1])))
            else:
                yield path, target

    def _in_directory(self, directory: str) -> list[tuple[str, str | None]]:
        """What lies in a directory; directories end in ``/``, and what is neither file nor link is left out."""
        found: list[tuple[str, str | None]] = []
        try:
            with os.scandir(self._absolute(directory)) as items:
                for item in items:
                    path = posixpath.join(directory, item.name.decode("utf-8", "surrogateescape"))
                    if item.is_symlink():
                        found.append((path, os.readlink(item.path).decode("utf-8", "surrogateescape")))
                    elif item.is_dir():
                        found.append((f"{path}/", None))
                    elif item.is_file():
                        found.append((path, None))
        except OSError as error:
            self.problems |= dict.fromkeys(unreadable(directory or self._root, error).problems)
        return sorted(found)

    def _absolute(self, path: str) -> bytes:
        return os.path.join(os.fsencode(self._root), raw(path))


def _overlap(one: Span, other: Span) -> bool:
    return one.offset < other.offset + other.length and other.offset < one.offset + one.length
