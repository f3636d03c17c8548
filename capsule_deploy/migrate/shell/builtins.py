"""What a shell does itself: changes its directory, sets variables, reads other scripts in, asks about files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from capsule_deploy.migrate.model import Origin, Variable
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.shell.conditions import holds
from capsule_deploy.migrate.shell.expansion import assignment, one
from capsule_deploy.migrate.shell.scene import MAX_NESTED, Scene, Trace
from capsule_deploy.migrate.shell.syntax import Step, parse
from capsule_deploy.migrate.shell.tokens import NotUnderstoodError, Word


class Ended(Exception):
    """``exec`` or ``exit``: nothing comes after."""


class Builtins:
    """The shell's own commands; ``follow`` goes through the steps of a script that is read in."""

    def __init__(self, places: Places, trace: Trace, follow: Callable[[Sequence[Step], Scene], bool | None]) -> None:
        self._places = places
        self._trace = trace
        self._follow = follow

    def run(self, name: str, words: Sequence[Word], scene: Scene, origin: Origin) -> bool | None:
        """Does what the command :data:`NAMES` has does to the scene; gives whether it succeeds, None for unknown.

        Raises:
            NotUnderstoodError: only a run can tell what it does.
            Ended: it is the script's last one.
        """
        return _HANDLERS[name](self, words, scene, origin)

    def assign(self, name: str, variable: Variable | None, scene: Scene, *, export: bool) -> None:
        """Sets a variable; with None, to what only a run can tell."""
        if not export:
            scene.own[name] = variable
            return
        scene.own.pop(name, None)
        if variable is None:
            scene.exported.pop(name, None)
            scene.own[name] = None
            message = f"{name} gets a value that only a run can tell."
            line = scene.origin(0)
            self._trace.left("substitution", name, message, "Write its value into env of the manifest.", line)
        else:
            scene.exported[name] = variable

    def _cd(self, words: Sequence[Word], scene: Scene, origin: Origin) -> bool | None:
        targets = [text for word in words if (text := one(word, scene)) is None or not text.startswith("-")]
        target = targets[0] if targets else "~"
        if target is None or target.startswith("~"):
            home = scene.exported.get("HOME")
            if target is None or home is None or target not in ("~",):
                raise NotUnderstoodError(origin.line, "a directory that only a run can tell")
            target = home.value
        if not target.startswith("/") and scene.cwd is None:
            raise NotUnderstoodError(origin.line, "a directory below one that nobody knows")
        scene.cwd = posixpath.normpath(posixpath.join(scene.cwd or "/", target))
        return True

    def _export(self, words: Sequence[Word], scene: Scene, origin: Origin) -> bool | None:
        for word in words:
            found = assignment(word)
            if found:
                text = one(found[1], scene)
                self.assign(found[0], None if text is None else Variable(text, origin), scene, export=True)
            elif (plain := word.plain) and not plain.startswith("-") and plain in scene.own:
                self.assign(plain, scene.own[plain], scene, export=True)
        return True

    def _unset(self, words: Sequence[Word], scene: Scene, _origin: Origin) -> bool | None:
        for word in words:
            scene.own.pop(word.plain or "", None)
            scene.exported.pop(word.plain or "", None)
        return True

    def _set(self, words: Sequence[Word], scene: Scene, origin: Origin) -> bool | None:
        for word in words:
            plain = word.plain or ""
            if plain == "--":
                raise NotUnderstoodError(origin.line, "set with new arguments")
            if re.fullmatch("[-+][a-z]*a[a-z]*", plain):
                scene.export_all = plain.startswith("-")
        if [word.plain for word in words[1:]] == ["allexport"]:
            scene.export_all = words[0].plain == "-o"
        return True

    def _source(self, words: Sequence[Word], scene: Scene, origin: Origin) -> bool | None:
        target = one(words[0], scene) if words else None
        if target is None or (not target.startswith("/") and scene.cwd is None):
            raise NotUnderstoodError(origin.line, "a script that is read in, and only a run can tell which")
        path = posixpath.normpath(posixpath.join(scene.cwd or "/", target))
        if path.endswith("/bin/activate"):
            scene.venv = posixpath.dirname(posixpath.dirname(path))
            message = "Programs of the environment are called by their path; nothing is activated."
            self._trace.changed("activate", target, message, origin)
            return True
        if path in scene.reading:
            raise NotUnderstoodError(origin.line, f"a script that reads itself in, by {target}")
        if len(scene.reading) >= MAX_NESTED:
            raise NotUnderstoodError(origin.line, "scripts read in one by another, too many deep")
        here = self._places.here(path)
        if not self._places.is_file(here):
            self._trace.left("source-missing", target, "The script reads in a file that is not there.", "", origin)
            return False
        name = self._places.shown(here)
        text = self._places.text(here)
        self._trace.read.setdefault(name)
        inner = replace(scene, file=name, lines=text.split("\n"), reading=(*scene.reading, path))
        try:
            self._follow(parse(text), inner)
        except NotUnderstoodError as error:
            raise NotUnderstoodError(origin.line, f"{error.message} ({name}, line {error.line})") from None
        scene.cwd, scene.venv, scene.export_all = inner.cwd, inner.venv, inner.export_all
        return True

    def _test(self, words: Sequence[Word], scene: Scene, _origin: Origin) -> bool | None:
        texts = [one(word, scene) for word in words]
        if texts and texts[-1] == "]":
            texts.pop()
        if None in texts:
            return None
        return holds([text for text in texts if text is not None], scene, self._places)

    def _exit(self, _words: Sequence[Word], _scene: Scene, _origin: Origin) -> bool | None:
        raise Ended

    def _limit(self, _words: Sequence[Word], _scene: Scene, origin: Origin) -> bool | None:
        message = "The manifest has no such limit."
        self._trace.left("limit", "ulimit", message, "Bound the release by resources in the manifest.", origin)
        return True

    def _umask(self, _words: Sequence[Word], _scene: Scene, origin: Origin) -> bool | None:
        message = "The template unit has its own file mode mask, 0077."
        self._trace.changed("hardening", "umask", message, origin)
        return True


_HANDLERS: dict[str, Callable[[Builtins, Sequence[Word], Scene, Origin], bool | None]] = {
    **dict.fromkeys(("cd", "pushd"), Builtins._cd),
    **dict.fromkeys(("export", "declare", "typeset", "readonly"), Builtins._export),
    **dict.fromkeys(("source", "."), Builtins._source),
    **dict.fromkeys(("[", "test"), Builtins._test),
    "unset": Builtins._unset,
    "set": Builtins._set,
    "exit": Builtins._exit,
    "ulimit": Builtins._limit,
    "umask": Builtins._umask,
}

NAMES = frozenset(_HANDLERS)
"""The commands that :meth:`Builtins.run` knows."""
