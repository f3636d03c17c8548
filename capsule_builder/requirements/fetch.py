"""What the repository rule ``capsule_wheels`` asks around its run of pip: which wheels to fetch, and whether they came.

pip decides what a lock means by the Python that runs it; here it is decided by the target, so that a Mac fetches for
Linux. ``plan`` writes plain pins for pip and prints the options that name the target; ``check`` holds what came against
the lock and prints the BUILD file; ``explain`` says, from pip's log, why distributions were not found.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import shown
from capsule_builder.requirements import Line, Requirements, Target, read_requirements
from capsule_builder.requirements.dialect import SOURCES
from capsule_builder.requirements.mismatch import mismatch
from capsule_builder.requirements.target import Platform
from capsule_builder.requirements.walk import Walk

_SKIPPED = re.compile(r"Skipping link: .*?/([^/\s]+\.(?:whl|zip|tar\.[a-z0-9]+|tgz))(?=[#\s]|$)")
_LOCK = "Lock it anew, with hashes (uv pip compile --generate-hashes, pip-compile --generate-hashes)."
_BUILD = "Build a wheel of it (pip wheel --no-deps), keep it with your sources, and leave it out of this lock."


@dataclass(frozen=True)
class Pin:
    """One release of the lock that the target needs; ``hashes`` are ``algorithm:hex``."""

    name: str
    version: Version
    operator: str
    hashes: tuple[str, ...]
    where: str

    @property
    def text(self) -> str:
        """``name==version``."""
        return f"{self.name}{self.operator}{self.version}"


@dataclass(frozen=True)
class Lock:
    """What a lock comes to on the target: its releases by name, and the options that say where to look for them."""

    pins: dict[str, Pin]
    sources: tuple[str, ...]


def read_lock(data: bytes, name: str, target: Target) -> Lock:
    """The releases that the lock ``data``, called ``name``, asks for on ``target``.

    Raises:
        CapsuleError: a line that applies has no exact version or no hash, names a URL, or two lines disagree; the lock
            includes another file; all at once.
    """

    def read(path: str) -> bytes:
        if path != name:
            message = f"{name}: includes another file: {shown(path)}"
            raise refusal("lock-include", message, "Lock all of them together, in one file.")
        return data

    requirements = read_requirements(name, read)
    pins: dict[str, Pin] = {}
    problems: list[Problem] = []
    for line in Walk(requirements, target, lambda _: None).lines(requirements.roots):
        try:
            pin = _pin(line)
        except CapsuleError as error:
            problems += error.problems
            continue
        other = pins.setdefault(pin.name, pin)
        if (other.version, set(other.hashes)) != (pin.version, set(pin.hashes)):
            message = f"{pin.where}: {pin.text} is locked otherwise by {other.where}: {other.text}"
            problems.append(Problem("lock-twice", message, _LOCK))
    sources = list(_sources(requirements, problems))
    if problems:
        raise CapsuleError(problems)
    return Lock(dict(sorted(pins.items())), tuple(sources))


def _pin(line: Line) -> Pin:
    where = f"{shown(line.file)}:{line.line}"
    if line.requirement.url is not None:
        message = f"{where}: names a URL: {shown(line.text)}"
        raise refusal("lock-url", message, "Keep that wheel with your sources, and leave it out of this lock.")
    exact = [item for item in line.requirement.specifier if item.operator in {"==", "==="}]
    problems = []
    if len(line.requirement.specifier) != 1 or not exact or exact[0].version.endswith(".*"):
        problems.append(Problem("lock-unpinned", f"{where}: names no exact version: {shown(line.text)}", _LOCK))
    if not line.hashes:
        problems.append(Problem("lock-unhashed", f"{where}: has no hash: {shown(line.text)}", _LOCK))
    if problems:
        raise CapsuleError(problems)
    try:
        version = Version(exact[0].version)
    except InvalidVersion as error:  # what `===` takes
        raise refusal("lock-unpinned", f"{where}: not a version of PEP 440: {shown(line.text)}", _LOCK) from error
    return Pin(line.name, version, exact[0].operator, line.hashes, where)


def _sources(requirements: Requirements, problems: list[Problem]) -> Iterator[str]:
    for option in requirements.options:
        if option.name not in SOURCES:
            continue
        if option.name == "--find-links" and "://" not in option.value:
            message = f"{shown(option.file)}:{option.line}: names a directory: --find-links {shown(option.value)}"
            remedy = "It would be looked for elsewhere: name it in pip's own configuration, absolutely."
            problems.append(Problem("lock-find-links", message, remedy))
        yield f"{option.name} {option.value}".rstrip()


def plan(lock: Lock, target: Target) -> tuple[str, list[str]]:
    """The requirements file for pip, and the options that name the target."""
    lines = [*lock.sources]
    lines += [" ".join([pin.text, *(f"--hash={value}" for value in pin.hashes)]) for pin in lock.pins.values()]
    platform = Platform.parse(target.platform)
    options = [f"--python-version={target.python}", "--implementation=cp"]
    options += [f"--abi={abi}" for abi in (f"cp3{target.minor}", "abi3", "none")]
    options += [f"--platform={name}" for name in (platform.names() if platform else ())]
    return "".join(f"{line}\n" for line in lines), options


def check(lock: Lock, target: Target, directory: str) -> str:
    """The BUILD file for the wheels in ``directory``.

    Raises:
        CapsuleError: they are not, one each, the wheels of the lock; everything that is wrong, at once.
    """
    files = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    found: dict[str, list[str]] = {name: [] for name in lock.pins}
    problems: list[Problem] = []
    for file in files:
        try:
            name, version, _, tags = parse_wheel_filename(file)
        except (InvalidWheelFilename, InvalidVersion):
            problems.append(Problem("fetch-unknown", f"Not a wheel: {shown(file)}", _BUILD))
            continue
        pin = lock.pins.get(name)
        if pin is None or pin.version != version:
            problems.append(Problem("fetch-unknown", f"The lock does not name it: {shown(file)}"))
            continue
        found[name].append(file)
        if misfit := mismatch([str(tag) for tag in tags], target):
            problems.append(Problem("fetch-tags", f"{shown(file)}: {misfit.reason} ({pin.where})", misfit.remedy))
        if not _is_locked(os.path.join(directory, file), pin):
            message = f"Has a hash that is not in the lock: {shown(file)} ({pin.where})"
            remedy = "Find out where the file came from before you add its hash to the lock."
            problems.append(Problem("fetch-hash", message, remedy))
    for pin in lock.pins.values():
        if len(found[pin.name]) != 1:
            message = f"{pin.text}: {len(found[pin.name])} wheels came, and not one ({pin.where})"
            problems.append(Problem("fetch-count", message))
    if problems:
        raise CapsuleError(problems)
    return _build_file({name: f"{directory}/{file}" for name, (file,) in found.items()})


def _is_locked(path: str, pin: Pin) -> bool:
    digests = {algorithm: hashlib.new(algorithm) for algorithm in {value.partition(":")[0] for value in pin.hashes}}
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            for digest in digests.values():
                digest.update(chunk)
    return any(f"{algorithm}:{digest.hexdigest()}" in pin.hashes for algorithm, digest in digests.items())


def _build_file(wheels: dict[str, str]) -> str:
    """All wheels as ``:wheels``, and each by its distribution's name, with hyphens (PEP 503) and with underscores."""
    everything = "".join(f'        "{file}",\n' for file in sorted(wheels.values()))
    parts = [f'filegroup(\n    name = "wheels",\n    srcs = [\n{everything}    ],\n)\n']
    for name, file in sorted(wheels.items()):
        if name == "wheels":  # a distribution of that name is to be had with the others only
            continue
        for spelled in dict.fromkeys([name, name.replace("-", "_")]):
            parts.append(f'filegroup(\n    name = "{spelled}",\n    srcs = ["{file}"],\n)\n')
    return "\n".join(['package(default_visibility = ["//visibility:public"])\n', *parts])


def explain(lock: Lock, target: Target, log: str, absent: Iterable[str]) -> list[Problem]:
    """Why pip found no wheel for some releases (``name==version``); ``log`` is its log."""
    seen = list(dict.fromkeys(_SKIPPED.findall(log)))
    return [_reason(lock.pins[canonicalize_name(text.partition("=")[0])], seen, target) for text in absent]


def _reason(pin: Pin, seen: Iterable[str], target: Target) -> Problem:
    wheels, sources = 0, 0
    tags: list[str] = []
    for file in seen:
        try:
            if not file.endswith(".whl"):
                sources += parse_sdist_filename(file) == (pin.name, pin.version)
                continue
            name, version, _, parsed = parse_wheel_filename(file)
        except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
            continue
        if (name, version) == (pin.name, pin.version):
            wheels += 1
            tags += map(str, parsed)
    if wheels and (misfit := mismatch(tags, target)):
        message = (
            f"{pin.text}: none of its {wheels} wheels is for the target: the nearest {misfit.reason} ({pin.where})"
        )
        return Problem("fetch-misfit", message, f"Lock a version that has one. {misfit.remedy}")
    if sources:
        return Problem("fetch-sdist", f"{pin.text}: there is only source, and no wheel ({pin.where})", _BUILD)
    message = f"{pin.text}: nothing of it was found ({pin.where})"
    return Problem("fetch-missing", message, "See that pip's configuration names the index that has it.")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; gives the exit status. Refusals go to the standard error."""
    parser = argparse.ArgumentParser(prog="capsule_builder.requirements.fetch")
    parser.add_argument("verb", choices=["plan", "check", "explain"])
    for argument in ("lock", "name", "python", "platform", "file"):
        parser.add_argument(argument)
    parser.add_argument("absent", nargs="*")
    arguments = parser.parse_args(argv)
    try:
        target = Target.parse(arguments.python, arguments.platform)
        with open(arguments.lock, "rb") as file:
            lock = read_lock(file.read(), arguments.name, target)
        if arguments.verb == "plan":
            text, options = plan(lock, target)
            with open(arguments.file, "w", encoding="utf-8") as file:
                file.write(text)
            _print("\n".join(options))
        elif arguments.verb == "check":
            _print(check(lock, target, arguments.file).rstrip("\n"))
        else:
            with open(arguments.file, encoding="utf-8", errors="replace") as file:
                raise CapsuleError(explain(lock, target, file.read(), arguments.absent))
    except CapsuleError as error:
        for problem in error.problems:
            sys.stderr.write(f"ERROR: {problem}\n")
        return 1
    return 0


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    raise SystemExit(main())
