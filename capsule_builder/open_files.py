"""How many files a process may have open: three for each layer, and one for each wheel."""

from __future__ import annotations

import resource

from capsule_builder.errors import refusal

_SPARE = 64  # the interpreter's own, outputs, sources
_LAST = 32  # of these, what is left to all but other processes of ours


def allow(count: int) -> None:
    """Lets this process open ``count`` more files at once.

    Raises:
        CapsuleError: the system does not let it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            message = f"{wanted:,} files are to be open at once, and the system allows {hard:,}"
            raise refusal("open-files", message, "Raise its limit for whoever builds (ulimit -Hn, limits.conf).")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def is_one_of_the_last(descriptor: int) -> bool:
    """Whether this process may have few descriptors beyond this one, the highest that it has."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft != resource.RLIM_INFINITY and descriptor >= soft - _LAST
