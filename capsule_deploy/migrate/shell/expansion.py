"""What words come to, as far as it can be told without running anything (POSIX, chapter 2.6)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import replace

from capsule_deploy.migrate.shell.scene import MAX_NESTED, Scene
from capsule_deploy.migrate.shell.syntax import Simple, parse
from capsule_deploy.migrate.shell.tokens import NotUnderstoodError, Part, Word

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")


def assignment(word: Word) -> tuple[str, Word] | None:
    """The name and the value of ``NAME=value``; ``NAME+=value`` is none that a script should need."""
    if not word.parts or word.parts[0].kind != "text" or word.parts[0].quoted:
        return None
    found = _ASSIGNMENT.match(word.parts[0].text)
    if not found:
        return None
    if found[2]:
        raise NotUnderstoodError(word.line, "a value that is added to another")
    rest = Part("text", word.parts[0].text[found.end() :], False)
    return found[1], Word((rest, *word.parts[1:]) if rest.text else word.parts[1:], word.line)


def one(word: Word, scene: Scene) -> str | None:
    """The word as one text; None when only a run can tell."""
    expanded = [_part(part, scene) for part in word.parts]
    return None if None in expanded else "".join(text for text in expanded if text is not None)


def expand(word: Word, scene: Scene, unknown: Callable[[str], None]) -> list[str] | None:
    """The words that one becomes; None when only a run can tell. ``unknown`` hears of variables that nothing sets."""
    said = [part for part in word.parts if part.kind != "text" or part.text]
    if len(said) == 1 and said[0].kind == "variable" and said[0].text == "@":
        return list(scene.arguments)
    words: list[str] = []
    current: str | None = None
    for part in word.parts:
        text = _part(part, scene)
        if text is None:
            return None
        if part.kind == "variable" and not text and _is_name(part.text) and not scene.knows(part.text):
            unknown(part.text)
        if part.quoted or part.kind == "text":
            current = (current or "") + text
            continue
        pieces = text.split()
        if pieces and current is not None and not text[0].isspace():
            pieces[0] = current + pieces[0]
        elif current is not None and text:
            words.append(current)
        if pieces:
            words += pieces[:-1]
            current = pieces[-1]
            if text[-1].isspace():
                words.append(current)
                current = None
    return words if current is None else [*words, current]


def _part(part: Part, scene: Scene) -> str | None:
    if part.kind == "text":
        if part.text.startswith("~") and not part.quoted:
            return None
        return part.text
    if part.kind == "command":
        return _output(part.text, scene)
    return _variable(part.text, scene)


def _variable(text: str, scene: Scene) -> str | None:
    if text in ("0", "BASH_SOURCE[0]", "BASH_SOURCE"):
        return scene.script
    if text.isdigit():
        return scene.arguments[int(text) - 1] if int(text) <= len(scene.arguments) else ""
    if text in ("@", "*"):
        return " ".join(scene.arguments)
    if text == "PWD":
        return scene.cwd
    found = re.fullmatch(r"([A-Za-z_][A-Za-z0-9_]*|0)(?:(:?[-=+?]|%|%%)(.*))?", text, re.DOTALL)
    if not found:
        return None
    name, operator, rest = found.groups()
    if name == "0":
        value: str | None = scene.script
    elif name in scene.own:
        variable = scene.own[name]
        value = None if variable is None else variable.value
    else:
        value = scene.exported[name].value if name in scene.exported else ""
    if value is None or operator is None:
        return value
    if operator in ("%", "%%"):
        return posixpath.dirname(value) if rest == "/*" and operator == "%" else None
    has_value = value != "" or (":" not in operator and scene.knows(name))
    if operator.endswith("+"):
        return _default(rest, scene) if has_value else ""
    if has_value:
        return value
    return None if operator.endswith("?") else _default(rest, scene)


def _default(text: str, scene: Scene) -> str | None:
    if len(scene.reading) >= MAX_NESTED:
        return None
    scene = replace(scene, reading=(*scene.reading, "${"))
    try:
        tokens = parse(f"x {text}" if text else "x")
    except NotUnderstoodError:
        return None
    command = tokens[0].pipelines[0][1][0]
    if len(tokens) != 1 or len(tokens[0].pipelines) != 1 or not isinstance(command, Simple):
        return None
    parts = [one(word, scene) for word in command.words[1:]]
    return None if None in parts else " ".join(part for part in parts if part is not None)


def _output(text: str, scene: Scene) -> str | None:
    """What a substitution comes to, when it only asks for a place."""
    if len(scene.reading) >= MAX_NESTED:
        return None
    try:
        steps = parse(text)
    except NotUnderstoodError:
        return None
    inner = replace(scene, own=dict(scene.own), exported=dict(scene.exported), reading=(*scene.reading, "$("))
    output: str | None = ""
    for step in steps:
        for operator, pipeline in step.pipelines:
            command = pipeline[0]
            if operator == "||" or len(pipeline) != 1 or not isinstance(command, Simple) or step.background:
                return None
            output = _printed(command, inner)
            if output is None:
                return None
    return output


def _printed(command: Simple, scene: Scene) -> str | None:
    words = [one(word, scene) for word in command.words]
    if not words or None in words:
        return None
    name, *operands = [word for word in words if word is not None]
    operands = [word for word in operands if not re.fullmatch("-[A-Za-z-]*", word)]
    if name == "pwd":
        return scene.cwd
    if name == "cd" and operands:
        if scene.cwd is None and not operands[0].startswith("/"):
            return None
        scene.cwd = posixpath.normpath(posixpath.join(scene.cwd or "/", operands[0]))
        return ""
    if name == "echo":
        return " ".join(operands)
    if len(operands) == 1 and name in ("dirname", "basename", "readlink", "realpath"):
        if name in ("dirname", "basename"):
            return getattr(posixpath, name)(operands[0]) or "."
        if scene.cwd is None and not operands[0].startswith("/"):
            return None
        return posixpath.normpath(posixpath.join(scene.cwd or "/", operands[0]))
    return None


def _is_name(text: str) -> bool:
    return re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", text) is not None
