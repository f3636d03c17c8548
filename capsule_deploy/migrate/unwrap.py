"""Takes away what stands before a program: ``env``, ``nohup``, ``sudo``, shells. What is left is the program itself."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import replace

from capsule_builder.errors import CapsuleError
from capsule_deploy.migrate.accounts import account
from capsule_deploy.migrate.model import Findings, Process, Variable
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.reading import read_text
from capsule_deploy.migrate.shell import follow_script

_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh"})
_DEPTH = 12
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# The options of each that take a value as the next word.
_WITH_VALUE = {
    "nohup": "", "setsid": "", "exec": "", "time": "", "stdbuf": "ioe", "nice": "n", "ionice": "cnp", "chrt": "",
    "taskset": "", "numactl": "", "flock": "wE", "sudo": "ugphCTrt", "runuser": "ugGs", "gosu": "", "su-exec": "",
    "setuidgid": "", "catchsegv": "", "unbuffer": "", "chronic": "",
}  # fmt: skip
_OPERANDS = {"flock": 1, "gosu": 1, "su-exec": 1, "setuidgid": 1, "taskset": 1, "chrt": 1}
"""How many operands of its own a program has before the command."""


def unwrap(process: Process, places: Places, findings: Findings, depth: int = 0) -> list[Process]:
    """The processes that come of one: programs alone, each by its absolute path on the old host where it is known."""
    process = _without_prefixes(process, findings)
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
            text = read_text(places.here(path), places.shown(places.here(path)))
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


def _without_prefixes(process: Process, findings: Findings) -> Process:
    for _ in range(_DEPTH):
        if not process.argv:
            return process
        program = posixpath.basename(process.argv[0])
        if program == "env":
            process = _without_env(process)
        elif program == "su":
            inner = _su(process, findings)
            if inner is None:
                return process
            process = inner
        elif program in _WITH_VALUE:
            process = _without(program, process, findings)
        else:
            return process
    return process


def _without_env(process: Process) -> Process:
    words = list(process.argv[1:])
    env = dict(process.env)
    while words:
        word = words[0]
        if word in ("-i", "-", "--ignore-environment"):
            env = {}
        elif word in ("-u", "--unset") and len(words) > 1:
            env.pop(words.pop(0) and words[0], None)
        elif word in ("-S", "--split-string") and len(words) > 1:
            words[:2] = ["-", *words[1].split()]
            words.pop(0)
            continue
        elif re.match("[A-Za-z_][A-Za-z0-9_]*=", word):
            name, _, value = word.partition("=")
            env[name] = Variable(value, process.origin)
        elif word == "--":
            words.pop(0)
            break
        elif not word.startswith("-"):
            break
        words.pop(0)
    return replace(process, argv=tuple(words), env=env)


def _without(program: str, process: Process, findings: Findings) -> Process:
    words = list(process.argv[1:])
    operands = _OPERANDS.get(program, 0)
    user: str | None = None
    text: str | None = None
    env = dict(process.env)
    while words:
        word = words[0]
        if word == "--":
            words.pop(0)
            break
        if word.startswith("-") and len(word) > 1:
            words.pop(0)
            takes = len(word) == 2 and word[1] in _WITH_VALUE[program]
            value = words.pop(0) if takes and words else word[2:]
            user = value if word[1:2] == "u" and program in ("sudo", "runuser") else user
            text = words.pop(0) if program == "flock" and word == "-c" and words else text
        elif operands:
            operands -= 1
            user = words[0].partition(":")[0] if program in ("gosu", "su-exec", "setuidgid") else user
            words.pop(0)
        elif program == "sudo" and re.match("[A-Za-z_][A-Za-z0-9_]*=", word):
            name, _, value = words.pop(0).partition("=")
            env[name] = Variable(value, process.origin)
        else:
            break
    if program in ("nice", "ionice", "chrt", "taskset", "numactl"):
        message = "The manifest has no priorities but io_weight."
        findings.left("scheduling", program, message, "Use resources.io_weight or cpu_quota.", process.origin)
    elif program == "flock":
        message = "A lock kept it from running twice; a release's service runs once."
        findings.changed("lock", program, message, "", process.origin)
    elif program in ("sudo", "runuser", "gosu", "su-exec", "setuidgid"):
        account(findings, user, process.origin, subject=program)
    elif program == "nohup":
        findings.changed("background", program, "systemd keeps the process running.", "", process.origin)
    return replace(process, argv=("/bin/sh", "-c", text) if text else tuple(words), env=env)


def _su(process: Process, findings: Findings) -> Process | None:
    words = list(process.argv[1:])
    text = None
    names: list[str] = []
    while words:
        word = words.pop(0)
        if word in ("-c", "--command") and words:
            text = words.pop(0)
        elif word in ("-s", "-g", "-G", "--shell") and words:
            words.pop(0)
        elif not word.startswith("-"):
            names.append(word)
    if text is None:
        return None
    account(findings, names[0] if names else None, process.origin, subject="su")
    return replace(process, argv=("/bin/sh", "-c", text))


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
