"""The JSON Schema (2020-12) of the manifest, for editors."""

from __future__ import annotations

from importlib.resources import files


def schema_text() -> str:
    """The text of ``capsule.schema.json``, as it ships."""
    return files("capsule_builder.manifest").joinpath("capsule.schema.json").read_text("utf-8")
