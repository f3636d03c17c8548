"""What the Bazel actions run, each with one parameter file (:mod:`capsule_builder.actions.params`).

``layer`` and ``assemble`` are here, those of Python environments in :mod:`capsule_builder.actions.python`; those about
finished capsules are another program, :mod:`capsule_builder.actions.statement`. Imports as little as it can: where
there is no persistent worker (:mod:`capsule_builder.actions.worker`), it starts once a layer.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

from capsule_builder import open_files
from capsule_builder.actions.params import Arguments, parse
from capsule_builder.archive.effort import default_jobs
from capsule_builder.entries import Entry
from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.layer import LayerFiles, write_layer
from capsule_builder.metadata import UNSTAMPED, BuildFacts, archive_name
from capsule_builder.paths import shown
from capsule_builder.patterns import Patterns
from capsule_builder.sources.filelist import FileList
from capsule_builder.sources.placement import Placement

_MAX_SHOWN = 100
_MAX_JOBS = 4  # Bazel reckons one core an action; a few threads more serve the one large layer


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one action, or a persistent worker; gives the exit status.

    ``argv`` (default: the process's) is an action's arguments or ``@FILE``, or the option that asks for a worker.
    """
    argv = sys.argv[1:] if argv is None else argv
    if "--persistent_worker" in argv:
        from capsule_builder.actions.worker import serve

        return serve(_act)
    return _act(argv)


def _act(argv: Sequence[str] | Sequence[bytes]) -> int:
    of_python = dict.fromkeys(("wheel", "python-base", "interpreter"), _python)
    return run(argv, {"layer": _layer, "assemble": _assemble, **of_python}, "Cannot write the capsule")


def run(argv: Sequence[str] | Sequence[bytes], actions: Mapping[str, Callable[[Arguments], None]], doing: str) -> int:
    """Runs the one of ``actions`` that ``argv`` names; ``doing`` says what failed when the system is at fault."""
    try:
        arguments = parse(argv)
        if arguments.verb not in actions:
            message = f"This program has no action {shown(arguments.verb)}"
            remedy = "Builder and rules must be of one release, and the toolchain must name a program for it."
            raise refusal("action-verb", message, remedy)
        actions[arguments.verb](arguments)
    except CapsuleError as error:
        for problem in error.problems[:_MAX_SHOWN]:
            _say(str(problem) if hasattr(problem, "line") else f"ERROR: {problem}")
        if len(error.problems) > _MAX_SHOWN:
            _say(f"ERROR: … and {len(error.problems) - _MAX_SHOWN:,} more")
        return 1
    except OSError as error:
        _say(f"ERROR: {doing}: {error.strerror or error} ({error.filename or 'output'})")
        return 1
    return 0


def _say(text: str) -> None:
    sys.stderr.buffer.write(text.encode("utf-8", "backslashreplace") + b"\n")


def _layer(arguments: Arguments) -> None:
    listed = _listed(arguments)
    patterns, manifest = list(arguments.options["--executable"]), None
    if path := arguments.one("--manifest"):
        from capsule_builder.manifest import load
        from capsule_builder.sources.files import read_manifest

        manifest = read_manifest(path)
        patterns += load(manifest, path)[0].executables
        if replaced := listed.replaces(manifest):
            _say(f"WARNING: {replaced} is left out: {path} takes its place as capsule.yml")
    _write_layer(arguments, listed.entries(Patterns(patterns), manifest))


def _write_layer(arguments: Arguments, entries: Iterable[Entry], verified: Iterable[str] = ()) -> None:
    with (
        open(arguments.one("--fragment"), "wb") as fragment,
        open(arguments.one("--contents"), "wb") as contents,
        open(arguments.one("--index"), "wb") as index,
    ):
        write_layer(
            entries,
            LayerFiles(fragment, contents, index),
            level=int(arguments.one("--level")),
            jobs=_jobs(),
            verified=verified,
        )


def _jobs() -> int:
    return min(default_jobs(), _MAX_JOBS)


def _python(arguments: Arguments) -> None:
    from capsule_builder.actions import python

    problems = [unfit(fields[0]) for what, *fields in arguments.places if what == "unfit"]
    if problems := problems + _pattern_problems(arguments):
        raise CapsuleError(problems)
    write = functools.partial(_write_layer, arguments)
    if arguments.verb == "wheel":
        python.wheel(arguments, write)
    elif arguments.verb == "python-base":
        python.base(arguments, write, _say)
    else:
        python.interpreter(arguments, write, _say)


def _listed(arguments: Arguments) -> FileList:
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
                listed.problems.append(unfit(fields[0]))
        except CapsuleError as error:
            listed.problems += error.problems
    for link in arguments.options["--symlink"]:
        path, _, target = link.partition("\t")
        listed.add_link(placement.below(path), target)
    for path in arguments.options["--empty-dir"]:
        listed.add_empty(placement.below(path))
    listed.problems += _pattern_problems(arguments)
    listed.problems = list(dict.fromkeys(listed.problems))  # a program's own file may be named by several lines
    return listed


def unfit(path: str) -> Problem:
    """The refusal of a path whose tabs and line breaks had to be escaped to stand in a line."""
    name = "\\".join(shown(part) for part in path.split("\\"))
    return Problem("name-character", f"Name holds a control character: {name}", "Rename the file, or leave it out.")


def _pattern_problems(arguments: Arguments) -> list[Problem]:
    """A problem for every pattern of the attribute ``executables`` that can match nothing."""
    found: list[Problem] = []
    for pattern in arguments.options["--executable"]:
        from capsule_builder.manifest.executable_patterns import EXECUTABLE

        if complaint := EXECUTABLE.complaint(pattern):
            remedy = f"{complaint.remedy[:1].upper()}{complaint.remedy[1:]}."
            found.append(Problem(complaint.code, f"executables: {complaint.message}", remedy))
    return found


def _assemble(arguments: Arguments) -> None:
    from capsule_builder import capsule
    from capsule_builder.manifest import load
    from capsule_builder.sources.files import read_manifest

    path = arguments.one("--manifest")
    manifest, found = load(read_manifest(path), path)
    for problem in found:
        _say(str(problem))
    open_files.allow(sum(len(files) for _, _, *files in arguments.layers))
    with contextlib.ExitStack() as stack:
        layers = [
            capsule.Layer(name, owner, LayerFiles(*(stack.enter_context(open(file, "rb")) for file in files)))
            for name, owner, *files in arguments.layers
        ]
        listing = stack.enter_context(open(arguments.one("--listing"), "w+b"))
        verify = "--no-verify-requirements" not in arguments.options
        merged = capsule.merge(layers, manifest, listing, verify_requirements=verify)
        for warning in merged.warnings:
            _say(f"WARNING: {warning}")
        archive = stack.enter_context(open(arguments.one("--archive"), "wb"))
        index = stack.enter_context(open_files.temporary(os.path.dirname(arguments.one("--archive")) or "."))
        document = capsule.write_archive(
            archive,
            index,
            merged,
            layers,
            manifest,
            level=int(arguments.one("--level")),
            jobs=_jobs(),
            build=_facts(arguments),
        )
    _write(arguments.one("--id"), f"{merged.id}\n".encode())
    _write(arguments.one("--metadata"), document)
    _write(arguments.one("--file-name"), f"{archive_name(manifest.name, merged.id)}\n".encode())


def _facts(arguments: Arguments) -> BuildFacts:
    files = [arguments.one(name) for name in ("--stable-status", "--volatile-status")]
    if not any(files):
        return UNSTAMPED
    from capsule_builder.actions.stamp import from_status

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
