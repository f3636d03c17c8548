"""What a script comes to: the processes that it leaves running in place of the one that called it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import replace

from capsule_deploy.migrate.model import Findings, Process
from capsule_deploy.migrate.places import Places
from capsule_deploy.migrate.shell.builtins import Ended
from capsule_deploy.migrate.shell.follower import Follower
from capsule_deploy.migrate.shell.scene import Scene, Trace
from capsule_deploy.migrate.shell.tokens import NotUnderstoodError


def follow_script(
    text: str,
    process: Process,
    places: Places,
    findings: Findings,
    *,
    script: str | None,
    arguments: Sequence[str] = (),
) -> list[Process] | None:
    """The processes that a script leaves running in place of ``process``, which called it; None to keep the script.

    ``script`` is its path on the old host; None when the text is that of ``sh -c``.
    """
    file = process.origin.file if script is None else places.shown(places.here(script))
    lines = text.split("\n") if script is not None else []
    reading = () if script is None else (script,)
    scene = Scene(
        file, lines, tuple(arguments), script, process.cwd, dict(process.env), venv=process.venv, reading=reading
    )
    follower = Follower(places)
    try:
        follower.follow(text, scene, 1 if script is not None else process.origin.line)
    except Ended:
        pass
    except NotUnderstoodError as error:
        origin = scene.origin(error.line) if script is not None else process.origin
        message = f"The script is more than a start of programs: {error.message}."
        remedy = "It is kept as the entrypoint; check what it does in a capsule, or name the program in the manifest."
        findings.left("script-kept", file, message, remedy, origin)
        return None
    return _processes(follower.trace, process, script, file, findings)


def _processes(
    trace: Trace, process: Process, script: str | None, file: str, findings: Findings
) -> list[Process] | None:
    started = trace.started
    staying = [one for one in started if one.stays or one is started[-1]]
    if not staying:
        message = "The script starts no program that stays."
        findings.left("script-empty", process.name, message, "Name the program itself.", process.origin)
        return []
    for finding in trace.findings:
        findings.again(finding)
    findings.scripts |= trace.read
    if script is not None:
        findings.scripts.setdefault(file)
    for one in started:
        if one not in staying:
            subject = posixpath.basename(one.argv[0])
            remedy = "Run it as a step of the deployment."
            findings.left("script-step", subject, "The script runs this before the service.", remedy, one.origin)
    if script is not None:
        message = (
            f"The script is not needed any more: it comes to {len(staying)} program(s), which are started directly."
        )
        findings.changed("script-unwrapped", script, message, "", process.origin)
    processes = []
    for number, one in enumerate(staying):
        name = process.name if len(staying) == 1 else f"{process.name}-{_program_name(one.argv, number)}"
        origin = one.origin if one.origin.text else process.origin
        processes.append(
            replace(process, name=name, argv=one.argv, origin=origin, cwd=one.cwd, env=one.env, venv=one.venv)
        )
    return processes


def _program_name(argv: Sequence[str], number: int) -> str:
    names = [
        word.rpartition(".")[2] if before == "-m" else posixpath.basename(word).partition(".")[0]
        for before, word in zip(("", *argv), argv, strict=False)
        if re.search(r"\w", word)
    ]
    names = [
        name for name in names if name not in ("nohup", "env", "setsid", "-m") and not name.startswith(("python", "-"))
    ]
    return names[0] if names else str(number + 1)
