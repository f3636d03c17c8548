"""Takes away what stands before a program: ``env``, ``nohup``, ``nice``, ``flock``, ``sudo``, ``su`` and the like."""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace

from capsule_deploy.migrate.circumstances import account
from capsule_deploy.migrate.model import Findings, Process, Variable

_DEPTH = 12

# The options of each that take a value as the next word.
_WITH_VALUE = {
    "nohup": "", "setsid": "", "exec": "", "time": "", "stdbuf": "ioe", "nice": "n", "ionice": "cnp", "chrt": "",
    "taskset": "", "numactl": "", "flock": "wE", "sudo": "ugphCTrt", "runuser": "ugGs", "gosu": "", "su-exec": "",
    "setuidgid": "", "catchsegv": "", "unbuffer": "", "chronic": "",
}  # fmt: skip
_OPERANDS = {"flock": 1, "gosu": 1, "su-exec": 1, "setuidgid": 1, "taskset": 1, "chrt": 1}
"""How many operands of its own a program has before the command."""


def without_prefixes(process: Process, findings: Findings) -> Process:
    """The process without what stands before its program; with no words at all when there is no program."""
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
        remedy = (
            "Use resources.io_weight or cpu_quota; a program that sets its own needs sandbox: { allow: [scheduling] }."
        )
        findings.left("scheduling", program, message, remedy, process.origin)
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
