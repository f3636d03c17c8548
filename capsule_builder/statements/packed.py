"""What a capsule was packed of, read out of the archive itself: its distributions, its interpreter, its own facts.

Nothing here is what a build was asked for. Distributions are those of ``venv/`` (``docs/python.md``), each as its
METADATA and WHEEL say, and its RECORD proves.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

from packaging.metadata import parse_email

from capsule_builder.archive.reader import CapsuleReader, ReadEntry, open_archive
from capsule_builder.contents import LISTING_HEADER, Listed
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import MANIFEST_NAME, shown
from capsule_builder.python.layout import INTERPRETER, VENV
from capsule_builder.requirements.distributions import Distribution
from capsule_builder.trust.file_name import check_file_name

MAX_FILE = 16 << 20
"""The longest METADATA or WHEEL that is read, in bytes."""

_INFO = re.compile(rf"({VENV}/lib/python3\.[0-9]+/site-packages/[^/]+\.dist-info)/(METADATA|WHEEL|RECORD)")
_PYTHON = re.compile(rf"{VENV}/(?:bin|lib)/python(3\.[0-9]+)(?:/.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Licenses:
    """What METADATA say of a licence, as they say it: ``License-Expression``, ``License``, and the classifiers."""

    expression: str = ""
    text: str = ""
    classifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PackedDistribution:
    """One distribution: ``info`` is the path of its ``.dist-info``, ``record`` the SHA-256 of its RECORD, in hex."""

    facts: Distribution
    info: str
    record: str
    summary: str
    licenses: Licenses

    @property
    def name(self) -> str:
        """The normalised name (PEP 503)."""
        return self.facts.name

    @property
    def version(self) -> str:
        """The version, as METADATA have it."""
        return self.facts.version


@dataclass(frozen=True, slots=True)
class Packed:
    """A capsule that holds, and what is in it.

    ``sha256`` is that of the archive, ``manifest`` that of ``capsule.yml``, both in hex; ``metadata`` is the document
    of ``docs/format.md``, section 4.4. ``python`` is the environment's ("3.11"), None without one. ``interpreter``
    is, when it is bundled, the SHA-256 of the listing of all that lies in ``python/``: the digest of its layer.
    ``distributions`` are ordered by name.
    """

    id: str
    name: str
    version: str
    sha256: str
    manifest: str
    metadata: dict[str, Any]
    python: str | None
    interpreter: str | None
    distributions: tuple[PackedDistribution, ...]


def read_packed(path: str) -> Packed:
    """Reads the capsule ``path`` to its end, strictly.

    Raises:
        CapsuleError: it is no sound capsule; or distributions in it cannot be told: every one, at once.
        OSError: it cannot be read.
    """
    with open_archive(path) as archive:
        return read_packed_stream(archive, path)


def read_packed_stream(archive: BinaryIO, path: str) -> Packed:
    """As :func:`read_packed`, from a file that stands at its first byte; messages call it ``path``."""
    digest = hashlib.sha256()
    files: dict[str, bytes] = {}
    with CapsuleReader(archive, label=shown(path), watch=digest.update) as reader:
        check_file_name(path, reader)
        for entry in reader.entries():
            if entry.first and (match := _INFO.fullmatch(entry.path)) and match[2] != "RECORD":
                files[entry.path] = _content(entry)
        manifest = reader.finish()
        python, interpreter, hashes = _survey(reader.listing)
    return Packed(
        id=reader.id,
        name=manifest.name,
        version=manifest.version,
        sha256=digest.hexdigest(),
        manifest=hashes[MANIFEST_NAME],
        metadata=reader.metadata,
        python=python,
        interpreter=interpreter,
        distributions=_distributions(files, hashes),
    )


def _content(entry: ReadEntry) -> bytes:
    if entry.size > MAX_FILE:
        message = f"More than {MAX_FILE >> 20} MiB of metadata: {shown(entry.path)}"
        raise CapsuleError([Problem("packed-size", message, "Build it without that distribution.")])
    return b"".join(entry.chunks())


def _survey(listing: Iterable[Listed]) -> tuple[str | None, str | None, dict[str, str]]:
    """The environment's Python, the digest of a bundled interpreter, and the hashes of the files that matter here."""
    python: str | None = None
    bundled = False
    inside = hashlib.sha256(LISTING_HEADER)
    hashes: dict[str, str] = {}
    for entry in listing:
        if match := _PYTHON.fullmatch(entry.path):
            python = python or match[1]
            bundled = bundled or entry.detail == f"../../{INTERPRETER}/bin/python{match[1]}"
        if entry.path.startswith(f"{INTERPRETER}/"):
            inside.update(entry.line())
        if entry.path == MANIFEST_NAME or (_INFO.fullmatch(entry.path) and entry.kind in {"file", "executable"}):
            hashes[entry.path] = entry.detail
    return python, inside.hexdigest() if bundled else None, hashes


def _distributions(files: dict[str, bytes], hashes: dict[str, str]) -> tuple[PackedDistribution, ...]:
    problems: list[Problem] = []
    found: dict[str, PackedDistribution] = {}
    for info in sorted({match[1] for path in hashes if (match := _INFO.fullmatch(path))}):
        if lacking := [name for name in ("METADATA", "RECORD") if f"{info}/{name}" not in hashes]:
            message = f"Distribution without {' and '.join(lacking)}: {shown(info)}"
            problems.append(Problem("packed-incomplete", message, "Build the capsule again."))
            continue
        metadata = files[f"{info}/METADATA"]
        try:
            facts = Distribution.from_metadata(metadata, files.get(f"{info}/WHEEL"), where=info)
        except CapsuleError as error:
            problems += error.problems
            continue
        if other := found.get(facts.name):
            message = f"{facts.name} is there twice: {shown(other.info)}, {shown(info)}"
            problems.append(Problem("distribution-duplicate", message, "Keep one."))
        raw, _ = parse_email(metadata)
        stated = tuple(text for text in raw.get("classifiers", ()) if text.startswith("License ::"))
        licenses = Licenses(raw.get("license_expression", ""), raw.get("license", "").strip(), stated)
        summary = raw.get("summary", "")
        found[facts.name] = PackedDistribution(facts, info, hashes[f"{info}/RECORD"], summary, licenses)
    if problems:
        raise CapsuleError(problems)
    return tuple(found[name] for name in sorted(found))
