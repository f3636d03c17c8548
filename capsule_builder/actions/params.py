"""The parameter file of an action: one argument a line. ``rules/private/`` writes it; this is the agreement of the two.

``layer``
    ``--fragment``, ``--contents``, ``--index`` (outputs), ``--level``, ``--workspace-name``, ``--package-dir``,
    ``--strip-prefix``, ``--strict-prefix`` (a flag), ``--manifest``, and any number of ``--executable PATTERN``,
    ``--symlink PATH<TAB>TARGET``, ``--empty-dir PATH``; then lines of fields with tabs between them:
    ``src FILE SHORT_PATH``; ``rename FILE PATH``; ``binary SHORT_PATH PATH-OR-EMPTY``, which opens a runfiles tree for
    ``run FILE SHORT_PATH``, ``runlink FILE PATH`` and ``runroot FILE PATH``; and ``unfit PATH`` in place of one with a
    tab or a line break in a name, here as in the verbs that follow.

``wheel``
    The outputs, ``--level`` and ``--executable`` as above; ``--python`` and ``--platform`` of the target; ``--wheel``,
    ``--facts`` (an output), ``--bytecode`` (the release of Python that has to compile, empty for any); and lines
    ``interpreter FILE SHORT_PATH``.

``python-base``
    The outputs, ``--level``, ``--python``, ``--platform``; ``--bundled`` (a flag), any number of ``--facts FILE``; and
    lines ``requirements FILE SHORT_PATH``, the first of which includes the others.

``interpreter``
    The outputs, ``--level``, ``--python``, ``--platform``, ``--executable``, ``--bytecode``; and lines
    ``interpreter FILE SHORT_PATH``.

``assemble``
    ``--archive``, ``--id``, ``--metadata``, ``--listing``, ``--file-name`` (outputs), ``--level``, ``--manifest``,
    ``--no-verify-requirements`` (a flag), ``--stable-status`` and ``--volatile-status`` when the capsule is stamped;
    and for each layer ``--layer NAME`` followed by four lines: owner, fragment, contents, index.

``provenance``, ``sbom``
    ``--archive``, ``--output`` (an output); ``--platform`` of the target if there is a Python environment; and when
    the capsule has to meet a lock, any number of ``--facts FILE`` and a line ``requirements FILE SHORT_PATH``.

All begin with ``--letter=é``, by which is seen whether Bazel encoded the names once or, as old ones do, twice.
An option's value is on its line after ``=``, or on the next line. A value that may begin with ``@`` is on its option's
line: Bazel, which reads the file itself for a persistent worker, takes any line that begins so for another such file.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence

from capsule_builder.errors import refusal

_FLAGS = {"--bundled", "--no-verify-requirements", "--strict-prefix"}
_ENCODED_TWICE = b"--letter=" + "\u00e9".encode().decode("latin-1").encode()
_LAYER_FIELDS = 5
_FIELDS = {
    "src": 2, "rename": 2, "binary": 2, "run": 2, "runlink": 2, "runroot": 2,
    "interpreter": 2, "requirements": 2, "unfit": 1,
}  # fmt: skip
_NAMES_NO_FILE = {"binary", "unfit"}  # their first field is for places and messages only


class Arguments:
    """A command line, read: the verb, options by name, layers as they follow ``--layer``, lines of fields."""

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self.options: dict[str, list[str]] = defaultdict(list)
        self.layers: list[tuple[str, ...]] = []
        self.places: list[list[str]] = []

    def one(self, name: str) -> str:
        """The value of an option, the last one if there are several; empty when there is none."""
        return self.options[name][-1] if self.options[name] else ""


def parse(argv: Sequence[str] | Sequence[bytes]) -> Arguments:
    """Reads a command line, with the parameter files (``@FILE``) in it; or lines of such files, as bytes.

    Raises:
        CapsuleError: it does not follow the grammar, so that other rules than this release's wrote it.
    """
    try:
        return _parsed(argv)
    except (OSError, ValueError) as error:
        raise refusal(
            "action-line", f"Cannot read the command line: {error}", "Builder and rules must be of one release."
        ) from error


def _parsed(argv: Sequence[str] | Sequence[bytes]) -> Arguments:
    raw: list[bytes] = []
    for argument in argv:
        if isinstance(argument, bytes):
            raw += [argument] if argument else []
        elif argument.startswith("@"):
            with open(argument[1:], "rb") as params:
                raw += [line for line in params.read().split(b"\n") if line]
        else:
            raw.append(os.fsencode(argument))
    twice = _ENCODED_TWICE in raw
    lines = [_text(line, twice) for line in raw]
    arguments = Arguments(lines[0] if lines else "")
    rest = iter(lines[1:])
    for line in rest:
        if not line.startswith("--"):
            what, *fields = line.split("\t")
            if _FIELDS.get(what) != len(fields):
                raise ValueError(f"not a line of a known kind: {line}")
            if twice and what not in _NAMES_NO_FILE:
                fields[0] = _on_disk(fields[0])
            arguments.places.append([what, *fields])
            continue
        name, equals, value = line.partition("=")
        value = value if equals or name in _FLAGS else _value(name, rest)
        if name == "--layer":
            arguments.layers.append((value, *(_value(name, rest) for _ in range(_LAYER_FIELDS - 1))))
        else:
            arguments.options[name].append(value)
    return arguments


def _value(option: str, rest: Iterator[str]) -> str:
    value = next(rest, None)
    if value is None:
        raise ValueError(f"{option} has no value")
    return value


def _text(line: bytes, encoded_twice: bool) -> str:
    if encoded_twice:
        line = line.decode().encode("latin-1")
    return line.decode("utf-8", "surrogateescape")


def _on_disk(file: str) -> str:
    """The name that a file really has: the Bazels that encode twice do so for remote workers' files too."""
    raw = file.encode("utf-8", "surrogateescape")
    return file if os.path.lexists(raw) else raw.decode("latin-1")
