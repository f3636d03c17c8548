"""Programs in ``bin/`` that find their interpreter wherever the capsule lies (``docs/python.md``, "Scripts"). Pure.

A script is regenerated and never patched: from its entry point, or as a small launcher beside the untouched text.
"""

from __future__ import annotations

import configparser
import keyword
import re
from dataclasses import dataclass

from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import path_problem, shown

LIBEXEC = "libexec"
"""Where the text of Python scripts lies that are no entry points, relative to the environment."""

MAX_SCRIPT = 16 << 20
"""The largest script that is looked into, in bytes."""

_FIND = """\
case $0 in
*/*) capsule_script=$0 ;;
*) capsule_script=./$0; [ -f "$capsule_script" ] || capsule_script=$(command -v "$0") ;;
esac
capsule_bin=$capsule_script
while [ -h "$capsule_bin" ]; do
    capsule_link=$(PATH=${PATH:+$PATH:}/usr/bin:/bin readlink "$capsule_bin") || exit 126
    case $capsule_link in
    /*) capsule_bin=$capsule_link ;;
    *) capsule_bin=${capsule_bin%/*}/$capsule_link ;;
    esac
done
capsule_bin=${capsule_bin%/*}
if [ ! -x "$capsule_bin/python" ]; then
    echo "$0: no interpreter at $capsule_bin/python; is this Python installed on the host?" >&2
    exit 126
fi
"""

_ENTRY_POINT = """\
#!/bin/sh
'''true'
# To sh, these lines find the interpreter beside this file; to Python, they are a string.
{find}exec "$capsule_bin/python" "$capsule_script" "$@"
'''
import sys
from {module} import {name}
if __name__ == "__main__":
    sys.exit({attribute}())
"""

_LAUNCHER = """\
#!/bin/sh
# Starts ../{libexec}/{shown} with the interpreter beside this file.
{find}exec "$capsule_bin/python"{arguments} "$capsule_bin/../{libexec}/"{name} "$@"
"""

_RESERVED = re.compile(r"(python|activate)([0-9.w]*|\..*)$", re.IGNORECASE)
_NAME = re.compile(r"[\w.-]+")  # of others, installers make different files
_OF_PIP = re.compile(r"(pip|easy_install)(-?[0-9.]*)?")
_PLACEHOLDER = re.compile(rb"#!python")  # and whatever follows, to pip and uv
_ABSOLUTE = re.compile(rb"#![ \t]*\"?/(?:.*/)?pythonw?[0-9.]*t?\"?(?P<arguments>[ \t].*)?$")
_ENV = re.compile(rb"#![ \t]*(?:/usr)?/bin/env[ \t]+(?:-S[ \t]*)?pythonw?[0-9.]*(?P<arguments>[ \t].*)?$")
# distlib's and uv's, for paths that are too long for a shebang or not known: an optional coding line, exec, a quote.
_TRAMPOLINE = re.compile(rb"#![ \t]*/bin/sh[ \t]*\r?\n(?:#[^\n]*coding[^\n]*\n)?'''exec' [^\n]*\n' '''\r?\n")


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A program that a distribution declares: call ``attribute`` (dotted) of ``module``."""

    name: str
    module: str
    attribute: str

    @property
    def script(self) -> bytes:
        """The script: sh up to the ``exec``, then Python."""
        first = self.attribute.partition(".")[0]
        return _ENTRY_POINT.format(find=_FIND, module=self.module, name=first, attribute=self.attribute).encode()


@dataclass(frozen=True, slots=True)
class PythonScript:
    """A script of Python that is no entry point: the interpreter's ``arguments`` and the canonical ``text``."""

    arguments: tuple[str, ...]
    text: bytes

    def launcher(self, name: str) -> bytes:
        """What lies in ``bin/`` under ``name`` and starts the text in ``libexec/``.

        It is a file of its own, for a line before the text would break encodings and ``from __future__``.
        """
        arguments = "".join(f" {_quoted(argument)}" for argument in self.arguments)
        return _LAUNCHER.format(
            find=_FIND, libexec=LIBEXEC, shown=shown(name), name=_quoted(name), arguments=arguments
        ).encode()


def entry_points(data: bytes, distribution: str, label: str) -> list[EntryPoint]:
    """The programs that an ``entry_points.txt`` declares; ``label`` is what messages call it.

    ``distribution`` is the name of the one that it belongs to, normalised.

    Raises:
        CapsuleError: it cannot be read, or a name would be no file of ``bin/``, or one of the environment's own.
    """
    from installer.utils import parse_entrypoints  # which takes long, and there may be none

    try:
        found = list(parse_entrypoints(data.decode("utf-8-sig")))
    except (configparser.Error, UnicodeDecodeError, AssertionError, AttributeError) as error:
        reason = shown(str(error).partition("\n")[0][:200]) or "a script must name module:attribute"
        message = f"{label}: entry_points.txt cannot be read: {reason}"
        raise refusal("entry-point", message, "Mend it in the project and build the wheel again.") from error
    problems: list[Problem] = []
    result: dict[str, EntryPoint] = {}
    for name, module, attribute, _ in found:
        if complaint := _complaint(name, module, attribute, distribution):
            remedy = "Rename it in the project and build the wheel again."
            problems.append(
                Problem("entry-point", f"{label}: {complaint}: {shown(name[:200])} = {shown(module[:200])}", remedy)
            )
        point = EntryPoint(name, module, attribute)
        if result.setdefault(name, point) != point:
            remedy = "Mend it in the project and build the wheel again."
            problems.append(Problem("entry-point", f"{label}: script is declared twice: {shown(name[:200])}", remedy))
    if problems:
        raise CapsuleError(problems)
    return list(result.values())


def python_script(data: bytes) -> PythonScript | None:
    """What to make of a file in ``bin/``: None unless its first lines name a Python interpreter.

    Recognised are the wheel's ``#!python``, what installers make of it (a path, with spaces or quotes too; the
    trampolines of distlib and uv), other absolute paths to a Python, and ``env python``.
    """
    if trampoline := _TRAMPOLINE.match(data):
        return PythonScript((), b"#!python\n" + data[trampoline.end() :])
    line, _, rest = data.partition(b"\n")
    line = line.rstrip(b"\r")
    if _PLACEHOLDER.match(line):  # installers replace the whole line, and so drop what follows
        return PythonScript((), b"#!python\n" + rest)
    if found := _ABSOLUTE.match(line):
        arguments = _arguments(found["arguments"])
        return PythonScript(arguments, b"#!" + " ".join(["python", *arguments]).encode() + b"\n" + rest)
    if found := _ENV.match(line):
        return PythonScript(_arguments(found["arguments"]), data)
    return None


def _arguments(text: bytes | None) -> tuple[str, ...]:
    return tuple((text or b"").decode("utf-8", "replace").split())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _complaint(name: str, module: str, attribute: str, distribution: str) -> str:
    if not _NAME.fullmatch(name) or name in {".", ".."} or path_problem(name):
        return "script's name is no file name"
    if distribution not in {"pip", "setuptools"} and _OF_PIP.fullmatch(name):  # pip makes several of one such
        return "script's name is pip's own"
    if _RESERVED.match(name):
        return "script's name is the environment's own"
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in f"{module}.{attribute}".split(".")):
        return "script names no module and attribute"
    return ""
