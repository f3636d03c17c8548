"""An interpreter inside a capsule, in the layout of python-build-standalone: what is taken of it, and whether it moves.

It must find its library by where it lies, its shared libraries by ``$ORIGIN``, and know nothing of where it was built.
Pure: files come in as paths below the interpreter's root, and a function that reads them.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from capsule_builder.elf import MACHINES, Linkage, read_linkage
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.links import destination, links_problems
from capsule_builder.modes import is_program
from capsule_builder.paths import shown

Read = Callable[[str], bytes]
"""The content of a file, by its path."""

_CANONICAL_PREFIX = b"/install"  # where python-build-standalone builds
_PREFIXES_OF_NO_MACHINE = frozenset({b"/", b"/usr", b"/usr/local", _CANONICAL_PREFIX})
_BUILD_DATA = re.compile(
    r"lib/python3\.[0-9]+/(?:_sysconfigdata_[^/]*\.py|_sysconfig_vars_[^/]*\.json|build-details\.json)"
)
_TEST_DIRECTORIES = frozenset({"test", "tests", "idle_test"})
_MAX_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What of an interpreter goes into a capsule, by path below its root.

    ``files`` gives new content, or None for what stays as it is; ``links`` give targets. ``machine`` is one of
    ``capsule_builder.elf.MACHINES``, ``glibc`` the oldest that all of it runs on, ``(2, 34)``, or None.
    """

    files: dict[str, bytes | None]
    links: dict[str, str]
    machine: str
    glibc: tuple[int, ...] | None
    warnings: tuple[Problem, ...]


def bundle(files: Iterable[str], links: Mapping[str, str], read: Read, python: str) -> Plan:
    """The plan for an interpreter of the minor version ``python`` (``"3.11"``).

    ``files`` are the paths of its regular files, ``links`` those of its links with their targets. Every file that is
    taken is read, one at a time.

    Raises:
        CapsuleError: it is another Python, is not whole, or would not run elsewhere; or whatever ``read`` raises.
    """
    paths = set(files)
    if problems := _layout_problems(paths, python):
        raise CapsuleError(problems)
    kept = sorted(path for path in paths if not _is_dropped(path, python))
    kept_links = _kept_links(links, python)
    new: dict[str, bytes | None] = dict.fromkeys(kept)
    library = f"lib/libpython{python}.so"
    versioned = f"{library}.1.0"
    if library in new and versioned in new and read(library) == read(versioned):  # a copy in place of a link
        del new[library]
        kept_links[library] = posixpath.basename(versioned)

    check = _Check(new.keys() | kept_links.keys(), f"bin/python{python}")
    built_at = _prefixes((path for path in new if _is_build_data(path)), read)
    for path in new:
        data = read(path)
        check.elf(path, data)
        if built_at and built_at.search(data):
            if _is_build_data(path):
                new[path] = built_at.sub(_CANONICAL_PREFIX, data)
            else:
                check.holds_prefix.append(path)
    if problems := _link_problems(kept_links, new) + check.problems():
        raise CapsuleError(problems)
    return Plan(new, kept_links, check.machine, check.glibc, tuple(check.warnings()))


def _layout_problems(paths: set[str], python: str) -> list[Problem]:
    """Whether it is an interpreter, and the one asked for, by its names alone."""
    if paths & {"pyvenv.cfg", "bin/pyvenv.cfg"}:
        return [
            Problem(
                "interpreter-venv",
                "Interpreter is a virtual environment (it has pyvenv.cfg)",
                "Name the Python that the environment was made with, in the layout of python-build-standalone.",
            )
        ]
    problems = [
        Problem(
            "interpreter-missing",
            f"Interpreter has no file {path}" + (f", but {', '.join(others)}" if others else ""),
            f"Name the directory of a Python {python} in the layout of python-build-standalone"
            f" (bin/python{python}, lib/python{python}/).",
        )
        for path, pattern in (
            (f"bin/python{python}", r"bin/python3\.[0-9]+"),
            (f"lib/python{python}/os.py", r"lib/python3\.[0-9]+t?/os\.py"),
        )
        if path not in paths
        for others in [sorted(other for other in paths if re.fullmatch(pattern, other))]
    ]
    if not problems and (others := [path for path in paths if re.fullmatch(r"lib/python3\.[0-9]+/os\.py", path)])[1:]:
        held = " and ".join(sorted(posixpath.dirname(other) for other in others))
        problems.append(Problem("interpreter-mixed", f"Interpreter holds several Pythons: {held}", "Name one of them."))
    return problems


def _is_dropped(path: str, python: str) -> bool:
    """Whether a file (or, with ``/`` at its end, a directory) is of no use to a running service, or names the host."""
    above, _, name = path.rpartition("/")
    parts = above.split("/")
    if "__pycache__" in parts or name.endswith((".pyc", ".pyo")):
        return True
    if parts[0] == "bin":  # the rest are scripts, with the host's path at their top
        return path != f"bin/python{python}"
    library = f"lib/python{python}/"
    if path.startswith(library):
        below = path[len(library) :]
        return not _TEST_DIRECTORIES.isdisjoint(parts[2:]) or below.startswith(
            ("config-", "ensurepip/_bundled/", "site-packages/", "dist-packages/")
        )
    return path.startswith(("include/", "share/man/", "lib/pkgconfig/")) or (parts[0] == "lib" and name.endswith(".a"))


def _kept_links(links: Mapping[str, str], python: str) -> dict[str, str]:
    """The links, less those that lie, or lead, where things are dropped; and the names of the program."""
    kept = {"bin/python": f"python{python}", "bin/python3": f"python{python}"}
    for path, target in links.items():
        end = destination(path, links)
        if not (_is_dropped(path, python) or (end and (_is_dropped(end, python) or _is_dropped(f"{end}/", python)))):
            kept[path] = target
    return kept


def _link_problems(links: Mapping[str, str], files: Iterable[str]) -> list[Problem]:
    problems = [
        Problem(
            "link-escape",
            f"Link leaves the interpreter: {shown(path)} -> {shown(target)}",
            "Put what it points to in its place.",
        )
        for path, target in links.items()
        if target.startswith("/")
    ]
    relative = {path: target for path, target in links.items() if not target.startswith("/")}
    return problems + links_problems(relative, [*files, *links])


def _is_build_data(path: str) -> bool:
    """Whether a file only tells how Python was built (``sysconfig``, PEP 739): uv writes the host's path into it."""
    return _BUILD_DATA.fullmatch(path) is not None


def _prefixes(paths: Iterable[str], read: Read) -> re.Pattern[bytes] | None:
    """What finds the directories that Python was built for, other than those that every machine has."""
    found: set[bytes] = set()
    for path in paths:
        if not path.endswith(".py"):
            continue
        try:
            body = ast.parse(read(path)).body
            values = [ast.literal_eval(node.value) for node in body if isinstance(node, ast.Assign)]
        except (SyntaxError, ValueError, RecursionError):
            continue
        for value in values:
            prefix = value.get("prefix") if isinstance(value, dict) else None
            if isinstance(prefix, str) and prefix.startswith("/"):
                found.add(prefix.rstrip("/").encode("utf-8", "surrogateescape") or b"/")
    found -= _PREFIXES_OF_NO_MACHINE
    either = b"|".join(re.escape(prefix) for prefix in sorted(found, reverse=True))
    return re.compile(b"(?:" + either + rb")(?![\w.+-])") if found else None


class _Check:
    """Sees every file once, and gathers what is wrong."""

    def __init__(self, names: Iterable[str], program: str) -> None:
        self.names = frozenset(names)
        self.program = program
        self.machine = ""
        self.glibc: tuple[int, ...] | None = None
        self.holds_prefix: list[str] = []
        self._found: list[Problem] = []
        self._leaving: dict[tuple[str, str], list[str]] = {}

    def elf(self, path: str, data: bytes) -> None:
        """Looks at a file, if it is an ELF file."""

        def read_at(size: int, offset: int) -> bytes:
            return data[offset : offset + size]

        linkage = read_linkage(read_at)
        if path == self.program:
            if linkage is None or not is_program(data[:64], read_at):
                message = f"Interpreter is not a Linux (ELF) program: {path}"
                self._add("interpreter-program", message, "Name a Python for Linux.")
            elif linkage.header.machine not in MACHINES:
                message = f"Interpreter is for an unknown machine ({linkage.header.machine}): {path}"
                self._add("interpreter-program", message, f"Those known are {', '.join(MACHINES.values())}.")
            else:
                self.machine = MACHINES[linkage.header.machine]
                self._finds_libpython(linkage)
        if linkage is None:
            return
        self.glibc = max(filter(None, (self.glibc, linkage.glibc)), default=None)
        for kind, value in (("RPATH", linkage.rpath), ("RUNPATH", linkage.runpath)):
            if value and any(_inside(path, part) is None for part in value.split(":")):
                self._leaving.setdefault((kind, value), []).append(path)
        for needed in linkage.needed:
            if "/" in needed and _inside(path, needed) is None:
                self._leaving.setdefault(("NEEDED", needed), []).append(path)

    def _finds_libpython(self, linkage: Linkage) -> None:
        search = (linkage.runpath if linkage.runpath is not None else linkage.rpath) or ""
        for needed in linkage.needed:
            if not posixpath.basename(needed).startswith("libpython"):
                continue
            places = [needed] if "/" in needed else [f"{part}/{needed}" for part in search.split(":")]
            if not any(_inside(self.program, place) in self.names for place in places):
                self._add(
                    "interpreter-libpython",
                    f"Interpreter does not find {shown(needed)} beside it: {self.program} has"
                    + (f" the RUNPATH {shown(search)}" if search else " no RUNPATH"),
                    "Take a build of python-build-standalone, or run: patchelf --set-rpath '$ORIGIN/../lib'"
                    f" {self.program} (lib/ must hold the library).",
                )

    def _add(self, code: str, message: str, remedy: str) -> None:
        self._found.append(Problem(code, message, remedy))

    def problems(self) -> list[Problem]:
        """Why it cannot be taken."""
        return self._found + [
            Problem(
                "interpreter-rpath",
                f"{kind} leaves the interpreter: {shown(value)}, in {_some(paths)}",
                "Take a build that moves (python-build-standalone), or make it relative to $ORIGIN with patchelf.",
            )
            for (kind, value), paths in self._leaving.items()
        ]

    def warnings(self) -> list[Problem]:
        """What the reader should know of it."""
        if not self.holds_prefix:
            return []
        return [
            Problem(
                "interpreter-prefix",
                f"Interpreter names the directory that it was built for, in {_some(self.holds_prefix)}",
                "It runs elsewhere, but the same Python built for another directory gives another ID.",
            )
        ]


def _inside(path: str, value: str) -> str | None:
    """What the loader makes of ``value`` in the file at ``path``; None when it is not below the interpreter's root."""
    origin = re.match(r"\$(?:ORIGIN|\{ORIGIN\})(?=/|$)", value)
    if not origin:
        return None
    place = posixpath.normpath(posixpath.join(posixpath.dirname(path), f".{value[origin.end() :]}"))
    return None if place == ".." or place.startswith(("../", "/")) else place


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - _MAX_SHOWN} more" if len(paths) > _MAX_SHOWN else ""
    return ", ".join(map(shown, paths[:_MAX_SHOWN])) + more
