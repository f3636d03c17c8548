"""The statements that are made of a capsule: what each is called, what its file's name ends in, and its bytes.

Commands, builds and actions make them here, so that the same archive has the same statements by whatever way.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from capsule_builder.errors import refusal
from capsule_builder.requirements import Target
from capsule_builder.statements.packed import Packed
from capsule_builder.statements.provenance import encode, statement


@dataclass(frozen=True, slots=True)
class Statement:
    """A kind of statement: ``title`` for people, ``suffix`` after the archive's name, ``make`` for the bytes."""

    title: str
    suffix: str
    make: Callable[[Packed], bytes]


PROVENANCE = Statement("Provenance", ".provenance.json", lambda capsule: encode(statement(capsule)))
"""Where a capsule comes from, as in-toto and SLSA have it."""

SBOM_SUFFIX = ".cdx.json"
"""The extension of CycloneDX."""


def sbom(platform: str, remedy: str = "Run: pip install 'capsule-builder[sbom]'") -> Statement:
    """What is in a capsule for hosts of ``platform``, as CycloneDX has it; ``remedy`` is told who lacks the library.

    Raises:
        CapsuleError: the library is not there.
    """
    if importlib.util.find_spec("cyclonedx") is None:
        raise refusal("sbom-library", "SBOMs need cyclonedx-python-lib", remedy)

    def make(capsule: Packed) -> bytes:
        from capsule_builder.statements.sbom import write_sbom

        return write_sbom(capsule, Target(capsule.python, platform) if capsule.python else None)

    return Statement("SBOM", SBOM_SUFFIX, make)
