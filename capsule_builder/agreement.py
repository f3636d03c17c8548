"""Whether a capsule's content bears out its manifest. Pure: listings in, problems out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from capsule_builder.contents import Listed
from capsule_builder.errors import Problem
from capsule_builder.links import destination
from capsule_builder.manifest import Manifest
from capsule_builder.paths import shown
from capsule_builder.patterns import Patterns

_INTERPRETER = "venv/bin/python"


def missing_entrypoints(manifest: Manifest, links: Mapping[str, str], files: Iterable[str]) -> list[Problem]:
    """A problem for every entry point of the manifest that is no file of the capsule; one may be reached by links.

    ``links`` are the capsule's (path to target), ``files`` the paths of its regular files.
    """
    missing = _absent(entrypoints(manifest), links, files)
    remedy = "Add the file, or name an existing one in the manifest (is it excluded?)."
    return [Problem("entrypoint-missing", f"Entrypoint not found: {shown(path)}", remedy) for path in missing]


def other_python(manifest: Manifest, links: Mapping[str, str]) -> list[Problem]:
    """A problem when the environment, if there is one, is not for the Python that the manifest states."""
    found = sorted(path.removeprefix(_INTERPRETER) for path in links if path.startswith(_INTERPRETER + "3."))
    if not found or manifest.python is None or manifest.python in found:
        return []
    message = f"The environment is for Python {found[0]}, and the manifest says {manifest.python}"
    return [Problem("python-mismatch", message, "Build the environment for that version, or mend dependencies.python.")]


def unverified(
    manifest: Manifest, links: Mapping[str, str], entries: Iterable[Listed], verified: Collection[str]
) -> list[Problem]:
    """A problem when no layer verified the environment against the manifest's requirements file.

    ``verified`` are the SHA-256 of those that were; ``entries`` are those of the capsule's listing.
    """
    if not manifest.pip_requirements:
        return []
    end = destination(manifest.pip_requirements, links)
    digests = [entry.detail for entry in entries if entry.path == end and entry.kind in {"file", "executable"}]
    if not digests or digests[0] in verified:  # a missing file is a doubt of its own
        return []
    message = f"No layer was verified against the manifest's requirements: {shown(manifest.pip_requirements)}"
    remedy = (
        "Give that file to the capsule_python_layers in layers (requirements = ...), or build without this check:"
        " verify_requirements = False."
    )
    return [Problem("requirements-unverified", message, remedy)]


def doubts(manifest: Manifest, links: Mapping[str, str], entries: Iterable[Listed]) -> list[Problem]:
    """Warnings: what the manifest says and the content does not bear out, but which need not be wrong.

    ``entries`` are those of the capsule's listing, gone through once; of files that it does not name, only those below
    ``venv/`` matter, and then one of them, unless it has patterns.
    """
    unmatched = {line: Patterns([line]) for line in manifest.executables if not line.startswith("!")}
    programs: set[str] = set()
    files: list[str] = []
    has_venv = False
    for entry in entries:
        has_venv = has_venv or entry.path.startswith("venv/")
        if entry.kind not in {"file", "executable"}:
            continue
        files.append(entry.path)
        if entry.kind == "executable":
            programs.add(entry.path)
        for line in [line for line, pattern in unmatched.items() if pattern.match(entry.path)]:
            del unmatched[line]

    found: list[Problem] = []
    if manifest.entrypoint.endswith(".py") and not has_venv:
        found.append(Problem("venv-missing", "Python entrypoint found but no venv included"))
    for path in entrypoints(manifest):
        end = destination(path, links)
        if not path.endswith(".py") and end not in programs and not (end or "/").startswith("/"):
            remedy = "Begin it with #!, or name it under executables in the manifest."
            message = f"Entrypoint is neither a Python file nor executable: {shown(path)}"
            found.append(Problem("entrypoint-not-executable", message, remedy))
    if manifest.pip_requirements and _absent([manifest.pip_requirements], links, files):
        message = f"Requirements file not found: {shown(manifest.pip_requirements)}"
        remedy = "Add the file, or remove dependencies.pip_requirements from the manifest."
        found.append(Problem("requirements-missing", message, remedy))
    commands = [s.health.command[0] for s in manifest.services if s.health and s.health.command]
    for command in _absent(commands, links, files):
        remedy = "Add the file, or name an existing one in the manifest (is it excluded?)."
        found.append(Problem("health-missing", f"Health command not found: {shown(command)}", remedy))
    for line in unmatched:
        remedy = "Mend or remove the pattern in the manifest."
        found.append(Problem("executables-unmatched", f"Pattern of executables names no file: {shown(line)}", remedy))
    return found


def entrypoints(manifest: Manifest) -> list[str]:
    """What the manifest starts, each once."""
    return list(dict.fromkeys([manifest.entrypoint, *(s.entrypoint for s in manifest.services if s.entrypoint)]))


def named_paths(manifest: Manifest) -> list[str]:
    """All paths that the manifest names, patterns aside."""
    commands = [s.health.command[0] for s in manifest.services if s.health and s.health.command]
    requirements = [manifest.pip_requirements] if manifest.pip_requirements else []
    return [*entrypoints(manifest), *commands, *requirements]


def _absent(named: Iterable[str], links: Mapping[str, str], files: Iterable[str]) -> list[str]:
    """Those of ``named`` that lead neither to a file nor out of the capsule by the interpreter contract."""
    ends = {path: destination(path, links) for path in named}
    wanted = {end for end in ends.values() if end is not None and not end.startswith("/")}
    for path in files:
        wanted.discard(path)
    return [path for path, end in ends.items() if end is None or end in wanted]
