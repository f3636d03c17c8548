"""Where everything lies on a host. ``root`` is ``/`` or a host's tree elsewhere, such as an image in the making."""

from __future__ import annotations

import os

SHORT = 12
"""How many hex digits of an ID name a unit."""


class Layout:
    """The paths below ``root``; units and services know them without it."""

    def __init__(self, root: str = "/") -> None:
        self.root = os.path.abspath(root)

    def path(self, inner: str) -> str:
        """A path as the host has it (``/opt/tori``), as it is from here."""
        return os.path.join(self.root, inner.lstrip("/"))

    @property
    def tori(self) -> str:
        """``/opt/tori``, below which all is ours."""
        return self.path("/opt/tori")

    @property
    def releases(self) -> str:
        """A directory for each installed release, named by its whole ID, complete as soon as it is there."""
        return self.path("/opt/tori/releases")

    @property
    def receipts(self) -> str:
        """A directory for each release beside it: ``receipt.json``, the listing, the signature."""
        return self.path("/opt/tori/receipts")

    @property
    def objects(self) -> str:
        """The store of files, ``ab/<sha256>-<mode>``, on the same file system as the releases."""
        return self.path("/opt/tori/objects")

    @property
    def staging(self) -> str:
        """What is being installed or deleted: a directory each, with the lock of its owner."""
        return self.path("/opt/tori/staging")

    @property
    def state(self) -> str:
        """``<app>/`` each, which belongs to the application's account and outlives its releases."""
        return self.path("/opt/tori/state")

    @property
    def lock(self) -> str:
        """The store's lock: shared by what reads it, exclusive for what adds or deletes."""
        return self.path("/opt/tori/lock")

    def app(self, name: str) -> str:
        """What is known of an application: ``active``, ``previous``, ``txn``, ``pins/``, ``history``, ``lock``."""
        return self.path(f"/opt/tori/apps/{name}")

    @property
    def apps(self) -> str:
        """A directory for each application."""
        return self.path("/opt/tori/apps")

    @property
    def trust(self) -> str:
        """The public keys (``*.pub``) whose signatures count."""
        return self.path("/etc/tori/trust")

    @property
    def policy(self) -> str:
        """The host's policy, a YAML file; what it does not say is as strict as can be."""
        return self.path("/etc/tori/policy.yml")

    @property
    def units(self) -> str:
        """Units of systemd, and drop-ins."""
        return self.path("/etc/systemd/system")

    @property
    def sysusers(self) -> str:
        """The accounts of applications, for ``systemd-sysusers``."""
        return self.path("/etc/sysusers.d")

    def release(self, capsule_id: str) -> str:
        """Where the release with this whole ID lies, or will."""
        return os.path.join(self.releases, capsule_id)

    def receipt(self, capsule_id: str) -> str:
        """Where its receipts lie."""
        return os.path.join(self.receipts, capsule_id)

    def resolved(self, path: str) -> str:
        """Where the last part of a path leads, with absolute links taken in the host's tree."""
        for _ in range(40):
            try:
                target = os.readlink(path)
            except OSError:
                break
            path = self.path(target) if os.path.isabs(target) else os.path.join(os.path.dirname(path), target)
        return path
