"""How ``capsdeploy`` ends; these numbers are stable."""

from __future__ import annotations

from typing import Final

OK: Final = 0
INTERNAL: Final = 1  # a defect of ours, or the system failed in a way that nothing below describes
USAGE: Final = 2
TRUST: Final = 3  # no signature, or not one that this host trusts
FORMAT: Final = 4  # not a capsule, or a damaged one; an installed release that is not what it was
POLICY: Final = 5  # the host's policy is against it
SPACE: Final = 6  # no room on the disk
BUSY: Final = 7  # another command is at work here
MISSING: Final = 8  # there is no such release or application
UNHEALTHY: Final = 9  # the release did not become healthy; what ran before runs again
HOST: Final = 10  # the host is not set up for it (no systemd, no accounts)
