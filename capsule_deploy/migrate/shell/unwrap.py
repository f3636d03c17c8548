"""From what the system got to execute to the programs themselves: through prefixes, shells and scripts."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import replace

from capsule_builder.errors import CapsuleError
from capsule_deploy.migrate.model import Findings, Process
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.shell.prefixes import without_prefixes
from capsule_deploy.migrate.shell.script import follow_script

_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh"})
_DEPTH = 12
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def unwrap(process: Process, places: Places, findings: Findings, depth: int = 0) -> list[Process]:
    """The processes that come of one: programs alone, each by its absolute path on the old host where it is known."""
    process = without_prefixes(process, findings)
    if not process.argv:
        findings.left("no-command", process.name, "There is no command after what comes before it.", "", process.origin)
        return []
    process = replace(process, argv=(_located(process, places), *process.argv[1:]))
    if depth > _DEPTH:
        findings.left("script-kept", process.name, "Shells within shells, too many deep.", "", process.origin)
        return []
    script = _script(process, places)
    if script is None:
        return [process]
    text, path, arguments = script
    if text is None:
        if path is None:
            findings.left("shell-command", process.name, "A shell without a script.", "", process.origin)
            return []
        try:
            text = places.text(places.here(path))
        except CapsuleError as error:
            remedy = "Name the program itself."
            findings.left("script-missing", process.name, f"{error.problems[0].message}.", remedy, process.origin)
            return []
    found = follow_script(text, process, places, findings, script=path, arguments=arguments)
    if found is None:
        if path is None:
            message = "A shell's command line cannot be an entrypoint."
            remedy = "Put it into a script of the application that begins with #!/bin/sh, and name that."
            findings.left("shell-command", process.name, message, remedy, process.origin)
            return []
        if re.search(r"(?m)(?:^|[;&\s])(?:source|\.)\s+\S*bin/activate", text):
            message = "The script activates an environment; a capsule's has no activation script."
            remedy = "Call its programs by their path, venv/bin/…, from the script's own directory."
            findings.left("activate", path, message, remedy, process.origin)
        return [replace(process, argv=(path, *arguments))]
    inner: list[Process] = []
    for one in found:
        inner += unwrap(one, places, findings, depth + 1) if one.argv != process.argv or depth < 2 else []
    return inner


def _located(process: Process, places: Places) -> str:
    """The program's path on the old host; its name alone when it is found nowhere."""
    program = process.argv[0]
    if "/" in program:
        if program.startswith("/"):
            return posixpath.normpath(program)
        return posixpath.normpath(posixpath.join(process.cwd, program)) if process.cwd else program
    path = process.env["PATH"].value if "PATH" in process.env else _PATH
    directories = [*([f"{process.venv}/bin"] if process.venv else []), *path.split(":")]
    for directory in directories:
        candidate = posixpath.join(directory, program)
        if directory.startswith("/") and places.is_file(places.here(candidate)):
            return posixpath.normpath(candidate)
    return program


def _script(process: Process, places: Places) -> tuple[str | None, str | None, Sequence[str]] | None:
    """The text of ``sh -c``, or the path of a shell script, with its arguments; None when it is something else."""
    words = list(process.argv)
    if posixpath.basename(words[0]) in _SHELLS and places.relative(words[0]) is None:
        words.pop(0)
        while words and re.fullmatch(r"[-+][a-zA-Z]+|--[a-z]+", words[0]):
            option = words.pop(0)
            if option in ("-o", "+o") and words:
                words.pop(0)
            elif "c" in option and not option.startswith("--"):
                return (words[0], None, words[2:]) if words else (None, None, [])
        if not words:
            return None, None, []
        path = words[0] if words[0].startswith("/") else posixpath.join(process.cwd or "/", words[0])
        return None, posixpath.normpath(path), words[1:]
    if places.relative(words[0]) is None:
        return None
    head = places.head(places.here(words[0]), 256)
    if re.match(rb"#!\s*(?:\S*/env\s+(?:-\S+\s+)*)?(?:\S*/)?(?:sh|bash|dash|ash|ksh|zsh)(?:\s|$)", head):
        return None, words[0], words[1:]
    return None
