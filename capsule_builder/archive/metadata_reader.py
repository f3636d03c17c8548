"""``.capsule_metadata.json``, read strictly (``docs/format.md``, section 4.4): claims, held against what is there."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from capsule_builder.archive.damage import damaged
from capsule_builder.archive.effort import MAX_LEVEL
from capsule_builder.metadata import FORMAT_VERSION, LayerFacts, short_id
from capsule_builder.paths import forbidden

_MAX_TEXT = 4096
_MAX_DIGITS = 18
_KEYS = [
    "format", "id", "short_id", "name", "version", "entrypoint", "files", "total_size", "compressed_size", "layers",
    "requirements", "builder", "build",
]  # fmt: skip


def read_metadata(data: bytes) -> dict[str, Any]:
    """The document, with every key in its place and of its type.

    Raises:
        CapsuleError: it does not have the shape, or is not written as :func:`capsule_builder.metadata.encode` would.
    """
    try:
        document = json.loads(data.decode(), parse_int=_number, parse_float=_refuse, parse_constant=_refuse)
        canonical = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
    except (ValueError, RecursionError):
        raise damaged("metadata-json", "Its metadata are not JSON that a capsule has") from None
    if isinstance(document, dict) and type(document.get("format")) is int and document["format"] != FORMAT_VERSION:
        raise damaged("metadata-format", f"It has format {document['format']}, and this reader knows {FORMAT_VERSION}")
    if not _has_shape(document):
        raise damaged("metadata-shape", "Its metadata lack a key, or have one of another kind or in another place")
    if canonical != data:
        raise damaged("metadata-canonical", "Its metadata are not written as the format has it")
    return dict(document)


def check_claims(document: dict[str, Any], capsule_id: str, files: int, layers: Sequence[LayerFacts]) -> None:
    """Holds what the metadata claim against the listing and the index.

    Raises:
        CapsuleError: something is claimed that is not so.
    """
    if (document["id"], document["short_id"]) != (capsule_id, short_id(capsule_id)):
        raise damaged("metadata-id", f"Its metadata claim another ID than that of its content, {capsule_id}")
    if document["layers"] != [layer._asdict() for layer in layers]:
        raise damaged("metadata-layers", "Its metadata and its index disagree about the layers")
    sums = sum(layer.total_size for layer in layers), sum(layer.compressed_size for layer in layers)
    if (document["files"], document["total_size"], document["compressed_size"]) != (files, *sums):
        raise damaged("metadata-sums", "Its metadata claim another number of files, or other sizes")


def _has_shape(document: object) -> bool:
    if not isinstance(document, dict) or list(document) != _KEYS:
        return False
    layers, builder, build = document["layers"], document["builder"], document["build"]
    return (
        all(_text(document[key]) for key in ("id", "short_id", "name", "version", "entrypoint"))
        and all(_count(document[key]) for key in ("format", "files", "total_size", "compressed_size"))
        and isinstance(layers, list)
        and all(_is_layer(layer) for layer in layers)
        and document["requirements"] in (None, "verified", "unverified")
        and isinstance(builder, dict)
        and list(builder) == ["name", "version", "compression_level"]
        and _text(builder["name"])
        and _text(builder["version"])
        and _count(builder["compression_level"])
        and builder["compression_level"] <= MAX_LEVEL
        and isinstance(build, dict)
        and list(build) == ["time", "host"]
        and (build["time"] is None or _time(build["time"]))
        and (build["host"] is None or build["host"] == "" or _text(build["host"]))
    )


def _is_layer(layer: object) -> bool:
    return (
        isinstance(layer, dict)
        and list(layer) == list(LayerFacts._fields)
        and _text(layer["name"])
        and _text(layer["digest"])
        and all(_count(layer[key]) for key in ("files", "total_size", "compressed_size"))
    )


def _text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_TEXT and not forbidden(value)


def _count(value: object) -> bool:
    return type(value) is int and value >= 0


def _time(value: object) -> bool:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z", value):
        return False
    import datetime  # few have a time

    try:
        return bool(datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        return False


def _number(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError("a number that no capsule has")  # and that takes long to read
    return int(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"not in a capsule: {text}")
