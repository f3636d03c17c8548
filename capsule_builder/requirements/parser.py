"""Requirements files, followed through ``-r`` and ``-c``; every problem in them is collected and raised once."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import shown
from capsule_builder.requirements.dialect import OF_A_LINE, VARIABLE, decode, logical_lines, split_options
from capsule_builder.requirements.lines import Line, Note, Option, Requirements
from capsule_builder.requirements.references import read_requirement

Read = Callable[[str], bytes]

_MAX_DEPTH = 50
_HASH = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")


def read_requirements(path: str, read: Read) -> Requirements:
    """The requirements of the file at ``path`` and of those that it names.

    ``read`` gives a file's bytes; it is asked for POSIX paths (``-r ../base.txt`` in ``app/all.txt`` is ``base.txt``)
    and decides what may be read: one that leads out with ``..`` is asked for like any other.

    Raises:
        CapsuleError: ``requirements-…`` for what is wrong with a file or an option, ``requirement-…`` for a line.
    """
    reader = _Reader(read)
    reader.follow(path, is_constraint=False, above=(), asked="")
    if reader.problems:
        raise CapsuleError(reader.problems)
    return Requirements(tuple(reader.lines), tuple(reader.options), tuple(reader.notes))


class _Reader:
    def __init__(self, read: Read) -> None:
        self.read = read
        self.lines: list[Line] = []
        self.options: list[Option] = []
        self.notes: list[Note] = []
        self.problems: list[Problem] = []
        self.done: set[tuple[str, bool]] = set()

    def follow(self, path: str, *, is_constraint: bool, above: tuple[str, ...], asked: str) -> None:
        """Read one file; ``above`` are the files that led here, ``asked`` is the line (``a.txt:3: ``) that named it."""
        if path in above:
            chain = " -> ".join(shown(part) for part in (*above, path))
            self._refuse(
                "requirements-cycle", f"{asked}files name each other in a circle: {chain}", "Break the circle."
            )
            return
        if (path, is_constraint) in self.done:
            return  # named twice: its lines would only be the same again
        self.done.add((path, is_constraint))
        if len(above) >= _MAX_DEPTH:
            self._refuse("requirements-nesting", f"{asked}files are nested more than {_MAX_DEPTH} deep", "Join some.")
            return
        text = self._text(path, asked)
        for number, line in logical_lines(text or ""):
            self._line(path, number, line, is_constraint, (*above, path))

    def _text(self, path: str, asked: str) -> str | None:
        try:
            return decode(self.read(path))
        except FileNotFoundError:
            self._refuse(
                "requirements-missing",
                f"{asked}no such requirements file: {shown(path)}",
                "Paths are relative to the file that names them.",
            )
        except OSError as error:
            self._refuse("requirements-read", f"{asked}cannot read {shown(path)}: {error.strerror or error}")
        except CapsuleError as error:
            self.problems.extend(error.problems)
        except ValueError as error:
            self._refuse(
                "requirements-encoding", f"{asked}{shown(path)} is not text: {error}", "Save the file as UTF-8."
            )
        return None

    def _line(self, file: str, number: int, line: str, is_constraint: bool, files: tuple[str, ...]) -> None:
        at = f"{shown(file)}:{number}: "
        if variable := VARIABLE.search(line):
            self._refuse(
                "requirements-variable",
                f"{at}uses a variable of the environment: {variable[0]}",
                "What is built must not depend on the environment. Write the value itself, without secrets.",
            )
            return
        try:
            text, options = split_options(line)
        except ValueError as error:
            self._refuse("requirements-option", f"{at}{shown(str(error))}", "Use the options of pip's file format.")
            return
        if text:
            self._requirement(file, number, text, options, is_constraint)
        else:
            self._option_line(file, number, options, files)

    def _option_line(self, file: str, number: int, options: list[tuple[str, str]], files: tuple[str, ...]) -> None:
        at = f"{shown(file)}:{number}: "
        for name, value in options:
            if name == "--editable":
                self._refuse(
                    "requirement-editable",
                    f"{at}an editable install cannot be shipped: {shown(value)}",
                    "Build a wheel of it and name that, or give its files to the capsule as sources.",
                )
            elif name in OF_A_LINE:
                self._refuse(
                    "requirements-option", f"{at}{name} stands alone", "Put it on the line of its requirement ('\\')."
                )
            elif name in {"--requirement", "--constraint"}:
                if len(options) > 1:
                    self._refuse("requirements-option", f"{at}{name} shares its line", "Give each file its own line.")
                    return
                if re.match(r"[a-z][a-z0-9+.-]*:", value, re.I):
                    self._refuse(
                        "requirements-remote",
                        f"{at}names a file by its URL: {shown(value)}",
                        "Keep a copy of the file beside this one, so that every build reads the same.",
                    )
                    return
                # -r in a constraints file gives requirements, as it does in pip.
                path = posixpath.normpath(posixpath.join(posixpath.dirname(file), value))
                self.follow(path, is_constraint=name == "--constraint", above=files, asked=at)
            else:
                self._record(file, number, name, value)

    def _requirement(
        self, file: str, number: int, text: str, options: list[tuple[str, str]], is_constraint: bool
    ) -> None:
        at, before = f"{shown(file)}:{number}: ", len(self.problems)
        hashes = [value.lower() for name, value in options if name == "--hash"]
        for value in hashes:
            if not _HASH.fullmatch(value):
                self._refuse(
                    "requirement-hash-format",
                    f"{at}not a hash: {shown(value[:80]) or '(empty)'}",
                    "Write --hash=sha256: and 64 hex digits.",
                )
        for name, value in options:
            if name not in OF_A_LINE:
                self._refuse("requirements-option", f"{at}{name} is no option of a line", "Give it a line of its own.")
            elif name != "--hash":
                self._record(file, number, name, value)
        try:
            requirement = read_requirement(text)
        except CapsuleError as error:
            for problem in error.problems:
                self._refuse(problem.code, f"{at}{problem.message}", problem.remedy)
            return
        if is_constraint and requirement.extras:
            self._refuse(
                "constraint-extras",
                f"{at}a constraint with extras: {shown(text)}",
                f"Constrain {requirement.name} alone, and ask for its extras in the requirements.",
            )
        if len(self.problems) == before:
            self.lines.append(Line(file, number, text, requirement, tuple(hashes), is_constraint))

    def _record(self, file: str, number: int, name: str, value: str) -> None:
        self.options.append(Option(file, number, name, value))
        if name == "--no-binary" and value != ":none:":
            text = f"--no-binary {shown(value)} is not followed: capsules are made of wheels, wherever these were built"
            self.notes.append(Note("option-no-binary", text, file, number))
        elif name in OF_A_LINE:
            text = f"{name} is not followed: it is for building from source"
            self.notes.append(Note("option-build", text, file, number))

    def _refuse(self, code: str, message: str, remedy: str = "") -> None:
        self.problems.append(Problem(code, message, remedy))
