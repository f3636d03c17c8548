"""The programs that ``ExecStart=`` starts (systemd.service(5), "Command lines")."""

from __future__ import annotations

import re

from capsule_deploy.migrate.model import Findings, Origin, Variable
from capsule_deploy.migrate.systemd.specifiers import Specifiers
from capsule_deploy.migrate.systemd.unit import Unit
from capsule_deploy.migrate.systemd.words import SEPARATOR, QuotingError, expand_variables, split_words


def commands(
    unit: Unit, env: dict[str, Variable], specifiers: Specifiers, findings: Findings
) -> list[tuple[tuple[str, ...], Origin]]:
    """The words of each command of ``ExecStart=`` as the system gets them, with their places."""
    values = {name: variable.value for name, variable in env.items()}
    found: list[tuple[tuple[str, ...], Origin]] = []
    for value, origin in unit.all("ExecStart"):
        try:
            words = split_words(value, separators=True)
        except QuotingError as error:
            findings.left("line-invalid", "ExecStart", f"systemd refuses it: {error}.", "", origin)
            continue
        commands: list[list[str]] = [[]]
        for word in words:
            if word == SEPARATOR:
                commands.append([])
            else:
                commands[-1].append(word)
        found += [(_command(command, values, origin, specifiers, findings), origin) for command in commands if command]
    return found


def _command(
    words: list[str], env: dict[str, str], origin: Origin, specifiers: Specifiers, findings: Findings
) -> tuple[str, ...]:
    prefix = re.match(r"[-@:+!]*", words[0])
    marks = prefix[0] if prefix else ""
    words = [words[0][len(marks) :], *words[1:]]
    if "-" in marks:
        message = 'The "-" let it fail unnoticed; a capsule\'s process that fails is restarted.'
        findings.left("exec-prefix", "ExecStart", message, "", origin)
    if "+" in marks or "!" in marks:
        message = f"The \"{marks}\" gave it all rights; a capsule's service has none but its account's."
        findings.left("root-user", "ExecStart", message, "Let the host do what needs rights.", origin)
    if "@" in marks and len(words) > 1:
        message = f"Its name was set to {words[1]}; it is that of the program."
        findings.left("exec-prefix", "ExecStart", message, "", origin)
        del words[1]
    words = [specifiers.expanded(word, "ExecStart", origin) for word in words]
    if ":" in marks:
        return tuple(words)
    argv, missing = expand_variables(words[1:], env)
    for name in dict.fromkeys(missing):
        message = f"{name} is not set anywhere; it stands for nothing here."
        findings.left("variable-unknown", name, message, "Write the value into the manifest's args.", origin)
    return (words[0], *argv)
