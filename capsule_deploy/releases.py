"""The releases that are installed, and which of them is meant."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, fields

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.manifest import Manifest, load
from capsule_builder.paths import MANIFEST_NAME, shown
from capsule_deploy.layout import SHORT, Layout

RECEIPT_NAME = "receipt.json"
_ID = re.compile("[0-9a-f]{64}")
_PREFIX = re.compile("[0-9a-f]{8,64}")
_APP = re.compile("[a-z][a-z0-9_-]{0,25}")
_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "str | None": (str, type(None)),
}


class ReceiptError(CapsuleError):
    """What is known of a release cannot be read."""


class MissingError(CapsuleError):
    """There is no such release, or no such application."""


@dataclass(frozen=True)
class Receipt:
    """What is known of an installed release besides its content.

    ``installed`` is in seconds since 1970, ``archive_sha256`` that of the archive it came in, ``archive_size`` in
    bytes; ``signed_by`` is the key's id as minisign prints it, None when the host's policy took it unsigned.
    """

    id: str
    app: str
    version: str
    files: int
    total_size: int
    archive_sha256: str
    archive_size: int
    signed_by: str | None
    trusted_comment: str | None
    installed: float


@dataclass(frozen=True)
class Release:
    """An installed release: its receipt, and where it lies."""

    receipt: Receipt
    path: str

    @property
    def id(self) -> str:
        """The whole ID."""
        return self.receipt.id

    @property
    def short(self) -> str:
        """The digits that name its units."""
        return self.receipt.id[:SHORT]

    @property
    def app(self) -> str:
        """The application."""
        return self.receipt.app

    def manifest(self) -> Manifest:
        """What its manifest says.

        Raises:
            CapsuleError: it is damaged.
            OSError: it cannot be read.
        """
        with open(os.path.join(self.path, MANIFEST_NAME), "rb") as file:
            return load(file.read(), MANIFEST_NAME)[0]


def encode_receipt(receipt: Receipt) -> bytes:
    """The bytes of ``receipt.json``."""
    return json.dumps(asdict(receipt), sort_keys=True, indent=2).encode() + b"\n"


def installed(layout: Layout) -> list[Release]:
    """All of them, the oldest first.

    Raises:
        ReceiptError: what is known of some cannot be read.
    """
    found, problems = survey(layout)
    if problems:
        raise ReceiptError(problems)
    return found


def survey(layout: Layout) -> tuple[list[Release], list[Problem]]:
    """Those that something is known of, the oldest first; and why nothing is known of the others."""
    found: list[Release] = []
    problems: list[Problem] = []
    for name in ids(layout):
        try:
            found.append(_release(layout, name))
        except ReceiptError as damaged:
            problems += damaged.problems
    return sorted(found, key=lambda release: (release.receipt.installed, release.id)), problems


def ids(layout: Layout) -> list[str]:
    """The whole IDs of all releases, whatever is known of them."""
    try:
        return sorted(name for name in os.listdir(layout.releases) if _ID.fullmatch(name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def find(layout: Layout, prefix: str) -> Release:
    """The one whose ID begins with ``prefix``, of eight digits or more.

    Raises:
        MissingError: there is none, or more than one.
        ReceiptError: what is known of it cannot be read.
    """
    digits, prefix = prefix, prefix.lower() if prefix.isascii() else prefix
    if not _PREFIX.fullmatch(prefix):
        remedy = "Give eight or more of its hex digits, as `capsdeploy list` prints them."
        raise MissingError([Problem("release-id", f"Not the ID of a release: {shown(digits) or repr(digits)}", remedy)])
    names = [name for name in ids(layout) if name.startswith(prefix)]
    if not names:
        remedy = "See `capsdeploy list`; install it first."
        raise MissingError([Problem("release-missing", f"No such release: {prefix}", remedy)])
    if len(names) > 1:
        remedy = f"Give more digits: {' or '.join(name[: _apart(names)] for name in names)}."
        raise MissingError([Problem("release-ambiguous", f"More than one release begins with {prefix}", remedy)])
    return _release(layout, names[0])


def active(layout: Layout, app: str, link: str = "active") -> str | None:
    """The whole ID of the application's active release (or ``previous`` one), if there is one."""
    try:
        name = os.path.basename(os.readlink(os.path.join(layout.app(app), link)))
    except FileNotFoundError:
        return None
    return name if _ID.fullmatch(name) else None


def _apart(names: list[str]) -> int:
    return next(size for size in range(8, 65) if len({name[:size] for name in names}) == len(names))


def _release(layout: Layout, capsule_id: str) -> Release:
    path = os.path.join(layout.receipt(capsule_id), RECEIPT_NAME)
    try:
        with open(path, encoding="utf-8") as file:
            receipt = Receipt(**json.load(file))
        if receipt.id != capsule_id or not _is_well_formed(receipt):
            raise ValueError
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, TypeError, RecursionError):
        remedy = "Install its archive again, which writes the receipt anew; or put it back from a backup."
        raise ReceiptError([Problem("receipt-damaged", f"No receipt of a release: {shown(path)}", remedy)]) from None
    return Release(receipt, layout.release(capsule_id))


def _is_well_formed(receipt: Receipt) -> bool:
    values = [(getattr(receipt, field.name), _TYPES[str(field.type)]) for field in fields(receipt)]
    kinds = all(isinstance(value, kinds) and not isinstance(value, bool) for value, kinds in values)
    return kinds and 0 <= receipt.installed < 1 << 33 and _APP.fullmatch(receipt.app) is not None
