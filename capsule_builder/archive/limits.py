"""How large a capsule may be (``docs/format.md``, section 9): a reader takes no more, so that nobody builds more."""

MAX_METADATA = 4 << 20
"""The longest metadata, in bytes: some 10,000 layers."""

MAX_LISTING = 104 << 20
"""The longest listing, in bytes: a million files with names of 40 bytes."""

MAX_INDEX = 104 << 20
"""The longest index, in bytes."""

MAX_ENTRIES = 1_200_000
"""The most entries and directories above them, together; and the most entries of all layers, together."""

MAX_MEMBERS = 1_500_000
"""The most members of all layers, together."""
