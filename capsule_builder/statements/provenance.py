"""Where a capsule comes from: an in-toto Statement v1 with an SLSA Provenance v1 predicate (``docs/provenance.md``).

https://github.com/in-toto/attestation/tree/main/spec/v1 and https://slsa.dev/spec/v1.0/provenance. Pure: the same
archive gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from capsule_builder.metadata import archive_name
from capsule_builder.paths import CONTENTS_NAME
from capsule_builder.statements.packed import Packed, PackedDistribution

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:rules-capsule:build:v1"
"""How the build is described: ``docs/provenance.md`` says what its parameters mean."""

BUILDER = "urn:rules-capsule:capsule-builder"
"""The program that packed it. Who ran it, and where, is said by whoever signs the statement."""


def purl(name: str, version: str) -> str:
    """The package URL of a distribution from PyPI; ``name`` is normalised."""
    return f"pkg:pypi/{quote(name, safe='')}@{quote(version, safe='')}"


def subjects(name: str, version: str, capsule_id: str, sha256: str) -> list[dict[str, Any]]:
    """What statements are about: an archive by its SHA-256, and its content by the ID, which is that of the listing."""
    called = {"capsule": f"{name}@{version}"}
    return [
        {
            "name": archive_name(name, capsule_id),
            "digest": {"sha256": sha256},
            "annotations": {**called, "id": capsule_id},
        },
        {"name": CONTENTS_NAME, "digest": {"sha256": capsule_id}, "annotations": called},
    ]


def statement(capsule: Packed) -> dict[str, Any]:
    """The statement, as a document of JSON."""
    metadata = capsule.metadata
    built = metadata["build"]
    return {
        "_type": STATEMENT,
        "subject": subjects(capsule.name, capsule.version, capsule.id, capsule.sha256),
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "manifest": {
                        "name": capsule.name,
                        "version": capsule.version,
                        "entrypoint": metadata["entrypoint"],
                        "sha256": capsule.manifest,
                    },
                    "python": capsule.python,
                    "bundledInterpreter": capsule.interpreter is not None,
                    "requirements": metadata["requirements"],
                    "compressionLevel": metadata["builder"]["compression_level"],
                    "stamp": built["time"] is not None or built["host"] is not None,
                },
                "internalParameters": {} if built["host"] is None else {"host": built["host"]},
                "resolvedDependencies": [*_interpreter(capsule), *map(_dependency, capsule.distributions)],
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {metadata["builder"]["name"]: metadata["builder"]["version"]}},
                "metadata": {} if built["time"] is None else {"startedOn": built["time"]},
            },
        },
    }


def encode(document: Mapping[str, Any]) -> bytes:
    """A statement's bytes: UTF-8, two spaces of indent, one line end at the end."""
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _interpreter(capsule: Packed) -> list[dict[str, Any]]:
    if capsule.interpreter is None:
        return []
    return [{"name": f"CPython {capsule.python}", "digest": {"sha256": capsule.interpreter}}]


def _dependency(distribution: PackedDistribution) -> dict[str, Any]:
    """A distribution by its RECORD, which has the hash of every file; the subpath of the package URL says so."""
    info = distribution.info.rpartition("/")[2]
    return {
        "name": distribution.name,
        "uri": f"{purl(distribution.name, distribution.version)}#{quote(info)}/RECORD",
        "digest": {"sha256": distribution.record},
    }
