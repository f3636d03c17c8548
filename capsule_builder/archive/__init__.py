"""Entries into gzip members, and members into an archive (``docs/format.md``, sections 4 and 5)."""
