"""The target: the Python and the platform that a capsule is for, never the ones that build it.

Tags follow the "Platform compatibility tags" specification (PEP 425, 600, 656), markers "Dependency specifiers"
(PEP 508). Pure: the running interpreter is not asked.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.tags import InvalidTag, Tag, TooManyTagsError, compatible_tags, cpython_tags, parse_tag

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import shown

ARCHITECTURES = ("x86_64", "i686", "aarch64", "armv7l", "ppc64le", "ppc64", "s390x", "riscv64", "loongarch64")
_OLD_NAMES = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}
_ANY_GLIBC = 99
_MAX_TAGS = 1000  # a wheel's compressed tags; real ones have a dozen, a hostile name could have millions
_PLATFORM = re.compile(
    rf"(?:(?P<libc>manylinux_2|musllinux_1)_(?P<minor>[0-9]{{1,2}})|(?P<old>manylinux(?:1|2010|2014))|linux)"
    rf"_(?P<arch>{'|'.join(ARCHITECTURES)})"
)


@dataclass(frozen=True)
class Platform:
    """A platform taken apart: ``libc`` is glibc or musl, ``minor`` its version (2.28 is 28; None when any will do)."""

    libc: str
    minor: int | None
    arch: str

    @staticmethod
    def parse(text: str) -> Platform | None:
        """What ``manylinux_2_28_x86_64`` and its kin say; None for what is no Linux platform."""
        found = _PLATFORM.fullmatch(text)
        if not found:
            return None
        if found["old"]:
            return Platform(
                "glibc", next(key for key, name in _OLD_NAMES.items() if name == found["old"]), found["arch"]
            )
        minor = int(found["minor"]) if found["minor"] else None
        return Platform("musl" if found["libc"] == "musllinux_1" else "glibc", minor, found["arch"])

    def names(self) -> Iterator[str]:
        """Every platform tag that runs here, best first."""
        if self.libc == "musl":
            yield from (f"musllinux_1_{minor}_{self.arch}" for minor in range(self.minor or 0, -1, -1))
        else:
            oldest = 5 if self.arch in {"x86_64", "i686"} else 17  # PEP 599: other machines begin with manylinux2014
            for minor in range(_ANY_GLIBC if self.minor is None else self.minor, oldest - 1, -1):
                yield f"manylinux_2_{minor}_{self.arch}"
                if minor in _OLD_NAMES:
                    yield f"{_OLD_NAMES[minor]}_{self.arch}"
        yield f"linux_{self.arch}"


@dataclass(frozen=True)
class Target:
    """A CPython release ``X.Y`` on a Linux ``platform`` as pip's ``--platform`` names it.

    ``manylinux_2_N_ARCH`` takes wheels for glibc 2.5 to 2.N, ``musllinux_1_N_ARCH`` for musl 1.0 to 1.N, ``linux_ARCH``
    for any glibc; each takes ``linux_ARCH``, which is what a wheel is called that was built at home.

    Raises:
        CapsuleError: ``target-python`` or ``target-platform``.

    >>> Target("3.11", "manylinux_2_28_x86_64").fits(["cp311-cp311-manylinux_2_17_x86_64"])
    True
    """

    python: str = "3.11"
    platform: str = "manylinux_2_28_x86_64"

    def __post_init__(self) -> None:
        problems = []
        if not re.fullmatch(r"3\.(?:0|[1-9][0-9]?)", self.python):
            problems.append(
                Problem(
                    "target-python",
                    f"Not a Python version: {shown(self.python) or '(empty)'}",
                    "Give major and minor alone, as in 3.11.",
                )
            )
        if Platform.parse(self.platform) is None:
            problems.append(
                Problem(
                    "target-platform",
                    f"Not a platform that capsules run on: {shown(self.platform) or '(empty)'}",
                    "Give manylinux_2_N_ARCH, musllinux_1_N_ARCH or linux_ARCH, as in manylinux_2_28_x86_64;"
                    f" ARCH is one of {', '.join(ARCHITECTURES)}.",
                )
            )
        if problems:
            raise CapsuleError(problems)

    @staticmethod
    def parse(python: str, platform: str) -> Target:
        """The target of a command line or a rule; raises as the class does."""
        return Target(python, platform)

    @property
    def minor(self) -> int:
        """The Y of Python 3.Y."""
        return int(self.python.partition(".")[2])

    def tags(self) -> Sequence[Tag]:
        """Every tag that runs on the target, best first."""
        return tuple(_ranks(self))

    def rank(self, tags: Iterable[str]) -> int | None:
        """The place of the best of ``tags`` (``py2.py3-none-any``) in :meth:`tags`; None when none of them fits."""
        ranks = _ranks(self)
        return min((ranks[tag] for tag in parsed(tags) if tag in ranks), default=None)

    def fits(self, tags: Iterable[str]) -> bool:
        """Whether a wheel with these tags runs on the target."""
        return self.rank(tags) is not None

    def markers(self, patch: int) -> dict[str, str]:
        """All eleven marker variables, for Python ``X.Y.patch``. What the kernel calls itself is not known: empty."""
        platform = Platform.parse(self.platform)
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.{patch}",
            "os_name": "posix",
            "platform_machine": platform.arch if platform else "",
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.{patch}",
            "python_version": self.python,
            "sys_platform": "linux",
        }

    def patches(self, text: str) -> list[int]:
        """The patch releases to try ``text`` (a marker, a specifier) at, because its answer may depend on them.

        0, 99, and each that it names (``X.Y.Z``) with its neighbours: between these nothing changes.
        """
        found = {0, 99}
        for named in re.findall(rf"(?<![\d.]){re.escape(self.python)}\.([0-9]{{1,4}})(?!\d)", text):
            found |= {max(int(named) - 1, 0), int(named), int(named) + 1}
        return sorted(found)


def parsed(tags: Iterable[str]) -> Iterator[Tag]:
    """Each single tag of ``py2.py3-none-any`` and its kin; what is not a tag is left out."""
    for tag in tags:
        try:
            yield from parse_tag(tag, limit=_MAX_TAGS)
        except (InvalidTag, TooManyTagsError):
            continue


@functools.lru_cache(maxsize=8)
def _ranks(target: Target) -> Mapping[Tag, int]:
    platform = Platform.parse(target.platform)
    platforms = list(platform.names()) if platform else []
    version, interpreter = (3, target.minor), f"cp3{target.minor}"
    ordered = [
        *cpython_tags(version, abis=[interpreter], platforms=platforms),
        *compatible_tags(version, interpreter=interpreter, platforms=platforms),
    ]
    return {tag: rank for rank, tag in enumerate(dict.fromkeys(ordered))}
