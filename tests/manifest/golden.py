"""Reads and rewrites ``messages.golden``: ``python -m tests.manifest.golden``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from capsule_builder.manifest import check

FILE = Path(__file__).with_name("messages.golden")
HEAD = "name: my-app\nversion: 1.0.0\nentrypoint: app/main.py\n"


class Case(NamedTuple):
    title: str
    text: str
    said: str


def said_of(data: bytes) -> str:
    return "".join(f"{problem}\n" for problem in check(data, "c.yml")[1])


def read_cases() -> list[Case]:
    """The cases of the file; in their text "..." is the head already."""
    parts = re.findall(r"^=== (.*)\n((?s:.*?))^>>>\n((?s:.*?))^\n", FILE.read_text("utf-8"), re.MULTILINE)
    return [Case(title, re.sub(r"\A\.\.\.\n", HEAD, text), said) for title, text, said in parts]


def rewrite() -> None:
    golden = FILE.read_text("utf-8")
    for case in read_cases():
        start = golden.index(">>>\n", golden.index(f"=== {case.title}\n")) + 4
        golden = golden[:start] + said_of(case.text.encode()) + golden[start + len(case.said) :]
    FILE.write_text(golden, "utf-8")


if __name__ == "__main__":
    rewrite()
