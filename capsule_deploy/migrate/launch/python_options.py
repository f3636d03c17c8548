"""The interpreter's own options (python(1)). Pure."""

from __future__ import annotations

import re


def python_options(words: list[str]) -> tuple[list[str], list[str]]:
    """The interpreter's own options, and what comes after them."""
    options: list[str] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] not in ("-m", "-c", "-"):
        word = rest.pop(0)
        options.append(word)
        if word in ("-W", "-X", "--check-hash-based-pycs") and rest:
            options.append(rest.pop(0))
        elif not word.startswith("--") and word[-1] in "mc" and word[1] not in "WX":  # -um module
            options[-1] = word[:-1]
            return options, [f"-{word[-1]}", *rest]
        elif re.match("-[mc].", word):
            options.pop()
            return options, [word[:2], word[2:], *rest]
    return options, rest


def simple_options(options: list[str]) -> dict[str, str] | None:
    """The variables that say the same as options; None when there are others."""
    env: dict[str, str] = {}
    for option in options:
        if option.startswith("--") or not set(option[1:]) <= set("uBO"):
            return None
        for letter in option[1:]:
            name = {"u": "PYTHONUNBUFFERED", "B": "PYTHONDONTWRITEBYTECODE", "O": "PYTHONOPTIMIZE"}[letter]
            env[name] = str(int(env.get(name, "0")) + 1) if letter == "O" else "1"
    return env
