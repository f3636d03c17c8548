"""The syntax of ``EnvironmentFile=`` (systemd.exec(5)). Pure."""

from __future__ import annotations

import re

from capsule_deploy.migrate.systemd.syntax import SPACE, Complaint


def parse_environment_file(text: str) -> tuple[list[tuple[str, str, int]], list[Complaint]]:
    """Names, values and lines of an ``EnvironmentFile=``, by the states of systemd's own reader.

    It is like a shell's and yet is not: quotations may run over lines, but count at the head of a value alone; a
    backslash takes the next character as it is; comments begin at the head of a line; nothing is expanded.
    """
    found: list[tuple[str, str, int]] = []
    wrong: list[Complaint] = []
    at, number = 0, 1
    while at < len(text):
        char = text[at]
        if char in SPACE:
            number += char == "\n"
            at += 1
            continue
        if char in "#;":
            end = _comment_end(text, at)
        else:
            end = _key_end(text, at)
            key = text[at:end]
            if text[end : end + 1] == "=":
                value, end = _environment_value(text, end + 1)
                name = key.rstrip(SPACE)
                if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
                    found.append((name, value, number))
                else:
                    wrong.append(Complaint(number, key, "that is no name of a variable"))
            else:
                wrong.append(Complaint(number, key, 'there is no "="'))
        number += text.count("\n", at, end)
        at = end
    return found, wrong


def _key_end(text: str, at: int) -> int:
    while at < len(text) and text[at] not in "=\n\r":
        at += 1
    return at


def _comment_end(text: str, at: int) -> int:
    """Where the line after a comment begins: a backslash at its end takes the next line in as well."""
    while at < len(text) and text[at] not in "\n\r":
        at += 2 if text[at] == "\\" else 1
    return min(at + 1, len(text))


def _environment_value(text: str, at: int) -> tuple[str, int]:
    """The value that begins at ``at``, and where the next line begins."""
    value: list[str] = []
    state = "head"
    kept = 0  # how much of the value stays when white space at its end goes
    while at < len(text):
        char = text[at]
        following = text[at + 1 : at + 2]
        at += 1
        if state == "'":
            state = "head" if char == "'" else state
            value += [] if char == "'" else [char]
        elif state == '"' and char == "\\" and following:
            value += following if following in '"\\`$' else [] if following == "\n" else [char, following]
            at += 1
        elif state == '"':
            state = "head" if char == '"' else state
            value += [] if char == '"' else [char]
        elif char in "\n\r":
            break
        elif char == "\\":
            value += [] if following in "\n\r" else [following]
            at += len(following)
            state, kept = "plain", len(value)
        elif state == "head" and char in "'\"":
            state = char
        elif char in " \t":
            value += [char] if state == "plain" else []
        else:
            value.append(char)
            state, kept = "plain", len(value)
    return "".join(value[:kept] if state == "plain" else value), at
