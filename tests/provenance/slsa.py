"""A strict reader of statements: by the published schemas, and by what the specifications say beyond these.

The schemas are protocol buffers, which in-toto publishes as the package ``in-toto-attestation``; SLSA has the same one,
https://slsa.dev/spec/v1.0/schema/provenance.proto. Neither publishes one for JSON. They leave open what has to be there
and how values are written; that is in https://github.com/in-toto/attestation/blob/main/spec/v1 (statement,
resource_descriptor, digest_set, field_types) and https://slsa.dev/spec/v1.0/provenance.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from google.protobuf.json_format import MessageToDict, Parse
from google.protobuf.message import Message
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement as Validated
from in_toto_attestation.v1.statement_pb2 import Statement

DIGEST_LENGTHS = {"sha256": 64, "sha512": 128, "gitCommit": 40}
URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")


def check_statement(document: Any) -> None:
    """Raises AssertionError, or what the schemas' own library raises, unless ``document`` is a Statement v1."""
    Validated.copy_from_pb(parsed(document, Statement())).validate()
    keys(document, required={"_type", "subject", "predicateType", "predicate"})
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert isinstance(document["subject"], list) and document["subject"]
    for subject in document["subject"]:
        check_resource(subject)
        assert "digest" in subject, "a subject without a digest matches nothing"
    names = [subject["name"] for subject in document["subject"] if "name" in subject]
    assert len(set(names)) == len(names), "names of subjects are unique"
    check_uri(document["predicateType"])
    assert isinstance(document["predicate"], dict)


def check_provenance(document: Any) -> None:
    """As :func:`check_statement`, of a Statement v1 with SLSA Provenance v1."""
    check_statement(document)
    parsed(document["predicate"], Provenance())
    assert document["predicateType"] == "https://slsa.dev/provenance/v1"
    predicate = document["predicate"]
    keys(predicate, required={"buildDefinition", "runDetails"})
    definition, run = predicate["buildDefinition"], predicate["runDetails"]
    keys(
        definition,
        required={"buildType", "externalParameters"},
        optional={"internalParameters", "resolvedDependencies"},
    )
    check_uri(definition["buildType"])
    assert isinstance(definition["externalParameters"], dict)
    assert isinstance(definition.get("internalParameters", {}), dict)
    for resource in definition.get("resolvedDependencies", []):
        check_resource(resource)
    keys(run, required={"builder"}, optional={"metadata", "byproducts"})
    keys(run["builder"], required={"id"}, optional={"builderDependencies", "version"})
    check_uri(run["builder"]["id"])
    version = run["builder"].get("version", {})
    assert isinstance(version, dict) and all(isinstance(value, str) for value in version.values())
    metadata = run.get("metadata", {})
    keys(metadata, optional={"invocationId", "startedOn", "finishedOn"})
    for name in ("startedOn", "finishedOn"):
        if name in metadata:
            datetime.strptime(metadata[name], "%Y-%m-%dT%H:%M:%SZ")
    for resource in [*run.get("byproducts", []), *run["builder"].get("builderDependencies", [])]:
        check_resource(resource)


def parsed(document: Any, message: Message) -> Message:
    """The message that ``document`` is by its schema: no field is unknown, of another type, or under another name."""
    Parse(json.dumps(document), message, ignore_unknown_fields=False)
    written = MessageToDict(message, always_print_fields_with_no_presence=True)
    assert names(written) >= names(document), "a name that the parser takes, and the specification does not have"
    return message


def names(value: Any) -> set[str]:
    """The names of all fields of a document."""
    if isinstance(value, dict):
        return set(value).union(*map(names, value.values()))
    return set().union(*map(names, value)) if isinstance(value, list) else set()


def check_resource(resource: Any) -> None:
    keys(resource, optional={"name", "uri", "digest", "content", "downloadLocation", "mediaType", "annotations"})
    assert resource.keys() & {"uri", "digest", "content"}, "one of these says which resource it is"
    for name in ("name", "mediaType"):
        assert isinstance(resource.get(name, "x"), str) and resource.get(name, "x")
    for name in ("uri", "downloadLocation"):
        if name in resource:
            check_uri(resource[name])
    if "digest" in resource:
        assert isinstance(resource["digest"], dict) and resource["digest"]
        for algorithm, value in resource["digest"].items():
            assert re.fullmatch(f"[0-9a-f]{{{DIGEST_LENGTHS[algorithm]}}}", value)
    assert isinstance(resource.get("annotations", {}), dict)


def check_uri(text: Any) -> None:
    assert isinstance(text, str) and URI.fullmatch(text) and not re.search("%(?![0-9A-Fa-f]{2})", text), text


def keys(value: Any, required: set[str] = frozenset(), optional: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    assert isinstance(value, dict)
    assert required <= value.keys() <= required | optional, value.keys()
