"""A folder of wheels as an environment: what the requirements ask for is chosen, checked, and laid out in place."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from dataclasses import replace
from functools import partial

from packaging.utils import canonicalize_name

from capsule_builder import open_files
from capsule_builder.archive.processes import Processes
from capsule_builder.archive.zip import ZipReader
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import shown
from capsule_builder.python.environment import Environment, Part
from capsule_builder.python.layout import Layout
from capsule_builder.python.wheel import Wheel, read_wheel
from capsule_builder.requirements import Distribution, Requirements, Target, select
from capsule_builder.sources.files import Digested, changed, digested, is_same, unreadable

_MAX_SHOWN = 5
_WORTH_A_PROCESS = 16 << 20  # bytes
_ABSENT = {"wheel-missing", "wheel-sdist", "wheel-tags", "wheel-version"}
_KINDS = (".whl", ".tar.gz", ".zip")


def layer_name(file_name: str) -> str:
    """The name of a wheel's layer: the first two parts of the file's, which are distribution and version."""
    return "-".join(file_name.split("-")[:2])


def from_wheels(
    directory: str,
    requirements: Requirements | None,
    target: Target,
    stack: contextlib.ExitStack,
    *,
    complete: bool = True,
    hashed: bool = True,
    jobs: int = 1,
) -> Environment:
    """The environment that the wheels in ``directory`` make; they stay open for as long as ``stack`` does.

    With ``requirements``, only what they ask for is taken; otherwise every wheel. Unless it is to be ``complete``, what
    is not there earns a warning. Unless they are to be ``hashed``, distributions have no SHA-256 when none of them
    depends on an address, which may hold one. With more than one job, they are hashed by another process.

    Raises:
        CapsuleError: a wheel is missing, damaged, or for another target; every reason, at once.
    """
    house = _House(directory, Layout(target.python), stack)
    names = house.names()
    open_files.allow(len(names))
    if hashed and jobs > 1:
        house.hash_ahead(names, requirements)
    chosen = select(names, house.sha256, requirements, target, house.distribution)
    absent = [problem for problem in chosen.problems if problem.code in _ABSENT and not complete]
    problems = [problem for problem in chosen.problems if problem not in absent]
    parts: list[Part] = []
    for name in chosen.chosen:
        try:
            parts.append(Part(layer_name(name), house.wheel(name).package, partial(house.sha256, name)))
            house.distribution(name)
        except CapsuleError as error:
            problems += error.problems
    if problems:
        raise CapsuleError(dict.fromkeys(problems))
    warnings = [*absent, _unused(chosen.unused)] if chosen.unused else absent
    distributions = [house.distribution(name) for name in chosen.chosen]
    if hashed or any("@" in text for distribution in distributions for text in distribution.requires):
        hashes = [house.sha256(name) for name in chosen.chosen]
        distributions = [replace(one, sha256=sha256) for one, sha256 in zip(distributions, hashes, strict=True)]
    return Environment(directory, house.layout, parts, distributions, warnings)


class _House:
    """The wheels of a folder; each is opened, read and hashed once, when it is first asked for.

    It is opened once more to be hashed: what is there then must be what is read.
    """

    def __init__(self, directory: str, layout: Layout, stack: contextlib.ExitStack) -> None:
        self.layout = layout
        self._directory = directory
        self._stack = stack
        self._wheels: dict[str, Wheel] = {}
        self._opened: dict[str, os.stat_result] = {}
        self._distributions: dict[str, Distribution] = {}
        self._hashes: dict[str, Digested] = {}
        self._hashing: Processes[str, Digested] | None = None
        self._ahead: deque[str] = deque()

    def names(self) -> list[str]:
        try:
            found = sorted(name for name in os.listdir(self._directory) if name.endswith(_KINDS))
        except (FileNotFoundError, NotADirectoryError):
            message = f"Wheel directory not found: {shown(self._directory)}"
            raise refusal("wheels-missing", message, "Fill one: pip download --only-binary :all: --dest DIR.") from None
        except OSError as error:
            raise unreadable(self._directory, error) from error
        if not any(name.endswith(".whl") for name in found):
            message = f"No wheels in {shown(self._directory)}"
            raise refusal("wheels-missing", message, "Fill it: pip download --only-binary :all: --dest DIR.")
        return found

    def hash_ahead(self, names: list[str], requirements: Requirements | None) -> None:
        """Has those hashed by a process of their own that are likely to be asked for, if that will take long."""
        wanted = {line.name for line in requirements.lines} if requirements else set()
        likely = [name for name in names if not wanted or canonicalize_name(name.partition("-")[0]) in wanted]
        with contextlib.suppress(OSError):  # whoever asks for that one will hear of it
            if sum(os.stat(os.path.join(self._directory, name)).st_size for name in likely) >= _WORTH_A_PROCESS:
                self._hashing = self._stack.enter_context(Processes(1, self._hash))
                for name in likely:
                    self._hashing.submit(name)
                self._ahead.extend(likely)

    def _hash(self, name: str) -> Digested:
        return digested(os.path.join(self._directory, name), name)

    def sha256(self, name: str) -> str:
        while name not in self._hashes and self._hashing and self._ahead:
            first = self._ahead.popleft()
            try:
                self._hashes[first] = self._hashing.result()
            except CapsuleError:
                if first == name:
                    raise
        if name not in self._hashes:
            self._hashes[name] = self._hash(name)
        self._compare(name)
        return self._hashes[name].sha256

    def wheel(self, name: str) -> Wheel:
        if name not in self._wheels:
            reader = self._stack.enter_context(ZipReader(os.path.join(self._directory, name), label=name))
            self._opened[name] = reader.status
            self._compare(name)
            self._wheels[name] = read_wheel(reader, name, self.layout)
        return self._wheels[name]

    def _compare(self, name: str) -> None:
        """Refuses a wheel that is not the file that was hashed."""
        if name in self._opened and name in self._hashes and not is_same(self._opened[name], self._hashes[name].status):
            raise changed(name)

    def distribution(self, name: str) -> Distribution:
        if name not in self._distributions:
            wheel = self.wheel(name)
            self._distributions[name] = Distribution.from_metadata(wheel.metadata, wheel.wheel, where=name)
        return self._distributions[name]


def _unused(names: list[str]) -> Problem:
    more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    listed = ", ".join(shown(name) for name in names[:_MAX_SHOWN])
    return Problem("wheels-unused", f"Wheels that nothing requires are left out: {listed}{more}")
