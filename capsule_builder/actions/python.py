"""What the actions of ``capsule_python_layers`` run: ``wheel``, ``python-base`` and ``interpreter``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion

from capsule_builder.actions.params import Arguments
from capsule_builder.archive.zip import ZipReader
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import raw, shown
from capsule_builder.patterns import Patterns
from capsule_builder.python.layout import Layout
from capsule_builder.python.package import Origin, plan
from capsule_builder.python.wheel import read_wheel
from capsule_builder.requirements import Distribution, Requirements, Target, read_requirements, verify
from capsule_builder.requirements.mismatch import mismatch
from capsule_builder.sources.files import OpenFile, open_regular, sha256_of

if TYPE_CHECKING:
    from capsule_builder.python.bytecode import Compiler

Write = Callable[..., None]
"""Packs entries into the layer that the arguments name; ``verified`` as in ``write_layer``."""

Say = Callable[[str], None]


def wheel(arguments: Arguments, write: Write) -> None:
    """Packs one wheel, and writes the line of facts that :func:`base` reads.

    Raises:
        CapsuleError: the file is no wheel, is damaged, or is for another Python or platform.
    """
    target, path = _target(arguments), arguments.one("--wheel")
    name = os.path.basename(path)
    _check_tags(name, target)
    layout = Layout(target.python)
    with ZipReader(path, label=name) as reader, _compiler(arguments, target.python) as compiler:
        found = read_wheel(reader, name, layout)
        facts = Distribution.from_metadata(found.metadata, found.wheel, where=name, sha256=sha256_of(path, name))
        executables = Patterns(arguments.options["--executable"])
        write(plan(found.package, layout, compiler).entries(executables))
    with open(arguments.one("--facts"), "w", encoding="utf-8") as file:
        file.write(f"{facts.to_json()}\n")


def base(arguments: Arguments, write: Write, say: Say) -> None:
    """Packs what belongs to no wheel, once the wheels are all that the requirements ask for.

    Raises:
        CapsuleError: they are not, or two are of one distribution; every reason, at once.
    """
    target = _target(arguments)
    distributions: list[Distribution] = []
    for path in arguments.options["--facts"]:
        with open(path, encoding="utf-8") as file:
            distributions.append(Distribution.from_json(file.readline()))
    requirements, verified = _requirements(arguments)
    report = verify(distributions, requirements, target)
    if not report.ok:
        raise CapsuleError(report.problems())
    notes = [f"NOTE: {note}" for note in report.notes]
    if verified and report.passengers:
        notes.append(f"NOTE: Required by nothing: {', '.join(report.passengers)}")
    if notes:
        say("\n".join(notes))
    write(Layout(target.python).base_entries("--bundled" in arguments.options), verified=verified)


def interpreter(arguments: Arguments, write: Write, say: Say) -> None:
    """Packs an interpreter.

    Raises:
        CapsuleError: it is another Python, is not whole, or would not run elsewhere.
    """
    from capsule_builder.python.bundled import Bundled

    target = _target(arguments)
    found = Bundled(_Files(_below_root(arguments, target.python)), target)
    for warning in found.warnings:
        say(f"WARNING: {warning}")
    with _compiler(arguments, target.python) as compiler:
        write(found.entries(Patterns(arguments.options["--executable"]), compiler))


def _target(arguments: Arguments) -> Target:
    return Target.parse(arguments.one("--python"), arguments.one("--platform"))


def _check_tags(name: str, target: Target) -> None:
    try:
        tags = parse_wheel_filename(name)[3]
    except (InvalidWheelFilename, InvalidVersion):
        return  # for read_wheel to refuse
    if misfit := mismatch([str(tag) for tag in tags], target):
        raise refusal("wheel-tags", f"{shown(name)}: {misfit.reason}", misfit.remedy)


def _compiler(arguments: Arguments, python: str) -> contextlib.AbstractContextManager[Compiler | None]:
    """The interpreter of the capsule, or the builder's if there is none; nothing when nothing is to be compiled."""
    if "--bytecode" not in arguments.options:
        return contextlib.nullcontext()
    from capsule_builder.python.bytecode import find_compiler

    bundled = _below_root(arguments, python)
    return find_compiler(python, bundled.get(f"bin/python{python}"), arguments.one("--bytecode"))


def _below_root(arguments: Arguments, python: str) -> dict[str, str]:
    """The interpreter's files by their paths below its root, which is where ``bin/python3.X`` is."""
    program = f"bin/python{python}"
    files = {fields[1]: fields[0] for what, *fields in arguments.places if what == "interpreter"}
    roots = [path.removesuffix(program) for path in files if f"/{path}".endswith(f"/{program}")]
    root = min(roots, key=len, default="")
    return {path.removeprefix(root): file for path, file in files.items() if path.startswith(root)}


@dataclass(frozen=True, slots=True)
class _Origin:
    """A file of an interpreter, to be opened when it is wanted; in a sandbox it is a link."""

    file: str
    path: str

    @contextlib.contextmanager
    def opened(self) -> Iterator[OpenFile]:
        content = open_regular(raw(self.file), self.path, follow=True)
        try:
            yield content
        finally:
            os.close(content.fd)


class _Files:
    """The files that an action gets, as a tree; it gets no links."""

    def __init__(self, files: dict[str, str]) -> None:
        self.label = "interpreter"
        self.files = frozenset(files)
        self.links: dict[str, str] = {}
        self._files = files

    def origin(self, path: str) -> Origin:
        return _Origin(self._files[path], path)


def _requirements(arguments: Arguments) -> tuple[Requirements, list[str]]:
    """What the requirements files say, and the SHA-256 of the first one; nothing when there is none."""
    files = {fields[1]: fields[0] for what, *fields in arguments.places if what == "requirements"}
    if not files:
        return Requirements(), []

    first = next(iter(files))
    try:
        return read_requirements(first, lambda path: _read(files, path)), [sha256_of(files[first], first)]
    except CapsuleError as error:
        raise CapsuleError(map(_named_in_bazel, error.problems)) from error


def _read(files: dict[str, str], path: str) -> bytes:
    if path not in files:
        raise FileNotFoundError
    with open(raw(files[path]), "rb") as file:
        return file.read()


def _named_in_bazel(problem: Problem) -> Problem:
    """An action sees the files that are named to it, and no others."""
    if problem.code != "requirements-missing":
        return problem
    return Problem(problem.code, problem.message, "Name it in requirements_includes too.")
