"""What the Bazel actions run: ``layer`` and ``assemble``, each with one parameter file, one argument a line.

``rules/private/`` writes these files; their grammar is the agreement between the two:

``layer``
    ``--fragment``, ``--contents``, ``--index`` (outputs), ``--level``, ``--workspace-name``, ``--package-dir``,
    ``--strip-prefix``, ``--strict-prefix`` (a flag), ``--manifest``, and any number of ``--executable PATTERN``,
    ``--symlink PATH<TAB>TARGET``, ``--empty-dir PATH``; then lines of fields with tabs between them:
    ``src FILE SHORT_PATH``; ``rename FILE PATH``; ``binary SHORT_PATH PATH-OR-EMPTY``, which opens a runfiles tree for
    ``run FILE SHORT_PATH``, ``runlink FILE PATH`` and ``runroot FILE PATH``; and ``unfit PATH`` in place of one with a
    tab or a line break in a name.

``assemble``
    ``--archive``, ``--id``, ``--metadata``, ``--listing``, ``--file-name`` (outputs), ``--level``, ``--manifest``,
    ``--stable-status`` and ``--volatile-status`` when the capsule is stamped; and for each layer ``--layer`` followed
    by five lines: name, owner, fragment, contents, index.

Both begin with ``--letter=é``, by which is seen whether Bazel encoded the names once or, as old ones do, twice.
An option's value is on its line after ``=``, or on the next line. Imports as little as it can: it starts once a layer.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from capsule_builder.archive.members import default_jobs
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.layer import LayerFiles, write_layer
from capsule_builder.metadata import UNSTAMPED, BuildFacts
from capsule_builder.paths import shown
from capsule_builder.patterns import Patterns
from capsule_builder.sources.filelist import FileList
from capsule_builder.sources.placement import Placement

_FLAGS = {"--strict-prefix"}
_ENCODED_TWICE = b"--letter=" + "\u00e9".encode().decode("latin-1").encode()
_LAYER_FIELDS = 5
_FIELDS = {"src": 2, "rename": 2, "binary": 2, "run": 2, "runlink": 2, "runroot": 2, "unfit": 1}
_NAMES_NO_FILE = {"binary", "unfit"}  # their first field is for places and messages only
_MAX_JOBS = 4  # Bazel reckons one core an action; a few threads more serve the one large layer


@dataclass(slots=True)
class _Arguments:
    verb: str
    options: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    layers: list[tuple[str, ...]] = field(default_factory=list)
    places: list[list[str]] = field(default_factory=list)

    def one(self, name: str, default: str = "") -> str:
        return self.options[name][-1] if self.options[name] else default


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one action; ``argv`` (default: the process's) is its arguments or ``@FILE``. Gives the exit status."""
    try:
        arguments = _parse(list(sys.argv[1:] if argv is None else argv))
        if arguments.verb == "layer":
            _layer(arguments)
        elif arguments.verb == "assemble":
            _assemble(arguments)
        else:
            raise refusal(
                "action-verb", f"Unknown action: {arguments.verb}", "Builder and rules must be of one release."
            )
    except CapsuleError as error:
        for problem in error.problems:
            _say(str(problem) if hasattr(problem, "line") else f"ERROR: {problem}")
        return 1
    except OSError as error:
        _say(f"ERROR: Cannot write the capsule: {error.strerror or error} ({error.filename or 'output'})")
        return 1
    return 0


def _say(text: str) -> None:
    sys.stderr.buffer.write(text.encode("utf-8", "backslashreplace") + b"\n")


def _parse(argv: list[str]) -> _Arguments:
    """Reads the command line; what does not follow the grammar was written by rules of another release."""
    try:
        return _parsed(argv)
    except (OSError, ValueError) as error:
        raise refusal(
            "action-line", f"Cannot read the command line: {error}", "Builder and rules must be of one release."
        ) from error


def _parsed(argv: list[str]) -> _Arguments:
    raw: list[bytes] = []
    for argument in argv:
        if argument.startswith("@"):
            with open(argument[1:], "rb") as params:
                raw += [line for line in params.read().split(b"\n") if line]
        else:
            raw.append(os.fsencode(argument))
    twice = _ENCODED_TWICE in raw
    lines = [_text(line, twice) for line in raw]
    arguments = _Arguments(lines[0] if lines else "")
    rest = iter(lines[1:])
    for line in rest:
        if not line.startswith("--"):
            what, *fields = line.split("\t")
            if _FIELDS.get(what) != len(fields):
                raise ValueError(f"not a line of a known kind: {line}")
            if twice and what not in _NAMES_NO_FILE:
                fields[0] = _on_disk(fields[0])
            arguments.places.append([what, *fields])
        elif line == "--layer":
            arguments.layers.append(tuple(_value(line, rest) for _ in range(_LAYER_FIELDS)))
        else:
            name, equals, value = line.partition("=")
            arguments.options[name].append(value if equals or name in _FLAGS else _value(name, rest))
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


def _layer(arguments: _Arguments) -> None:
    listed = _listed(arguments)
    patterns, manifest = list(arguments.options["--executable"]), None
    if path := arguments.one("--manifest"):
        from capsule_builder.manifest import load
        from capsule_builder.sources.files import read_manifest

        manifest = read_manifest(path)
        patterns += load(manifest, path)[0].executables
        if replaced := listed.replaces(manifest):
            _say(f"WARNING: {replaced} is left out: {path} takes its place as capsule.yml")
    with (
        open(arguments.one("--fragment"), "wb") as fragment,
        open(arguments.one("--contents"), "wb") as contents,
        open(arguments.one("--index"), "wb") as index,
    ):
        write_layer(
            listed.entries(Patterns(patterns), manifest),
            LayerFiles(fragment, contents, index),
            level=int(arguments.one("--level")),
            jobs=min(default_jobs(), _MAX_JOBS),
        )


def _listed(arguments: _Arguments) -> FileList:
    """The files, links and directories of a layer, each at its place."""
    placement = Placement(
        package_dir=arguments.one("--package-dir"),
        strip_prefix=arguments.one("--strip-prefix"),
        strict="--strict-prefix" in arguments.options,
        workspace_name=arguments.one("--workspace-name"),
    )
    listed = FileList()
    runfiles = ""
    for what, *fields in arguments.places:
        try:
            if what == "src":
                listed.add_file(placement.source(fields[1]), fields[0])
            elif what == "rename":
                listed.add_file(placement.below(fields[1]), fields[0])
            elif what == "binary":
                place = placement.below(fields[1]) if fields[1] else placement.source(fields[0])
                runfiles = f"{place}.runfiles/"
            elif what == "run":
                listed.add_file(runfiles + placement.runfile(fields[1]), fields[0])
            elif what == "runlink":
                listed.add_file(f"{runfiles}{placement.workspace_name}/{fields[1]}", fields[0])
            elif what == "runroot":
                listed.add_file(runfiles + fields[1], fields[0])
            else:
                name = "\\".join(shown(part) for part in fields[0].split("\\"))  # its tabs and line breaks are escaped
                raise refusal(
                    "name-character",
                    f"Name holds a control character: {name}",
                    "Rename the file, or leave it out.",
                )
        except CapsuleError as error:
            listed.problems += error.problems
    for link in arguments.options["--symlink"]:
        path, _, target = link.partition("\t")
        listed.add_link(placement.below(path), target)
    for path in arguments.options["--empty-dir"]:
        listed.add_empty(placement.below(path))
    for pattern in arguments.options["--executable"]:
        from capsule_builder.manifest.executable_patterns import EXECUTABLE

        if complaint := EXECUTABLE.complaint(pattern):
            remedy = f"{complaint.remedy[:1].upper()}{complaint.remedy[1:]}."
            listed.problems.append(Problem(complaint.code, f"executables: {complaint.message}", remedy))
    listed.problems = list(dict.fromkeys(listed.problems))  # a program's own file may be named by several lines
    return listed


def _assemble(arguments: _Arguments) -> None:
    from capsule_builder import capsule
    from capsule_builder.manifest import load
    from capsule_builder.sources.files import read_manifest

    path = arguments.one("--manifest")
    manifest, found = load(read_manifest(path), path)
    for problem in found:
        _say(str(problem))
    with contextlib.ExitStack() as stack:
        layers = [
            capsule.Layer(name, owner, LayerFiles(*(stack.enter_context(open(file, "rb")) for file in files)))
            for name, owner, *files in arguments.layers
        ]
        listing = stack.enter_context(open(arguments.one("--listing"), "w+b"))
        merged = capsule.merge(layers, manifest, listing)
        for warning in merged.warnings:
            _say(f"WARNING: {warning}")
        archive = stack.enter_context(open(arguments.one("--archive"), "wb"))
        index = stack.enter_context(tempfile.TemporaryFile())
        document = capsule.write_archive(
            archive, index, merged, layers, manifest, level=int(arguments.one("--level")), build=_facts(arguments)
        )
    _write(arguments.one("--id"), f"{merged.id}\n".encode())
    _write(arguments.one("--metadata"), document)
    _write(arguments.one("--file-name"), f"{capsule.archive_name(manifest.name, merged.id)}\n".encode())


def _facts(arguments: _Arguments) -> BuildFacts:
    files = [arguments.one(name) for name in ("--stable-status", "--volatile-status")]
    if not any(files):
        return UNSTAMPED
    from capsule_builder.stamp import from_status

    text = ""
    for file in filter(None, files):
        with open(file, encoding="utf-8", errors="surrogateescape") as status:
            text += status.read()
    return from_status(text)


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


if __name__ == "__main__":
    raise SystemExit(main())
