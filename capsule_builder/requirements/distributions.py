"""A distribution as verification sees it: what its METADATA, WHEEL and ``direct_url.json`` say, and no files.

"Core metadata", "Recording the direct URL origin" (PEP 610) and the WHEEL file of "Binary distribution format".
"""

from __future__ import annotations

import email.parser
import email.policy
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from packaging.metadata import parse_email
from packaging.utils import InvalidName, canonicalize_name
from packaging.version import Version

from capsule_builder.errors import refusal
from capsule_builder.paths import shown
from capsule_builder.requirements.fields import fields_of


@dataclass(frozen=True)
class Distribution:
    """One installed distribution, or one wheel.

    ``name`` is normalised (PEP 503), ``version`` as written, ``requires`` are the ``Requires-Dist`` lines. ``extras``
    are normalised; None when the metadata has no ``Provides-Extra`` at all. ``tags`` are the WHEEL file's, empty when
    there is none. ``sha256`` is the wheel's, in hex, when it is known. ``where`` is what messages call it.

    Raises:
        CapsuleError: ``distribution-name`` or ``distribution-version``.
    """

    name: str
    version: str
    requires: tuple[str, ...] = ()
    extras: tuple[str, ...] | None = None
    requires_python: str | None = None
    tags: tuple[str, ...] = ()
    direct_url: Mapping[str, object] | None = None
    sha256: str | None = None
    where: str = ""

    def __post_init__(self) -> None:
        called = shown(self.where or self.name)
        try:
            object.__setattr__(self, "name", canonicalize_name(self.name, validate=True))
        except InvalidName as error:
            raise refusal("distribution-name", f"{called}: not a distribution's name: {shown(self.name)}") from error
        if self.extras is not None:
            object.__setattr__(self, "extras", tuple(sorted({canonicalize_name(extra) for extra in self.extras})))
        try:
            Version(self.version)
        except ValueError as error:  # InvalidVersion, or a number of thousands of digits
            raise refusal(
                "distribution-version",
                f"{called}: not a version: {shown(self.version[:80]) or '(empty)'}",
                "Versions follow PEP 440. Build the distribution anew with a version such as 1.0.",
            ) from error

    @staticmethod
    def from_metadata(
        metadata: bytes,
        wheel: bytes | None,
        *,
        where: str,
        direct_url: Mapping[str, object] | None = None,
        sha256: str | None = None,
    ) -> Distribution:
        """The distribution that a METADATA (or PKG-INFO) file and a WHEEL file describe.

        Raises:
            CapsuleError: ``distribution-metadata``: there is no name or no version in it (an interrupted uninstall
                leaves an empty directory behind); ``distribution-name``, ``distribution-version``.
        """
        raw, _ = parse_email(fields_of(metadata))
        name, version = raw.get("name"), raw.get("version")
        if not name or not version:
            missing = " and ".join(text for text, value in (("Name", name), ("Version", version)) if not value)
            raise refusal(
                "distribution-metadata",
                f"{shown(where)}: its METADATA is {'empty' if not metadata.strip() else f'without {missing}'}",
                "Remove what is left of the distribution, or install it again.",
            )
        return Distribution(
            name=name,
            version=version,
            requires=tuple(raw.get("requires_dist", ())),
            extras=tuple(raw["provides_extra"]) if "provides_extra" in raw else None,
            requires_python=raw.get("requires_python"),
            tags=_wheel_tags(wheel) if wheel is not None else (),
            direct_url=direct_url,
            sha256=sha256,
            where=where,
        )

    def to_json(self) -> str:
        """One line of JSON, the same for the same distribution; :meth:`from_json` reads it."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @staticmethod
    def from_json(line: str) -> Distribution:
        """What :meth:`to_json` wrote.

        Raises:
            CapsuleError: ``distribution-json``, ``distribution-name`` or ``distribution-version``.
        """
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict) or not all(
            key in _FIELDS and _FIELDS[key](value) for key, value in fields.items()
        ):
            raise refusal("distribution-json", f"Not a distribution: {shown(line[:80])}")
        lists = {key: tuple(value) for key, value in fields.items() if isinstance(value, list)}
        try:
            return Distribution(**{**fields, **lists})
        except TypeError as error:  # name or version is missing
            raise refusal("distribution-json", f"Not a distribution: {shown(line[:80])}") from error


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_optional_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


_FIELDS = {
    "name": _is_text,
    "version": _is_text,
    "requires": _is_list,
    "extras": lambda value: value is None or _is_list(value),
    "requires_python": _is_optional_text,
    "tags": _is_list,
    "direct_url": lambda value: value is None or isinstance(value, dict),
    "sha256": _is_optional_text,
    "where": _is_text,
}


def _wheel_tags(wheel: bytes) -> tuple[str, ...]:
    text = wheel.decode("utf-8", "replace")
    message = email.parser.Parser(policy=email.policy.compat32).parsestr(text, headersonly=True)
    return tuple(str(tag).strip() for tag in message.get_all("Tag", []))
