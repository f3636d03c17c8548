"""Whose signatures count on a host: the public keys ``*.pub`` of ``/etc/tori/trust``."""

from __future__ import annotations

import os

from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import shown
from capsule_builder.trust.minisign import PublicKey
from capsule_deploy.guarded import check_guarded_directory, check_guarded_place, read_guarded
from capsule_deploy.layout import Layout

MAX_KEY = 16 << 10


class TrustError(CapsuleError):
    """There is no signature, or not one that this host trusts; or its keys cannot be relied on."""


def read_keys(layout: Layout) -> list[PublicKey]:
    """The trusted keys; none, when there is no directory of them.

    Raises:
        TrustError: some of the files are no public keys, cannot be read, or others than root may write them.
        OSError: the directory cannot be read.
    """
    keys: list[PublicKey] = []
    problems: list[Problem] = []
    try:
        check_guarded_place(os.path.dirname(layout.trust), "Directory of keys and policy")
        check_guarded_directory(layout.trust, "Directory of trusted keys")
        names = sorted(name for name in os.listdir(layout.trust) if name.endswith(".pub"))
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise TrustError(
            [Problem("file-special", f"Not a directory: {shown(os.path.dirname(layout.trust))}")]
        ) from None
    except CapsuleError as refused:
        raise TrustError(refused.problems) from None
    for name in names:
        path = os.path.join(layout.trust, name)
        try:
            keys.append(PublicKey.parse(read_guarded(path, "Trusted key", MAX_KEY), shown(path)))
        except CapsuleError as refused:
            problems += refused.problems
        except OSError as failed:
            what = f"Trusted key cannot be read ({failed.strerror}): {shown(path)}"
            problems.append(Problem("key-unreadable", what, "Put the key there, or remove it."))
    if problems:  # whoever is to be trusted must be plain: none of them is passed over
        raise TrustError(problems)
    return keys
