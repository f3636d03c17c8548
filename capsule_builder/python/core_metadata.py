"""Whose metadata they are: the name and version in METADATA, and in the names of directories beside it. Pure."""

from __future__ import annotations

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from capsule_builder.requirements.fields import fields_of


def stated(metadata: bytes) -> tuple[str, str]:
    r"""The name and the version that a METADATA file states, to the letter.

    Raises:
        ValueError: it does not state them, or more than once; the text continues "its METADATA".

    >>> stated(b"Metadata-Version: 2.1\nName: foo\nVersion: 1.0\n")
    ('foo', '1.0')
    """
    from installer.utils import parse_metadata_file  # which takes long, and there may be none

    if not metadata.strip():
        raise ValueError("is empty")
    if metadata.startswith(b"\xef\xbb\xbf"):
        raise ValueError("begins with a byte order mark, which hides its first line")
    parsed = parse_metadata_file(fields_of(metadata).decode("utf-8", "replace"))
    for key in ("Name", "Version"):
        if (count := len(parsed.get_all(key) or [])) != 1:
            raise ValueError(f"has {count} lines {key}" if count else f"has no line {key}")
    return str(parsed["Name"]).strip(), str(parsed["Version"]).strip()


def version_of(text: str) -> Version | None:
    """The version that a text spells, if it is one."""
    try:
        return Version(text)
    except InvalidVersion:
        return None


def is_of(stem: str, name: str, version: Version) -> bool:
    """Whether ``stem`` is, in any spelling, ``name-version``; ``name`` is normalised (PEP 503).

    >>> is_of("Foo.Bar-1.0", "foo-bar", Version("1")), is_of("foo-1.0", "foo-bar", Version("1"))
    (True, False)
    """
    parts = stem.split("-")
    return any(
        canonicalize_name("-".join(parts[:count])) == name and version_of("-".join(parts[count:])) == version
        for count in range(1, len(parts))
    )
