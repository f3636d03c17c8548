"""Bytecode that depends on the source, its name and the Python alone (PEP 552, unchecked hash-based ``.pyc`` files).

Patch releases of one minor version load each other's bytecode, but a compiler that was mended in between writes other
bytes for a few files in a thousand: where bytecode is part of a capsule, its ID depends on the exact release.

The Python that will run it compiles, in a process of its own with nothing of the environment; what it answers is put
in one form here (:mod:`capsule_builder.python.marshal_form`), while it is at the next file.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import shown
from capsule_builder.python.marshal_form import LAYOUTS, TooDeep, UnknownForm, canonical
from capsule_builder.signals import undisturbed

_WORKER = Path(__file__).with_name("compile_worker.py")
_UNCHECKED = (0b01).to_bytes(4, "little")  # PEP 552: hash-based, and the source is not looked at
_CODE = "bytecode-interpreter"
PATIENCE = 120
"""The longest that one answer may take, in seconds."""

_ROOM, _GROWTH = 1 << 20, 1000  # bytes of bytecode that are believed, however small the source, and for each byte of it
_REMEDY = 'Name the Python that the capsule will run on, or set bytecode to "none".'


def pyc_path(path: str, tag: str) -> str:
    """Where the bytecode of a source belongs (PEP 3147).

    >>> pyc_path("foo/__init__.py", "cpython-311")
    'foo/__pycache__/__init__.cpython-311.pyc'
    """
    above, slash, name = path.rpartition("/")
    return f"{above}{slash}__pycache__/{name.removesuffix('.py')}.{tag}.pyc"


class Compiler:
    """A running Python that compiles; made by :func:`find_compiler`, ended by leaving its context.

    What it gives does not depend on what it compiled before.
    """

    def __init__(self, executable: str, python: str, release: str | None = None) -> None:
        """Starts ``executable``, which must be a CPython of the minor version ``python`` (``"3.11"``).

        With ``release`` (``"3.11.2"``) it must be that one to the letter.

        Raises:
            CapsuleError: it is something else (``bytecode-interpreter``).
        """
        self._executable, self._python, self._release = executable, python, release
        self._asked: str | None = None
        self._limit = 0
        command = [executable, "-I", "-S", "-B", "-W", "ignore", str(_WORKER)]
        try:
            self._process = subprocess.Popen(
                command, env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            reason = error.strerror or str(error)
            raise refusal(_CODE, f"Cannot start {shown(executable)}: {reason}", _REMEDY) from None
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("a pipe was asked for")
        self._requests, self._answers = stdin, stdout
        self._since: float | None = time.monotonic()  # when it was last asked and has not answered yet
        self._ended = threading.Event()
        with undisturbed():
            threading.Thread(target=self._watch, daemon=True).start()
        lines = [self._answers.readline(100).decode("ascii", "replace").rstrip("\n") for _ in range(5)]
        if problem := self._problem(*lines):
            self._process.kill()
            self._end()
            raise CapsuleError([problem])
        self._since = None
        self.tag = lines[2]
        self._head = bytes.fromhex(lines[4]) + _UNCHECKED

    def _problem(self, implementation: str, release: str, tag: str, abi: str, magic: str) -> Problem | None:
        """Why the Python that says this of itself cannot be used."""
        name, python = shown(self._executable), self._python
        if not re.fullmatch("[0-9a-f]{8}", magic):
            return _unfit(f"Not a Python that runs: {name}", _REMEDY)
        if implementation != "cpython":
            return _unfit(f"Not CPython but {shown(implementation)}: {name}", _REMEDY)
        if not re.match(re.escape(python) + r"\.[0-9]", release):
            return _unfit(f"Not Python {python} but {shown(release)}: {name}", _REMEDY)
        if self._release and release != self._release:
            remedy = "Compile with that release, or state the other one: it changes the capsule's ID."
            return _unfit(f"Not Python {self._release} but {shown(release)}: {name}", remedy)
        if abi or tag != f"cpython-{python.replace('.', '')}":
            what = "free-threaded" if "t" in abi else "a debug build" if "d" in abi else f"of the kind {shown(tag)}"
            return _unfit(f"Python {python} is {what}: {name}", "Name an ordinary build of it.")
        return None

    def __enter__(self) -> Compiler:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _watch(self) -> None:
        """Ends a Python that takes forever, so that nobody waits for it."""
        while not self._ended.wait(1):
            if self._since is not None and time.monotonic() - self._since > PATIENCE:
                self._process.kill()

    def _end(self) -> None:
        self._since = time.monotonic()
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(BrokenPipeError):  # it ended before it read all
                pipe.close()
        self._process.wait()
        self._ended.set()

    def compile(self, files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes | None]]:
        """The ``.pyc`` file for each source, in the order given; None for one that does not compile.

        ``files`` are paths, which the bytecode will name as its origin, and sources; they are taken one at a time.

        Raises:
            CapsuleError: the Python died (``bytecode-interpreter``).
        """
        todo = iter(files)
        item = next(todo, None)
        if item:
            self._ask(*item)
        while item:
            path, answer = item[0], self._answer()
            item = next(todo, None)
            if item:
                self._ask(*item)
            yield path, self._pyc(answer)

    def _ask(self, path: str, source: bytes) -> None:
        if self._asked is not None:  # of a caller who wanted no more
            self._answer()
        self._asked, self._limit = path, _ROOM + _GROWTH * len(source)
        name = path.encode("utf-8", "surrogateescape")
        lengths = len(name).to_bytes(8, "little") + len(source).to_bytes(8, "little")
        try:
            self._requests.write(lengths + name)
            self._requests.write(source)
            self._requests.flush()
        except BrokenPipeError:
            raise self._died() from None

    def _answer(self) -> bytes:
        self._since = time.monotonic()
        length = self._answers.read(8)
        size = int.from_bytes(length, "little")
        if size > self._limit:
            raise self._unknown(f"{size:,} bytes for one file")
        answer = self._answers.read(size)
        if len(length) < 8 or len(answer) < size:
            raise self._died()
        self._asked = self._since = None
        return answer

    def _died(self) -> CapsuleError:
        status = self._process.wait()
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        if self._since is not None and time.monotonic() - self._since > PATIENCE:
            how = f"after {PATIENCE} seconds"
        return refusal(
            _CODE,
            f"{shown(self._executable)} ended {how} while it compiled {shown(self._asked or '')}",
            'Exclude the file, or set bytecode to "none".',
        )

    def _pyc(self, answer: bytes) -> bytes | None:
        if not answer:
            return None
        try:
            return self._head + answer[:8] + canonical(answer[8:], self._python)
        except TooDeep:
            return None
        except UnknownForm as error:
            raise self._unknown(str(error)) from None

    def _unknown(self, what: str) -> CapsuleError:
        return refusal(_CODE, f"{shown(self._executable)} writes an unknown kind of bytecode: {what}", _REMEDY)


def find_compiler(python: str, executable: str | None, release: str | None = None) -> Compiler:
    """A running compiler for the minor version ``python`` (``"3.11"``), of that very ``release`` if one is given.

    Without an ``executable`` it is the Python that runs this, if it is of that version, or else the first
    ``python3.X`` on PATH that will do.

    Raises:
        CapsuleError: there is none (``bytecode-interpreter``).
    """
    if python not in LAYOUTS:
        known = f"{min(LAYOUTS, key=_minor)} to {max(LAYOUTS, key=_minor)}"
        raise refusal(_CODE, f"No bytecode can be made for Python {shown(python)}: {known} are known", _REMEDY)
    problems: list[Problem] = []
    for candidate in [executable] if executable else _candidates(python):
        try:
            return Compiler(candidate, python, release)
        except CapsuleError as error:
            problems += error.problems
    if not problems:
        problems = [_unfit(f"No Python {python} to compile with: there is no python{python} on PATH", _REMEDY)]
    raise CapsuleError(problems)


def _candidates(python: str) -> Iterator[str]:
    if python == f"{sys.version_info[0]}.{sys.version_info[1]}" and sys.executable:
        yield sys.executable
    for directory in os.get_exec_path():
        path = os.path.join(directory, f"python{python}")
        if os.access(path, os.X_OK):
            yield path


def _minor(python: str) -> int:
    return int(python.split(".")[1])


def _unfit(message: str, remedy: str) -> Problem:
    return Problem(_CODE, message, remedy)
