"""What holds of everything that reads: it refuses in words, in good time, and takes nothing but safe names."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator

from capsule_builder.errors import CapsuleError, Problem

MAX_SECONDS = 10.0
"""Of CPU time, for at most 64 KiB: nothing that takes linear time comes near, on any machine."""

MAX_MESSAGE = 30_000
"""Characters: a path of 4,096, or two, each of them an escape."""

_CODE = re.compile(r"[a-z][a-z0-9-]*[a-z0-9]")
_UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class BrokenLawError(AssertionError):
    """Something that must hold does not."""


def law(holds: object, text: str) -> None:
    """Breaks off unless ``holds``; ``text`` says what must hold."""
    if not holds:
        raise BrokenLawError(text)


class Judgement:
    """Whether something was taken: ``taken`` is False after a refusal, which is well worded, and has ``problems``."""

    taken = True
    problems: tuple[Problem, ...] = ()


@contextlib.contextmanager
def judging() -> Iterator[Judgement]:
    """Runs what reads; a refusal is looked at and swallowed, all else goes on to whoever runs the harness."""
    judgement = Judgement()
    begin = time.process_time()
    try:
        yield judgement
    except CapsuleError as error:
        judgement.taken, judgement.problems = False, error.problems
        check_refusal(error)
    law(time.process_time() - begin < MAX_SECONDS, f"takes less than {MAX_SECONDS} seconds")


def check_refusal(error: CapsuleError) -> None:
    """A refusal has a reason; each has a code, one line that can be shown, and no end of text."""
    law(error.problems, "a refusal has a reason")
    for problem in error.problems:
        law(_CODE.fullmatch(problem.code), f"a code is a word: {problem.code!r}")
        law(problem.message, f"a problem has a message: {problem.code}")
        for text in (problem.message, problem.remedy):
            law(not _UNSHOWABLE.search(text), f"a message can be shown: {text!r}")
        law(len(problem.message) < MAX_MESSAGE, f"a message has an end: {problem.code}")


def check_path(path: str) -> None:
    """A path stays where it is put, and can be written on one line."""
    parts = path.split("/")
    law(not {"", ".", ".."} & set(parts), f"a path is plain and relative: {path!r}")
    law(not _UNSHOWABLE.search(path) and "\\" not in path, f"a path can be shown: {path!r}")
    law(len(path.encode()) <= 4096 and all(len(part.encode()) <= 255 for part in parts), f"a path is short: {path!r}")
