"""What the strict reader says when it refuses an archive."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from capsule_builder.errors import CapsuleError, Problem, refusal

_REMEDY = "Fetch it again; if that does not help, have it built again by whoever made it."


def damaged(code: str, message: str) -> CapsuleError:
    """A refusal of an archive; ``message`` says what is wrong, in one line, without naming the archive."""
    return refusal(code, message, _REMEDY)


def beyond(code: str, what: str, limit: int, unit: str) -> CapsuleError:
    """A refusal of what would take more memory or time than a reader gives to an archive that it does not know."""
    message = f"{what}: more than {limit:,} {unit}, which is as many as a reader takes"
    return refusal(code, message, "Build it of fewer or smaller parts.")


@contextlib.contextmanager
def named(label: str) -> Iterator[None]:
    """Puts ``label``, which names the archive, before the message of every refusal; a manifest's name it by itself."""
    try:
        yield
    except CapsuleError as error:
        raise labelled(error, label) from None


def labelled(error: CapsuleError, label: str) -> CapsuleError:
    """The same refusal, as :func:`named` puts it."""
    return CapsuleError(
        problem
        if hasattr(problem, "line")
        else Problem(problem.code, f"{label}: {problem.message[:1].lower()}{problem.message[1:]}", problem.remedy)
        for problem in error.problems
    )
